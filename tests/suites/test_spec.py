"""Suite files: expansion, precedence, exclusions, row names, errors, published numbers."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dabench.errors import ConfigError, UnknownNameError
from dabench.suites.spec import Suite, expand, load_suite


def make(**values: Any) -> Suite:
    return Suite.model_validate({"name": "a", "settings": {"method": "source-only", "task": "human2stem"}, **values})


def test_rows_are_crossed_with_axes_the_last_axis_fastest():
    cells = expand(make(axes={"task": ["a2b", "b2a"], "seed": [0, 1]}, rows={"x": {}, "y": {"po": "slpo"}}))
    assert [(c.row, c.config.task, c.config.seed) for c in cells[:4]] == [
        ("x", "a2b", 0),
        ("x", "a2b", 1),
        ("x", "b2a", 0),
        ("x", "b2a", 1),
    ]
    assert [c.row for c in cells[4:]] == ["y"] * 4
    assert all(c.config.settings == {"po": "slpo"} for c in cells[4:])


def test_the_narrower_setting_wins_and_options_are_merged():
    cells = expand(
        make(
            settings={"method": "m", "task": "a2b", "options": {"m": {"lr": 1, "batch": 2}}},
            axes={"options.m.lr": [3, 4]},
            rows={"x": {}, "y": {"options": {"m": {"batch": 5}}}},
        )
    )
    assert [c.config.options["m"] for c in cells] == [
        {"lr": 3, "batch": 2},
        {"lr": 4, "batch": 2},
        {"lr": 3, "batch": 5},
        {"lr": 4, "batch": 5},
    ]


def test_a_row_may_have_settings_of_its_own_on_one_task():
    own = {"a2b": {"options": {"m": {"lr": 9}}}}
    row = {"method": "m", "options": {"m": {"lr": 1, "batch": 2}}, "per_task": own}
    cells = expand(make(axes={"task": ["a2b", "b2a"]}, rows={"x": row}))
    assert [c.config.options["m"] for c in cells] == [{"lr": 9, "batch": 2}, {"lr": 1, "batch": 2}]


def test_a_row_is_named_after_it_and_its_axes_but_task_and_seed():
    cells = expand(make(axes={"seed": [0], "method": ["a", "b"], "budget.points": [0, 0.15]}, rows={"x": {}}))
    assert [c.row for c in cells] == ["x a points 0", "x a points 0.15", "x b points 0", "x b points 0.15"]
    assert [c.row for c in expand(make(axes={"seed": [0, 1]}))] == ["source-only"] * 2


def test_exclusions_match_rows_and_settings_and_keep_their_reason():
    suite = make(
        axes={"seed": [0, 1, 2]},
        rows={"x": {}, "y": {"po": "slpo"}},
        exclude=[{"row": "x", "seed": [1, 2], "why": "one is enough"}, {"po": "slpo", "seed": 0, "why": "no"}],
    )
    assert [(c.row, c.config.seed, c.excluded) for c in expand(suite) if c.excluded] == [
        ("x", 1, "one is enough"),
        ("x", 2, "one is enough"),
        ("y", 0, "no"),
    ]


def test_an_unavailable_row_has_no_cells_but_its_reason():
    suite = make(rows={"x": {}, "SAM": {"unavailable": "another kind of model"}})
    assert [c.row for c in expand(suite)] == ["x"]
    assert suite.unavailable == {"SAM": "another kind of model"}


def test_changed_replaces_settings_and_axes():
    suite = make(axes={"task": ["a2b"], "seed": [0, 1], "preset": ["tiny", "small"]})
    changed = suite.changed({"preset": "paper", "data": "phantom"}, {"seed": [7]})
    assert [(c.config.preset, c.config.data, c.config.seed) for c in expand(changed)] == [("paper", "phantom", 7)]
    assert len(expand(suite)) == 4


def test_rows_are_chosen_by_name_in_the_order_of_the_file():
    rows = {"x": {"per_task": {"b2a": {"po": "lpo"}}}, "y, z": {"po": "slpo"}, "SAM": {"unavailable": "another kind"}}
    suite = make(axes={"task": ["a2b", "b2a"]}, rows=rows, contrasts=[["x", "y, z"]])
    assert [c.row for c in expand(suite.with_rows(["y, z", "x"]))] == ["x", "x", "y, z", "y, z"]
    (chosen,) = expand(suite.with_rows(["x, SAM"]).changed({"task": "b2a"}, {}))
    assert (chosen.row, chosen.config.settings["po"]) == ("x", "lpo"), "settings of the row on this task"
    assert suite.with_rows(["x"]).unavailable == {}
    assert suite.with_rows(["x, SAM"]).unavailable == {"SAM": "another kind"}
    assert suite.with_rows(["x"]).model_dump() == suite.model_dump(), "the record is of the whole suite"
    assert len(expand(suite.with_rows([]))) == 4


@pytest.mark.parametrize("texts", [["x,sacc"], ["sacc"], ["x", "sacc"]])
def test_an_unknown_row_lists_the_rows_the_closest_first(texts):
    suite = make(rows={"x": {}, "prompt-das": {"po": "lpo"}, "sac": {"po": "slpo"}})
    with pytest.raises(UnknownNameError, match=r"suite a 'sacc'\.\s+Did you mean 'sac'\?.*prompt-das, sac, x"):
        suite.with_rows(texts)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"name": "No Good"}, "lower-case"),
        ({"axes": {"seed": []}}, "one or more different values"),
        ({"axes": {"seed": [1, 1]}}, "one or more different values"),
        ({"exclude": [{"seed": 1}]}, "give what is left out, and why"),
        ({"exclude": [{"why": "because"}]}, "give what is left out, and why"),
        ({"rowz": {}}, "Extra inputs"),
        ({"published": {"source": "p", "values": {"x": {"t": [1, 2]}}}}, "2 values for 3 metrics"),
    ],
)
def test_a_wrong_file_is_refused(values, says):
    with pytest.raises(ValidationError, match=says):
        make(**values)


def test_two_rows_that_are_the_same_cell_are_refused():
    with pytest.raises(ConfigError, match="the same cell as row 'x'"):
        expand(make(rows={"x": {}, "y": {}}))


def test_a_wrong_setting_names_the_row():
    with pytest.raises(ConfigError, match=r"suite a: y: unknown setting 'sed'\.\s+Did you mean 'seed'"):
        expand(make(rows={"x": {}, "y": {"sed": 1}}))


def test_published_lists_get_names_and_gaps():
    suite = make(published={"source": "p", "values": {"x": {"t": [1, None, 3], "u": {"points_15/dice": 4}}}})
    assert suite.published is not None
    assert suite.published.values == {"x": {"t": {"dice": 1, "pq": 3}, "u": {"points_15/dice": 4}}}


def test_files_and_names(tmp_path, registry):
    path = tmp_path / "s.yaml"
    path.write_text("name: s\nsettings: {method: source-only, task: a2b}\n")
    assert load_suite(str(path), registry).name == "s"
    with pytest.raises(UnknownNameError, match="unknown suite"):
        load_suite("no-such-suite", registry)
    path.write_text("nam: s\n")
    with pytest.raises(ConfigError, match="Did you mean 'name'"):
        load_suite(path, registry)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=4, unique=True), st.integers(1, 3), st.integers(1, 3))
def test_every_combination_is_there_once(seeds, tasks, rows):
    suite = make(
        axes={"seed": seeds, "task": [f"a{i}2b" for i in range(tasks)]},
        rows={f"r{i}": {"budget": {"points": i / 10}} for i in range(rows)},
    )
    cells = expand(suite)
    assert len({c.config.cell_id for c in cells}) == len(cells) == len(seeds) * tasks * rows


def test_set_of_two_components_keeps_both():
    from dabench.runs.config import assignments

    assert assignments(["m.lr=1", "m.batch=2", "n.decay=0.5", "seed=3"]) == {
        "options": {"m": {"lr": 1, "batch": 2}, "n": {"decay": 0.5}},
        "seed": 3,
    }


def test_too_many_cells_are_refused_at_once() -> None:
    """5,000 seeds, and axes whose combinations nobody could count out."""
    for axes, count in (({"seed": list(range(5000))}, "5,000"), ({n: list(range(5000)) for n in "ab"}, "25,000,000")):
        many = Suite.model_validate({"name": "many", "axes": axes})
        started = time.perf_counter()
        with pytest.raises(ConfigError, match=f"suite many: {count} cells; the maximum is 4,000"):
            expand(many)
        assert time.perf_counter() - started < 1
