"""CSV, JSON and Markdown: everything in them, no folder of this machine, the same bytes every time."""

from __future__ import annotations

import csv
import io
import json

import pytest
from made_up_cells import DICE, PQ, write_cell

from dabench.leaderboard.board import Board, BoardKey, PublishedRow, Standing
from dabench.leaderboard.exports import to_csv, to_json, to_markdown
from dabench.leaderboard.gather import load
from dabench.leaderboard.metric import Metric
from dabench.leaderboard.tables import text_table
from dabench.statistics import Interval


def csv_of(workspace):
    found = load(workspace)
    return to_csv(found.rows, found.entry_names, workspace.root)


def test_csv_has_a_line_a_cell_with_every_tag_and_metric(benchmark):
    write_cell(benchmark.runs, "cafa", status="failed", reason='said "no", twice')
    text = csv_of(benchmark)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 25
    assert str(benchmark.root) not in text
    one = next(row for row in rows if row["cell_id"] == "ipl-none-human2stem-s1")
    assert (one["entry"], one["task"], one["seed"], one["status"]) == ("ipl", "human2stem", "1", "ok")
    assert float(one["target_test/dice"]) == pytest.approx(0.8)
    assert float(one["cost/annotation_seconds"]) == 120.0
    assert one["path"] == "runs/ipl-none-human2stem-s1"
    failed = next(row for row in rows if row["method"] == "cafa")
    assert (failed["status"], failed["reason"], failed["target_test/dice"]) == ("failed", 'said "no", twice', "")


SEEN = {"inference": "fast", "pixel_size": "native"}


def test_json_has_the_boards_without_figures_and_without_nan(benchmark):
    text = to_json(load(benchmark).boards(with_figures=True), benchmark.root, ["one"])
    found = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert found["damaged"] == ["one"]
    (board,) = found["boards"]
    assert board["setting"] == {"data": "phantom", "preset": "tiny", "protocol": "das-2d@1", **SEEN}
    assert board["standings"][0]["entry"] == "ipl"
    assert board["standings"][0]["overall"]["mean"] == pytest.approx(0.75)
    assert board["standings"][0]["cells"][0]["panels"] == ["runs/ipl-none-human2stem-s0/panels/slice-0000-median.png"]
    assert "figures" not in board
    assert str(benchmark.root) not in text


def test_the_same_bytes_every_time(benchmark):
    def everything():
        boards = load(benchmark, anew=True).boards()
        return csv_of(benchmark), to_json(boards, benchmark.root), to_markdown(boards)

    assert everything() == everything()


def made_up_board():
    third = Interval(0.7012, 0.65, 0.75, 0.0123, 3)
    unsure = Interval(0.5, 0.0, 1.0, None, 1)
    standings = (
        Standing(
            "a|b",
            {"x": {DICE: third}},
            third,
            Interval(1.0, 1.0, 2.0, None, 3),
            "a",
            gap_closed=0.756,
            annotation_seconds=90.0,
            train_seconds=300.0,
            peak_memory_bytes=1.5 * 2**30,
            pareto=True,
        ),
        Standing("top", {"x": {DICE: unsure}}, unsure, bracket="upper", train_seconds=200.0),
        Standing("torn", {}, missing=("x seed 0: failed (<b>why</b>)",)),
    )
    published = (PublishedRow("a|b", "Paper, Table 2", {"x": {DICE: 0.8, PQ: 0.1}}, "printed twice"),)
    setting = BoardKey("real", "small", "das-2d@1", "fast")
    return Board(setting, DICE, (DICE, PQ), ("x",), standings, published, notes=("One note.",), suite="s/t")


def test_the_table_in_words():
    table = text_table(made_up_board())
    assert table.title == "s/t: real data, preset small, das-2d@1, fast inference, by Dice"
    assert dict(zip(table.names, table.lines(table.sections[0])[0], strict=True)) == {
        "rank": "1.0 (1.0-2.0)",
        "entry": "a|b *",
        "Dice": "70.1 ± 1.2",
        "95 %": "65.0-75.0",
        "x": "70.1 ± 1.2",
        "group": "a",
        "gap %": "76",
        "label min": "1.5",
        "time": "1.5 x",
        "GiB": "1.5",
        "seeds": "0",
    }
    titles = [section.title for section in table.sections]
    assert titles == ["", "upper bracket, not ranked", "incomplete, not ranked", "published: Paper, Table 2"]
    low, torn, paper = (dict(zip(table.names, table.lines(s)[0], strict=True)) for s in table.sections[1:])
    assert (low["rank"], low["Dice"], low["95 %"], low["time"]) == ("", "50.0", "unknown", "1.0 x")
    assert (torn["Dice"], torn["x"]) == ("-", "-")
    assert (paper["entry"], paper["Dice"], paper["x"], paper["group"]) == ("a|b", "80.0", "80.0", "")
    assert table.notes == (
        "missing: torn: x seed 0: failed (<b>why</b>)",
        "One note.",
        "Paper, Table 2: printed twice",
    )


def test_a_narrow_terminal_drops_the_least_important_first():
    table = text_table(made_up_board())
    wide = table.width()
    assert table.fitted(wide) == (table, ())
    narrower, dropped = table.fitted(wide - 1)
    assert [c for c in table.names if c not in narrower.names] == ["GiB"] == list(dropped)
    least, _ = table.fitted(1)
    assert least.names == ("rank", "entry", "Dice", "group")
    assert least.lines(least.sections[0])[0] == ("1.0 (1.0-2.0)", "a|b *", "70.1 ± 1.2", "a")


def test_markdown_keeps_its_table_whatever_entries_are_called():
    text = to_markdown([made_up_board()])
    lines = text.splitlines()
    assert lines[0] == "### s/t: real data, preset small, das-2d@1, fast inference, by Dice"
    assert "a\\|b *" in lines[4]
    assert "&lt;b>why&lt;/b>" in text
    rows = [line for line in lines if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in rows} == {12}
    assert "- One note." in lines


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("dice", Metric("dice")),
        ("points_15.4/pq", Metric("pq", test_points=0.154)),
        ("stage/prompt-das/dice", Metric("dice", stage="prompt-das")),
        ("slices_25/dice", Metric("dice", percentile=25)),
        ("patches_3/agreement", Metric("agreement", patches=(3, 3))),
        ("patches_1-2/agreement", Metric("agreement", patches=(1, 2))),
        ("mitochondria/dice", Metric("mitochondria/dice")),
        ("points_many/dice", Metric("points_many/dice")),
    ],
)
def test_what_a_user_writes_has_parts_and_is_written_from_them(name, metric):
    assert Metric.parse(name) == metric
    assert str(metric) == name


def test_metrics_as_a_person_says_them():
    assert [Metric.parse(m).title for m in ("dice", "points_15/aji", "sq")] == [
        "Dice",
        "AJI with 15% test points",
        "sq",
    ]
