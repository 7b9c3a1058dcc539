"""Boards of suites: names of rows, cells that never ran, excluded and unavailable ones, published numbers."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from made_up_cells import AJI, DICE, write_cell

from dabench.errors import DataError, UnknownNameError
from dabench.files.workspace import Workspace
from dabench.leaderboard.board import PublishedRow
from dabench.leaderboard.gather import load
from dabench.leaderboard.suite_plan import read_suite_plan
from dabench.suites.spec import Suite, expand
from dabench.suites.suite_record import write_suite_record
from dabench.tracking.recorded import write_recorded
from dabench.tracking.run_reader import read_run

TASKS = ("human2stem", "lucchi2vnc")
SUITE = {
    "name": "paper/table-1",
    "settings": {"data": "phantom", "preset": "tiny", "inference": "fast"},
    "axes": {"task": list(TASKS), "seed": [0, 1]},
    "rows": {
        "UDA": {"method": "ipl", "budget": {"points": 0.0}},
        "WDA": {"method": "ipl"},
        "DAFormer": {"method": "daformer"},
        "SAM": {"unavailable": "another kind of model"},
    },
    "exclude": [{"row": "DAFormer", "seed": 1, "why": "one seed is enough"}],
    "published": {
        "source": "Paper, Table 1",
        "values": {"UDA": {"human2stem": [80.0, 65.5, None]}, "SAM": {"human2stem": {"dice": 1.0}}},
    },
}


@pytest.fixture
def suite():
    return Suite.model_validate(SUITE)


@pytest.fixture
def started(workspace, suite):
    """The suite with its UDA and WDA rows run on both tasks, but for one cell; and a run of no suite."""
    cells = expand(suite)
    write_suite_record(workspace, suite, cells)
    for cell in cells:
        config, place = cell.config, cell.place
        if cell.row == "DAFormer" or (cell.row == "WDA" and place == {"task": "lucchi2vnc", "seed": 1}):
            continue
        points = config.budget.points
        dice = 0.6 if cell.row == "UDA" else 0.8
        write_cell(
            workspace.runs, "ipl", config.task, config.seed, (dice,), cell_id=config.cell_id, points=points,
            suite=suite.name,
        )  # fmt: skip
    write_cell(workspace.runs, "ualr", "human2stem", 0, (0.99,))
    return workspace


def test_rows_have_the_suites_names_and_all_its_cells(started, board_of):
    board = board_of(started, suite="paper/table-1")
    assert board.suite == "paper/table-1"
    assert board.tasks == TASKS
    assert [s.entry for s in board.standings] == ["WDA", "UDA", "DAFormer", "SAM"]
    wda, _, daformer, sam = board.standings
    assert wda.missing == ("lucchi2vnc seed 1: not run",)
    assert wda.overall.mean == pytest.approx(0.8)
    left_out = "excluded (one seed is enough)"
    assert daformer.missing == tuple(f"{t} seed {s}: {w}" for t in TASKS for s, w in ((0, "not run"), (1, left_out)))
    assert sam.missing == ("unavailable (another kind of model)",)


def test_published_numbers_are_shares_and_stand_apart(started, board_of):
    uda, sam = board_of(started, suite="paper/table-1").published
    assert uda == PublishedRow("UDA", "Paper, Table 1", {"human2stem": {DICE: 0.8, AJI: pytest.approx(0.655)}})
    assert sam.scores == {"human2stem": {DICE: 0.01}}
    assert board_of(started).published == ()


def test_without_the_suite_every_run_is_there(started, board_of):
    assert {s.entry for s in board_of(started).standings} == {"ipl no points", "ipl 15% points", "ualr"}


def test_filters_narrow_what_is_asked_for_too(started, board_of):
    board = board_of(started, suite="paper/table-1", conditions=["task=human2stem", "seed=0"])
    assert board.tasks == ("human2stem",)
    missing = {s.entry: s.missing for s in board.standings}
    assert missing["WDA"] == ()
    assert missing["DAFormer"] == ("human2stem seed 0: not run",)
    only_uda = board_of(started, suite="paper/table-1", conditions=["method=ipl", "points=0"])
    assert [s.entry for s in only_uda.standings if s.cells] == ["UDA"]


def test_a_cell_of_the_suite_from_two_places_is_two_rows(started, board_of, suite):
    cell = expand(suite)[0].config
    write_cell(
        started.runs / "..", "ipl", cell.task, cell.seed, (0.3,), cell_id=cell.cell_id, origin="lab-b"
    ).rename(started.runs / f"{cell.cell_id}@lab-b")  # fmt: skip
    entries = {s.entry: s for s in board_of(started, suite="paper/table-1").standings}
    assert entries["UDA (lab-b)"].scores["human2stem"][DICE].mean == pytest.approx(0.3)
    assert entries["UDA"].scores["human2stem"][DICE].mean == pytest.approx(0.6)


def test_a_suite_that_only_its_cells_tell_of(workspace, board_of):
    write_cell(workspace.runs, "ipl", suite="smoke")
    write_cell(workspace.runs, "sac")
    assert [s.entry for s in board_of(workspace, suite="smoke").standings] == ["ipl"]
    with pytest.raises(UnknownNameError, match=r"unknown suite 'smok'.*\n.*'smoke'"):
        load(workspace, suite="smok")


def test_a_suite_without_any_run_is_all_gaps(workspace, suite, board_of):
    write_suite_record(workspace, suite, expand(suite))
    board = board_of(workspace, suite="paper/table-1")
    assert all(s.missing and s.overall is None for s in board.standings)
    assert board.tasks == TASKS


def test_a_record_of_another_version_says_so(workspace, suite):
    path = write_suite_record(workspace, suite, expand(suite))
    path.write_text(path.read_text().replace('"phantom"', '"imaginary"'))
    with pytest.raises(DataError, match="paper/table-1: its record"):
        load(workspace, suite="paper/table-1")


def test_recorded_cells_are_ranked_as_rows_of_their_suite(tmp_path, benchmark):
    """Two rows that the settings alone would not tell apart; with slices, and without the suite's plan here."""
    runs = []
    for row, level in (("plain", 0.6), ("longer", 0.7)):
        for seed in (0, 1, 2):
            slices, name = (level, level), f"{row}-{seed}"
            run = read_run(write_cell(benchmark.runs, "ipl", seed=seed, slices=slices, cell_id=name, suite="mine"))
            runs.append(replace(run, tags={**run.tags, "row": row}))
    write_recorded(tmp_path / "mine.jsonl", runs)
    found = load(Workspace(tmp_path / "empty"), suite="mine", uri=str(tmp_path / "mine.jsonl"))
    (board,) = found.boards()
    assert [(s.entry, s.overall.mean) for s in board.standings] == [
        ("longer", pytest.approx(0.7)),
        ("plain", pytest.approx(0.6)),
    ]
    assert all(row.path == "" and row.slices and not row.panels for row in found.rows)
    assert any("paired tests over tasks, seeds and slices at" in note for note in board.notes)
    with pytest.raises(UnknownNameError, match="unknown suite 'other'"):
        load(Workspace(tmp_path / "empty"), suite="other", uri=str(tmp_path / "mine.jsonl"))


