"""Matched and native cells share no table; cells that leave the pixel size to their domains are where they ran."""

from __future__ import annotations

from made_up_cells import write_cell

from dabench.leaderboard.gather import load
from dabench.leaderboard.tables import title_of
from dabench.suites.spec import Suite, expand
from dabench.suites.suite_record import write_suite_record

SUITE = {
    "name": "sizes",
    "settings": {"data": "phantom", "preset": "tiny", "inference": "fast"},
    "axes": {"task": ["human2stem"], "seed": [0, 1]},
    "rows": {"ours": {"method": "ipl"}},
}


def test_matched_and_native_rows_share_no_table(workspace):
    write_cell(workspace.runs, "ipl", pixel_size="match")
    write_cell(workspace.runs, "ipl", pixel_size="native")
    write_cell(workspace.runs, "ualr")  # of before there was the tag
    boards = {board.setting.pixel_size: board for board in load(workspace, by="dice").boards()}
    assert {size: {s.entry for s in board.standings} for size, board in boards.items()} == {
        "native": {"ipl", "ualr"},
        "match": {"ipl"},
    }
    assert "matched pixel sizes" in title_of(boards["match"])
    assert "pixel" not in title_of(boards["native"])


def test_a_suite_that_leaves_it_to_its_domains_is_where_it_ran(workspace):
    suite = Suite.model_validate(SUITE)
    cells = expand(suite)
    write_suite_record(workspace, suite, cells)
    config = cells[0].config
    write_cell(
        workspace.runs, "ipl", config.task, config.seed, cell_id=config.cell_id, suite="sizes", pixel_size="match"
    )
    (board,) = load(workspace, by="dice", suite="sizes").boards()
    assert board.setting.pixel_size == "match"
    (standing,) = board.standings
    assert standing.entry == "ours"
    assert [cell.seed for cell in standing.cells] == [0]
    assert standing.missing == ("human2stem seed 1: not run",)
