"""Ours beside theirs: numbers by hand, gains, settings that never mix, what is missing, and the words for it."""

from __future__ import annotations

import pytest
from made_up_table import CHANGES, results, toy, write_cell

from dabench.errors import ConfigError, DataError
from dabench.leaderboard.board import BoardKey
from dabench.leaderboard.metric import Metric
from dabench.leaderboard.published.measures import reference, value_of
from dabench.leaderboard.published.table import Result, compare, gather, published, recorded
from dabench.leaderboard.published.texts import as_markdown, head, missing, tables
from dabench.suites.planning import report
from dabench.suites.spec import expand


def line(table, row, task, metric="dice"):
    return next(found for found in table.lines if (found.row, found.task, str(found.metric)) == (row, task, metric))


def measured(name, run, first=None):
    return value_of(Metric.parse(name), run, first)


def gain(table, row, metric="dice"):
    return next(found for found in table.gains if (found.row, str(found.metric)) == (row, metric))


@pytest.fixture
def table(workspace):
    """Three seeds of the first row, two of the better one."""
    suite = toy().changed(CHANGES, {})
    found = results(suite, workspace, {"start": [0.50, 0.52, 0.54], "better": [0.61, 0.65]})
    (made,) = compare(suite, found, toy())
    return made


# ---------------------------------------------------------------- numbers
def test_means_differences_and_gains_by_hand(table):
    first, better = line(table, "start", "human2stem"), line(table, "better", "human2stem")
    assert (first.ours.mean, first.ours.sd, first.ours.n) == (pytest.approx(52), pytest.approx(2), 3)
    assert (first.theirs, first.difference) == (70.0, pytest.approx(-18))
    assert first.ours_gain is None
    assert first.theirs_gain is None
    assert (better.ours.mean, better.ours.n) == (pytest.approx(63), 2)
    # Seed by seed: 61 - 50 and 65 - 52; the first row's third seed has no partner.
    assert better.ours_gain.mean == pytest.approx(12)
    assert better.ours_gain.sd == pytest.approx(2**0.5)
    assert better.ours_gain.n == 2
    assert better.theirs_gain == pytest.approx(10)


def test_prompts_gain_over_the_first_row_without_prompts(table):
    prompted = line(table, "start", "human2stem", "points_100/dice")
    assert prompted.ours.mean == pytest.approx(53)
    assert prompted.ours_gain.mean == pytest.approx(1)
    assert prompted.theirs_gain == pytest.approx(2)
    assert line(table, "better", "human2stem", "points_100/dice").theirs_gain == pytest.approx(11)


def test_rows_that_cannot_run_show_their_numbers(table):
    outside = line(table, "outside", "human2stem")
    assert (outside.ours, outside.theirs, outside.theirs_gain) == (None, 10.0, -60.0)
    assert table.first == "start", "the first row that can run"
    assert table.unavailable == {"outside": "no plugin"}


def test_one_seed_has_no_deviation(workspace):
    suite = toy().changed(CHANGES, {"seed": [0]})
    (table,) = compare(suite, results(suite, workspace, {"start": [0.5]}), toy())
    assert line(table, "start", "human2stem").ours.sd is None


def test_mean_gains_over_the_asked_tasks(table):
    assert gain(table, "better").ours == pytest.approx(12)
    assert gain(table, "better").theirs == pytest.approx((10 + 15) / 2)
    assert (gain(table, "outside").theirs, gain(table, "outside").theirs_tasks) == (-60.0, 1)


def test_a_task_of_the_paper_compares_with_that_task_alone(workspace):
    suite = toy().changed(CHANGES, {"task": ["rat2human"]})
    (table,) = compare(suite, results(suite, workspace, {"start": [0.5], "better": [0.6]}), toy())
    assert table.theirs_tasks == ("rat2human",)
    assert gain(table, "better").theirs == pytest.approx(15)


def test_other_tasks_than_the_paper_s_compare_by_mean_gain_alone(workspace):
    suite = toy().changed(CHANGES, {"task": ["stem2rat"]})
    (table,) = compare(suite, results(suite, workspace, {"start": [0.5] * 3, "better": [0.6] * 3}), toy())
    assert all(found.theirs is None and found.difference is None for found in table.lines)
    assert {found.row for found in table.lines} == {"start", "better"}
    assert table.theirs_tasks == ("human2stem", "rat2human")
    assert (gain(table, "better").ours, gain(table, "better").theirs) == (pytest.approx(10), pytest.approx(12.5))