def test_cells_of_another_preset_stay_on_a_board_of_their_own(started, suite):
    """A suite that ran again with another preset lists its earlier cells too."""
    other = suite.changed({"preset": "small"}, {})
    write_suite_record(started, other, expand(other))
    tiny, small = sorted(load(started, suite="paper/table-1").boards(), key=lambda board: board.setting.preset)[::-1]
    assert (tiny.setting.preset, small.setting.preset) == ("tiny", "small")
    assert [s.entry for s in tiny.standings if s.overall] == ["WDA", "UDA"]
    assert all(s.overall is None for s in small.standings)


def test_two_versions_of_a_method_are_two_rows_of_a_suite(started, suite):
    """The suite ran with ``--label v2`` after it had run without: neither replaces the other."""
    newer = suite.changed({"label": "v2"}, {"task": ["human2stem"], "seed": [0, 1]})
    cells = expand(newer)
    write_suite_record(started, newer, cells)
    for cell in (c for c in cells if c.row == "WDA v2"):
        write_cell(started.runs, "ipl", cell.config.task, cell.config.seed, (0.9,), cell_id=cell.config.cell_id)
    (board,) = load(started, suite="paper/table-1", conditions=["task=human2stem"]).boards()
    scored = {s.entry: s.overall.mean for s in board.standings if s.overall}
    assert scored == {"WDA v2": pytest.approx(0.9), "WDA": pytest.approx(0.8), "UDA": pytest.approx(0.6)}
    missing = {s.entry: s.missing for s in board.standings}
    assert missing["UDA v2"] == ("human2stem seed 0, 1: not run",)
    again = expand(suite)
    write_suite_record(started, suite, again)
    assert {c.row for c in read_suite_plan(started, "paper/table-1").cells} >= {"WDA", "WDA v2"}


def test_rows_of_a_suite_may_be_two_versions(suite):
    rows = {"old": {"method": "ipl", "label": "v1"}, "new": {"method": "ipl", "label": "v2"}}
    cells = expand(Suite.model_validate({"name": "mine", "axes": suite.axes, "rows": rows}))
    assert {c.row for c in cells} == {"old", "new"}
    assert all(c.config.label in c.config.cell_id for c in cells)


def test_how_results_were_recorded_is_said(benchmark):
    write_cell(benchmark.runs, "ipl", recorded="by hand")
    (board,) = load(benchmark).boards()
    assert "Recorded by hand." in board.notes


def test_a_record_says_which_profile_was_the_default(workspace):
    """One that does not is older than the profile ``hann``: its cells are of ``fast`` unless a row says another."""
    settings = {"data": "phantom", "preset": "tiny"}
    rows = {"UDA": {"method": "ipl"}, "WDA": {"method": "ipl", "inference": "paper"}}
    suite = Suite.model_validate({"name": "mine", "settings": settings, "axes": SUITE["axes"], "rows": rows})
    path = write_suite_record(workspace, suite, expand(suite))
    written = json.loads(path.read_text())
    assert written["suite"]["settings"] == {"inference": "hann", **settings}
    earlier = suite.changed({"inference": "fast"}, {})
    written = json.loads(write_suite_record(workspace, earlier, expand(earlier)).read_text())
    written["cells"] = [c for c in written["cells"] if c["setting"][3] != "hann"]
    del written["suite"]["settings"]["inference"]
    path.write_text(json.dumps(written))
    found = {cell.setting.inference for cell in read_suite_plan(workspace, "mine").cells}
    assert found == {"fast", "paper"}
