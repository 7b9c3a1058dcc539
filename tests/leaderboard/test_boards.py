"""Boards of made-up runs: means by hand, brackets apart, missing cells, settings that never mix."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_cells import AJI, DICE, PQ, three_seeds, write_cell

from dabench.errors import UnknownNameError
from dabench.files.workspace import Workspace
from dabench.leaderboard.boards import BoardEntries, ranked_tasks
from dabench.leaderboard.entries import Entry, by_setting, free_entries
from dabench.leaderboard.gather import load
from dabench.leaderboard.index import Index
from dabench.leaderboard.rows import Row
from dabench.leaderboard.tables import text_table


def standing(board, entry):
    return next(s for s in board.standings if s.entry == entry)


# ------------------------------------------------------------------------------------------------------------ numbers
def test_means_are_of_task_means_and_deviations_over_seeds(benchmark, board_of):
    board = board_of(benchmark)
    ipl = standing(board, "ipl")
    assert ipl.overall.mean == pytest.approx(0.75)  # of 0.8 and 0.7
    assert ipl.overall.sd == pytest.approx(0.02)  # of 0.73, 0.75, 0.77
    assert ipl.overall.n == 3
    assert ipl.scores["human2stem"][DICE].mean == pytest.approx(0.80)
    assert ipl.scores["human2stem"][AJI].mean == pytest.approx(0.70)
    assert ipl.scores["lucchi2vnc"][PQ].mean == pytest.approx(0.50)
    assert ipl.overall.low < 0.75 < ipl.overall.high
    assert (board.metric, board.metrics, board.tasks) == (DICE, (DICE, AJI, PQ), ("human2stem", "lucchi2vnc"))


def test_the_best_is_first_and_what_saw_target_labels_is_not_ranked(benchmark, board_of):
    board = board_of(benchmark)
    assert [s.entry for s in board.standings] == ["ipl", "sac", "source-only", "oracle"]
    assert [s.rank.mean if s.rank else None for s in board.standings] == [1.0, 2.0, 3.0, None]
    assert [s.bracket for s in board.standings] == ["", "", "lower", "upper"]
    assert standing(board, "oracle").groups == ""
    assert standing(board, "oracle").overall.mean == pytest.approx(0.85)  # known, not ranked
    differences = {(pair.first, pair.second): pair.difference.mean for pair in board.differences}
    assert differences == pytest.approx(
        {("ipl", "sac"): 0.20, ("ipl", "source-only"): 0.30, ("sac", "source-only"): 0.10}
    )


def test_each_is_compared_with_what_it_started_from(benchmark, board_of):
    board = board_of(benchmark)
    found = {s.entry: (s.reference, s.difference and round(s.difference.mean, 6)) for s in board.standings}
    assert found == {
        "ipl": ("source-only", 0.3),
        "sac": ("source-only", 0.1),
        "source-only": ("", None),
        "oracle": ("", None),
    }
    plain = {pair.first: pair.p for pair in board.differences if pair.second == "source-only"}
    assert standing(board, "ipl").p == pytest.approx(min(1.0, max(2 * min(plain.values()), plain["ipl"])))
    assert not any(s.is_below for s in board.standings)


def test_with_an_entry_that_the_reader_names(benchmark, board_of):
    board = board_of(benchmark, reference="ipl")
    found = {s.entry: (s.reference, s.difference and round(s.difference.mean, 6)) for s in board.standings}
    assert found["sac"] == ("ipl", -0.2)
    assert found["source-only"] == ("ipl", -0.3)
    for name in ("ipll", "oracle"):
        with pytest.raises(UnknownNameError, match=f"unknown reference '{name}'"):
            load(benchmark, reference=name)


def test_worse_than_doing_nothing_is_no_winner(benchmark, board_of):
    """However few others there are: a row below its start says so, is ranked below it, and has no star."""
    for task in ("human2stem", "lucchi2vnc"):
        three_seeds(benchmark.runs, "ualr", task, 0.3, cost=60.0, seconds=150.0, bracket="none")
    board = board_of(benchmark)
    ualr = standing(board, "ualr")
    assert (ualr.is_below, ualr.pareto, ualr.rank.mean) == (True, False, 4.0)
    assert standing(board, "source-only").rank.mean == 3.0
    assert any(note.startswith("ualr is 15.0 points below source-only (95 % ") for note in board.notes)
    assert "ualr (below source-only)" in {str(row[1]) for s in text_table(board).sections for row in s.rows}


def test_gap_costs_and_front(benchmark, board_of):
    board = board_of(benchmark)
    ipl, sac = standing(board, "ipl"), standing(board, "sac")
    assert ipl.gap_closed == pytest.approx(0.75)  # 0.3 of 0.4 on both tasks
    assert sac.gap_closed == pytest.approx(0.25)
    assert standing(board, "oracle").gap_closed is None
    assert (ipl.annotation_seconds, sac.annotation_seconds) == (120.0, 0.0)
    assert (ipl.train_seconds, sac.train_seconds) == (250.0, 150.0)
    assert ipl.peak_memory_bytes == 2**30
    assert (ipl.pareto, sac.pareto) == (True, True)  # one is better, one is cheaper


def test_weights_that_know_the_target_are_shown_and_not_ranked(benchmark, board_of):
    for task in ("human2stem", "lucchi2vnc"):
        three_seeds(benchmark.runs, "sam", task, 0.9, weights_saw="micro-sam: stem")
    board = board_of(benchmark)
    (seen,) = [s for s in board.standings if s.bracket == "seen"]
    assert seen.entry == "sam (its weights saw: micro-sam: stem)"
    assert seen.is_apart
    assert seen.rank is None
    assert seen.overall.mean == pytest.approx(0.9)
    assert any("Not ranked, because the initial weights" in note and "micro-sam: stem" in note for note in board.notes)


def test_the_better_of_two_brackets_counts(benchmark, board_of):
    """An oracle that goes on from the source model stands beside the one from scratch."""
    for task, level in (("human2stem", 0.94), ("lucchi2vnc", 0.84)):
        three_seeds(benchmark.runs, "oracle-from-source", task, level, cost=0.0, seconds=150.0, bracket="upper")
    board = board_of(benchmark)
    assert standing(board, "ipl").gap_closed == pytest.approx(0.3 / 0.44)
    three_seeds(benchmark.runs, "oracle-half", "human2stem", 0.99, cost=0.0, seconds=150.0, bracket="upper")
    assert standing(board_of(benchmark), "ipl").gap_closed == pytest.approx(0.3 / 0.44), (
        "one that lacks a task does not"
    )


def test_by_another_metric_and_one_that_nobody_has(benchmark, board_of):
    board = board_of(benchmark, "pq")
    assert board.metric == PQ
    assert standing(board, "ipl").overall.mean == pytest.approx(0.55)
    with pytest.raises(UnknownNameError, match=r"unknown metric 'dise'.*\n.*'dice'"):
        load(benchmark, by="dise")


def test_cells_lead_to_runs_and_panels(benchmark, board_of):
    cells = standing(board_of(benchmark), "ipl").cells
    assert [(c.task, c.seed) for c in cells] == [(t, s) for t in ("human2stem", "lucchi2vnc") for s in range(3)]
    assert cells[0].panels == (f"{cells[0].path}/panels/slice-0000-median.png",)
    assert standing(board_of(benchmark), "ipl").tags["method"] == "ipl"
    assert "seed" not in standing(board_of(benchmark), "ipl").tags


# ------------------------------------------------------------------------------------------------------------ missing
def test_an_entry_without_a_task_is_not_ranked_and_says_why(benchmark, board_of):
    three_seeds(benchmark.runs, "cafa", "human2stem", 0.95)
    write_cell(benchmark.runs, "cafa", "lucchi2vnc", 0, status="oom", reason="out of memory")
    write_cell(benchmark.runs, "cafa", "lucchi2vnc", 1, status="failed", reason="loss is NaN")
    write_cell(benchmark.runs, "cafa", "lucchi2vnc", 2, status="failed", reason="loss is NaN")
    board = board_of(benchmark)
    cafa = board.standings[-1]
    assert (cafa.entry, cafa.overall, cafa.rank, cafa.groups) == ("cafa", None, None, "")
    assert cafa.scores["human2stem"][DICE].mean == pytest.approx(0.95)
    assert cafa.missing == ("lucchi2vnc seed 0: oom (out of memory)", "lucchi2vnc seed 1, 2: failed (loss is NaN)")
    assert standing(board, "ipl").rank.mean == 1.0


def test_a_failed_seed_is_missing_and_never_zero(benchmark, board_of):
    write_cell(benchmark.runs, "ipl", "human2stem", 3, status="failed", reason="why", bracket="none")
    ipl = standing(board_of(benchmark), "ipl")
    assert ipl.overall.mean == pytest.approx(0.75)
    assert ipl.missing == ("human2stem seed 3: failed (why)",)
    assert ipl.rank.mean == 1.0


def test_a_long_reason_is_cut_under_the_board_and_whole_with_the_cell(workspace, board_of):
    reason = f"PluginError: {'word ' * 99}\n  a traceback"
    write_cell(workspace.runs, "ipl", status="failed", reason=reason)
    (ipl,) = board_of(workspace).standings
    assert ipl.missing[0].endswith("word ...)")
    assert len(ipl.missing[0]) < 190
    assert ipl.cells[0].reason == reason


def test_a_cell_without_scores_is_missing(workspace, board_of):
    run = write_cell(workspace.runs, "ipl") / "journal.jsonl"
    run.write_text("".join(line for line in run.read_text().splitlines(keepends=True) if '"scored"' not in line))
    write_cell(workspace.runs, "sac")
    board = board_of(workspace)
    assert standing(board, "ipl").missing == ("human2stem seed 0: not scored",)


def test_one_entrys_further_tasks_do_not_make_all_others_incomplete(benchmark, board_of):
    three_seeds(benchmark.runs, "ipl", "rat2human", 0.9, bracket="none")
    three_seeds(benchmark.runs, "sac", "rat2lucchi", 0.9, bracket="none")
    board = board_of(benchmark)
    assert board.tasks == ("human2stem", "lucchi2vnc")
    assert standing(board, "ipl").overall.mean == pytest.approx(0.75)
    assert any("rat2human (of 1), rat2lucchi (of 1)" in note for note in board.notes)


def made_up_entry(label, tasks, bracket="none"):
    rows = [Row(f"{label}-{t}", "ok", {"task": t, "seed": "0", "bracket": bracket}, {}, {DICE: 0.5}) for t in tasks]
    return Entry(label, tuple(rows))


@pytest.mark.parametrize(
    ("having", "expected"),
    [
        ({"a": "xy", "b": "xy"}, "xy"),
        ({"a": "xyz", "b": "xy", "c": "xy"}, "xy"),  # 3 entries x 2 tasks; nobody shares z
        ({"a": "xyz", "b": "xyz", "c": "x"}, "xyz"),  # 2 x 3 beats 3 x 1
        ({"a": "xy", "b": "xy", "c": "x", "d": "x", "e": "x"}, "x"),  # 5 x 1 beats 2 x 2
        ({"a": "xyz"}, "xyz"),
        ({"a": "x", "b": "y"}, "xy"),  # nothing can be compared: all are shown
        ({}, ""),
    ],
)
def test_the_tasks_of_a_board_are_those_that_rank_the_most(having, expected):
    entries = [made_up_entry(label, tasks) for label, tasks in having.items()]
    assert ranked_tasks(entries, DICE) == tuple(expected)


def test_a_suite_keeps_all_of_its_tasks():
    entries = [made_up_entry("a", "xy"), made_up_entry("b", "xy"), *(made_up_entry(n, "x") for n in "cde")]
    assert ranked_tasks(entries, DICE, planned=("x", "y", "z")) == ("x", "y")


# ----------------------------------------------------------------------------------------------------------- settings
@pytest.mark.parametrize("other", [{"data": "real"}, {"preset": "small"}, {"protocol": "das-2d-pooled@1"}])
def test_settings_never_share_a_board(benchmark, other):
    write_cell(benchmark.runs, "ipl", "human2stem", 0, (0.99,), **other)
    boards = load(benchmark).boards()
    assert len(boards) == 2
    assert len({board.setting for board in boards}) == 2
    mine = next(b for b in boards if all(getattr(b.setting, k) == v for k, v in other.items()))
    assert [s.entry for s in mine.standings] == ["ipl"]
    (rest,) = [b for b in boards if b is not mine]
    assert standing(rest, "ipl").overall.mean == pytest.approx(0.75)


def test_another_test_split_takes_no_part(benchmark, board_of):
    write_cell(benchmark.runs, "cafa", "human2stem", 0, (0.99,), data_digest="aaaa+bbbb+eeee")
    three_seeds(benchmark.runs, "cafa", "lucchi2vnc", 0.9)
    cafa = standing(board_of(benchmark), "cafa")
    assert cafa.rank is None
    assert cafa.missing == ("human2stem seed 0: other data (its test split is eeee, but cccc for most others)",)
    assert cafa.cells[0].status == "other data"


def test_scores_that_used_target_labels_are_never_ranked(workspace, board_of):
    from dabench.tracking import CellFinished, Journal, Scored

    run = write_cell(workspace.runs, "ipl", slices=(0.5,))
    journal = Journal(run)
    journal.append(Scored("only", "train", "das-2d@1", "fast", 0.0, {"dice": 0.99}, 1))
    journal.append(CellFinished("ok"))
    board = board_of(workspace)
    assert standing(board, "ipl").overall.mean == pytest.approx(0.5)
    assert board.metrics == (DICE, AJI, PQ)


# ------------------------------------------------------------------------------------------------------------ origins
def test_a_result_from_elsewhere_stands_beside_ours_with_its_origin(benchmark, board_of):
    for task in ("human2stem", "lucchi2vnc"):
        for seed in range(3):
            name = f"ipl-{task}-s{seed}-lab"
            write_cell(benchmark.runs, "ipl", task, seed, (0.6,), bracket="none", origin="lab-b", cell_id=name)
    board = board_of(benchmark)
    assert [s.entry for s in board.standings][:2] == ["ipl", "ipl (lab-b)"]
    assert standing(board, "ipl (lab-b)").overall.mean == pytest.approx(0.6)
    assert {c.origin for c in standing(board, "ipl (lab-b)").cells} == {"lab-b"}
    assert standing(board, "ipl").overall.mean == pytest.approx(0.75)


def test_seeds_of_two_machines_are_one_entry(benchmark, board_of):
    for task in ("human2stem", "lucchi2vnc"):
        write_cell(benchmark.runs, "ipl", task, 3, (0.75,), bracket="none", origin="node-2")
    ipl = standing(board_of(benchmark), "ipl (here + node-2)")
    assert [c.seed for c in ipl.cells if c.task == "human2stem"] == [0, 1, 2, 3]


def test_a_cell_that_was_run_under_two_names_counts_once(workspace, board_of):
    write_cell(workspace.runs, "ipl", slices=(0.5,), cell_id="a", test_points=(0.0, 1.0))
    write_cell(workspace.runs, "ipl", slices=(0.9,), cell_id="b")
    board = board_of(workspace)
    (ipl,) = board.standings
    assert [c.cell_id for c in ipl.cells] == ["a"]  # the one with more scores


# -------------------------------------------------------------------------------------------------------------- notes
def test_notes_say_what_the_numbers_can_bear(benchmark, board_of):
    notes = "\n".join(board_of(benchmark).notes)
    assert "Phantom data" in notes
    assert "corrected for all pairs" in notes
    assert "ipl and sac must differ by" in notes
    assert "seeds and slices are resampled" in notes
    assert "anecdote" not in notes
    assert "simulated" not in notes


def test_few_seeds_are_called_an_anecdote_and_simulated_raters_simulated(workspace, board_of):
    write_cell(workspace.runs, "ipl", rater="simulated:0", points=0.15, cost=60.0)
    write_cell(workspace.runs, "sac", device="cuda:1")
    notes = "\n".join(board_of(workspace).notes)
    assert "too few for a conclusion: ipl, sac." in notes
    assert "Annotation is simulated from labels" in notes
    assert "Trained on cpu and cuda: times and memory are not comparable." in notes


def test_figures_are_drawn_only_when_asked(benchmark):
    found = load(benchmark)
    assert found.boards()[0].figures == {}
    figures = found.boards(with_figures=True)[0].figures
    assert list(figures) == ["Critical differences", "Quality against annotation", "Quality against training time"]
    assert all(svg.lstrip().startswith("<") and "</svg>" in svg for svg in figures.values())


def test_nothing_scored_at_all_is_a_board_of_gaps(workspace, board_of):
    write_cell(workspace.runs, "ipl", status="failed", reason="why")
    board = board_of(workspace)
    assert [(s.entry, s.missing) for s in board.standings] == [("ipl", ("human2stem seed 0: failed (why)",))]
    assert board.tasks == ("human2stem",)


# ------------------------------------------------------------------------------------------------------------- orders
@pytest.fixture(scope="module")
def some_rows(tmp_path_factory):
    """Rows of several methods, networks, origins and outcomes, and the boards that they make."""
    place = Workspace(tmp_path_factory.mktemp("rows"))
    for method, dice in (("ipl", 0.8), ("sac", 0.6), ("ualr", 0.7)):
        for seed in (0, 1):
            write_cell(place.runs, method, "human2stem", seed, (dice, dice + 0.1 * seed))
    write_cell(place.runs, "cafa", "human2stem", 0, network="unet")
    write_cell(place.runs, "cafa", "human2stem", 1, status="failed", reason="why", network="deeplab")
    write_cell(place.runs, "ipl", "lucchi2vnc", 7, origin="lab-b")
    write_cell(place.runs, "ipl", "human2stem", 0, data="real")
    with Index(place) as index:
        index.refresh()
        return index.rows(), boards_of(index.rows())


def boards_of(rows):
    found = by_setting(rows)
    return [BoardEntries(setting, tuple(free_entries(some))).board(DICE, (DICE,)) for setting, some in found.items()]


@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_the_order_of_rows_changes_nothing(some_rows, data):
    rows, boards = some_rows
    assert len(boards) == 2
    assert boards_of(data.draw(st.permutations(rows))) == boards