# ---------------------------------------------------------------- settings
def test_settings_never_share_a_table(workspace):
    suite = toy(rows={"start": {"method": "source-only"}}).changed({"data": "phantom"}, {"preset": ["tiny", "small"]})
    found = [Result(c, "ok", run=write_cell(workspace.runs, c, 0.5)) for c in expand(suite)]
    tables = compare(suite, found, toy())
    assert [(t.setting.preset, t.setting.data) for t in tables] == [("tiny", "phantom"), ("small", "phantom")]
    assert {row.row for t in tables for row in t.lines if row.ours} == {"start preset tiny", "start preset small"}
    assert [sum(bool(row.ours) for row in t.lines) for t in tables] == [2, 2], "a line a task"


def test_whether_ours_and_theirs_compare(table, workspace):
    assert table.setting == BoardKey(data="phantom", preset="tiny", protocol="das-2d@1", inference="fast")
    assert table.theirs_setting == BoardKey(data="real", preset="paper", protocol="das-2d@1", inference="paper")
    assert not table.comparable
    assert "preset tiny against paper" in "\n".join(head(table))
    (same,) = compare(toy(), results(toy(), workspace, {}), toy())
    assert same.comparable
    assert "differently" not in "\n".join(head(same))


# ---------------------------------------------------------------- what is missing
def test_missing_cells_have_status_and_reason(table, workspace):
    assert [(m.cell.row, m.cell.config.seed, m.status) for m in table.missing] == [("better", 2, "new")] * 2
    assert list(missing(table)) == [
        "not run yet: better (human2stem rat2human, seeds 2)",
        "not in dabench: outside: no plugin",
    ]


def test_reasons_are_told_once(workspace):
    suite = toy().changed(CHANGES, {})
    reasons = {"start": ("missing", "files are missing: a.tif"), "better": ("failed", "ValueError: no\nmore lines")}
    found = [Result(c, *reasons[c.row]) for c in expand(suite)]
    (table,) = compare(suite, found, toy())
    assert list(missing(table)) == [
        "data missing: start (human2stem rat2human, seeds 0 1 2): files are missing: a.tif",
        "failed: better (human2stem rat2human, seeds 0 1 2): ValueError: no",
        "not in dabench: outside: no plugin",
    ]


def test_results_of_a_report_are_read(workspace, registry):
    """A cell that other code has made counts, and that is said; the others are new."""
    suite = toy().changed(CHANGES, {"task": ["human2stem"], "seed": [0, 1]})
    cells = expand(suite)
    write_cell(workspace.runs, cells[0], 0.5)
    found = gather(report(suite, registry, workspace), workspace)
    assert [r.status for r in found] == ["stale", "new", "new", "new"]
    assert found[0].run.metrics["target_test/dice"] == 0.5
    (table,) = compare(suite, found, toy())
    assert len(table.stale) == 1
    assert "1 cells were made with other code" in "\n".join(head(table))


def test_recorded_runs_stand_for_their_cells(workspace):
    suite = toy(exclude=[{"row": "better", "seed": [2], "why": "enough"}]).changed(CHANGES, {"task": ["human2stem"]})
    cells = expand(suite)
    runs = [write_cell(workspace.runs, cell, 0.5 + 0.1 * cell.config.seed) for cell in cells[:2]]
    found = recorded(suite, runs)
    assert [r.status for r in found] == ["ok", "ok", "new", "new", "new", "excluded"]
    (table,) = compare(suite, found, toy())
    assert line(table, "start", "human2stem").ours.mean == pytest.approx(55)
    told = list(missing(table))
    assert told[:2] == ["not run yet: start (human2stem, seeds 2)", "not run yet: better (human2stem, seeds 0 1)"]


def test_suites_without_published_numbers_are_refused():
    with pytest.raises(ConfigError, match="no published numbers"):
        published(toy(published=None))


def test_only_chosen_rows_are_in_the_table(workspace):
    suite = toy().changed(CHANGES, {"task": ["human2stem"]}).with_rows(["better"])
    (table,) = compare(suite, recorded(suite, []), toy())
    assert {found.row for found in table.lines} == {"better"}
    assert list(missing(table)) == ["not run yet: better (human2stem, seeds 0 1 2)"], "not the row that cannot run"


