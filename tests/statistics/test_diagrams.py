"""Diagrams: an SVG element that needs nothing from outside and is the same every time."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from made_up_tables import cells_of

from dabench.statistics import compare, critical_difference_svg, pareto, scatter_svg

ROWS = {
    "best": {"a": [0.80, 0.82, 0.81]},
    "good & <new>": {"a": [0.79, 0.80, 0.82]},
    "poor": {"a": [0.40, 0.41, 0.42]},
    "worse": {"a": [0.20, 0.21, 0.22]},
}
POINTS = {"free": (0.0, 0.5), "cheap & <good>": (10.0, 0.7), "dear": (100.0, 0.6)}
DRAWINGS = {
    "ranks": lambda: critical_difference_svg(compare(cells_of(ROWS))),
    "too few": lambda: critical_difference_svg(compare(cells_of({"best": ROWS["best"]}))),
    "quality": lambda: scatter_svg(POINTS, pareto(POINTS), "annotation (s)", "Dice"),
    "one": lambda: scatter_svg({"free": (0.0, 0.5)}, ["free"], "annotation (s)", "Dice"),
    "nothing": lambda: scatter_svg({}, [], "annotation (s)", "Dice"),
}


def lines(svg: str) -> int:
    return len(re.findall(r'id="line2d_\d+"', svg))


@pytest.mark.parametrize("draw", DRAWINGS.values(), ids=DRAWINGS)
def test_a_drawing_stands_alone_and_repeats(draw):
    text = draw()
    assert ElementTree.fromstring(text).tag.endswith("svg")
    assert text.startswith("<svg")
    assert not re.search(r'(?:href|src)="(?!#)|url\((?!#)|<script|<image|@import', text)
    assert draw() == text


def test_a_bar_joins_each_group_of_several():
    """Three alike have one bar; a chain of two overlapping groups has two; none where all differ."""
    comparison = compare(cells_of(ROWS))
    assert sorted(comparison.groups.values()) == ["a", "a", "b", "c"]
    apart = comparison.__class__(**{**comparison.__dict__, "level": 1e-9})  # every p is below 1 - level
    assert lines(critical_difference_svg(comparison)) == lines(critical_difference_svg(apart)) + 1


def test_the_front_is_drawn_only_where_there_is_one():
    assert lines(scatter_svg(POINTS, ["free"], "s", "Dice")) == lines(scatter_svg(POINTS, [], "s", "Dice"))
    assert scatter_svg(POINTS, pareto(POINTS), "s", "Dice") != scatter_svg(POINTS, [], "s", "Dice")


def test_drawing_leaves_no_figure_open():
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    for draw in DRAWINGS.values():
        draw()
    assert pyplot.get_fignums() == before