# ---------------------------------------------------------------- measures
def test_variants_of_a_metric(workspace):
    cell = expand(toy())[0]
    stages = (("before", "a"), ("last", "b"))
    run = write_cell(workspace.runs, cell, 0.8, prompted=0.9, stages=stages, slices=(0.1, 0.2, 0.4, 0.8))
    values = {n: measured(n, run) for n in ("dice", "points_100/dice", "stage/before/dice", "points_15/dice")}
    assert values == {"dice": 0.8, "points_100/dice": 0.9, "stage/before/dice": 0.4, "points_15/dice": None}
    shares = {n: measured(f"slices_{n}/dice", run) for n in (0, 25, 50, 100)}
    assert shares == pytest.approx({0: 0.1, 25: 0.175, 50: 0.3, 100: 0.8})


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("dice", "dice"),
        ("points_15/pq", "pq"),
        ("stage/before/dice", "dice"),
        ("slices_50/dice", "slices_50/dice"),
    ],
)
def test_what_a_gain_is_over(metric, expected):
    assert reference(Metric.parse(metric)) == Metric.parse(expected)


def test_slices_without_scores_and_damaged_ones(workspace):
    cell = expand(toy())[0]
    run = write_cell(workspace.runs, cell, 0.8)
    assert measured("slices_50/dice", run) is None
    run = write_cell(workspace.runs, cell, 0.8, slices=(0.5,))
    with pytest.raises(DataError, match="pq"):
        measured("slices_50/pq", run)


def answers(size, choices):
    """Answers of one slice: a tile of 96 pixels, or its nine patches."""
    side = 96 // size
    places = [(size * i, size * j) for i in range(side) for j in range(side)]
    return [
        {"patch": [0, y, x, size, size], "candidates": ["a", "b"], "choice": c}
        for (y, x), c in zip(places, choices, strict=True)
    ]


def test_agreement_with_the_first_row(workspace):
    first, other = (c for c in expand(toy()) if (c.config.task, c.config.seed) == ("human2stem", 0))
    before = (("shared", "k"), ("last", "x"))
    whole = write_cell(workspace.runs, first, 0.5, stages=before, answers=answers(96, [1]))
    parts = write_cell(workspace.runs, other, 0.6, stages=before, answers=answers(32, [1, 1, 0, 0, 0, 0, 0, 0, 0]))
    shares = {n: measured(f"patches_{n}/agreement", parts, whole) for n in ("0", "1-2", "3-9")}
    assert shares == {"0": 0.0, "1-2": 1.0, "3-9": 0.0}
    assert measured("patches_0/agreement", whole, whole) is None, "the first row has nothing to agree with"
    apart = write_cell(workspace.runs, other, 0.6, stages=(("shared", "another"), ("last", "x")))
    assert measured("patches_0/agreement", apart, whole) is None, "other masks were shown"


# ---------------------------------------------------------------- words
def test_tables_in_the_order_of_the_paper(table):
    made = list(tables(table))
    assert [t.title.split(" (")[0] for t in made] == ["human2stem, Dice", "rat2human, Dice", "mean gain over tasks"]
    rows = {row[0]: row[1:] for row in made[0].lines(made[0].sections[0])}
    assert rows["start"] == ("52.0 ± 2.0", "70.0", "-18.0", "-", "-")
    assert rows["better"] == ("(63.0 ± 2.8)", "80.0", "-17.0", "(+12.0 ± 1.4)", "+10.0")
    assert rows["better + 100 % of the test points"][1] == "81.0"
    assert rows["outside"] == ("-", "10.0", "-", "-", "-60.0")
    assert ("outside", "Dice", "-", "-60.0 (1 of 2 tasks)") in made[-1].lines(made[-1].sections[0])


def test_markdown_has_every_part(table):
    text = as_markdown(table)
    assert text.startswith("### toy\n")
    assert "#### human2stem, Dice\n" in text
    assert "| start | 52.0 ± 2.0 | 70.0 | -18.0 | - | - |" in text
    assert "- not in dabench: outside: no plugin" in text
    assert "Made up." in text
