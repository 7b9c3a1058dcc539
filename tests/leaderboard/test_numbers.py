"""Statistics that are computed once: the same from memory, anew when a cell, a bracket or the code changes."""

from __future__ import annotations

import math
import sqlite3

import pytest
from made_up_cells import three_seeds, write_cell

import dabench.leaderboard.board_statistics as numbers_module
import dabench.leaderboard.results_cache as memory_module
from dabench.leaderboard.gather import load
from dabench.leaderboard.index import index_path
from dabench.leaderboard.results_cache import ResultsCache


@pytest.fixture
def computed(monkeypatch):
    """What was computed, in order."""
    seen = []
    for name in ("summarise", "compare"):
        real = getattr(numbers_module, name)

        def counted(*arguments, name=name, real=real, **options):
            seen.append(name)
            return real(*arguments, **options)

        monkeypatch.setattr(numbers_module, name, counted)
    return seen


def test_a_second_call_computes_nothing_and_gives_the_same(benchmark, computed):
    first = load(benchmark).boards(shown=False)
    assert sorted(computed) == ["compare", "summarise"]
    computed.clear()
    assert load(benchmark, anew=True).boards(shown=False) == first
    assert computed == []
    assert load(benchmark).boards(shown=False, with_figures=True)[0].figures


@pytest.mark.parametrize("change", [{"slices": (0.4, 0.4)}, {"slices": (0.31, 0.29)}, {"bracket": "upper"}])
def test_a_cell_that_changes_is_computed_anew(benchmark, computed, change):
    write_cell(benchmark.runs, "ualr", cell_id="x", **{"slices": (0.3, 0.3), "bracket": "none"})
    load(benchmark).boards(shown=False)
    computed.clear()
    write_cell(benchmark.runs, "ualr", cell_id="x", **{"slices": (0.3, 0.3), "bracket": "none", **change})
    load(benchmark).boards(shown=False)
    assert sorted(computed) == ["compare", "summarise"]


def test_other_code_computes_anew(benchmark, computed, monkeypatch):
    load(benchmark).boards(shown=False)
    computed.clear()
    monkeypatch.setattr(numbers_module, "source_digest", lambda *_: "another")
    load(benchmark).boards(shown=False)
    assert sorted(computed) == ["compare", "summarise"]


def test_with_too_many_entries_all_are_ranked_and_the_best_compared(workspace, monkeypatch):
    for number, method in enumerate(("ipl", "sac", "ualr", "cafa")):
        for task in ("human2stem", "lucchi2vnc"):
            three_seeds(workspace.runs, method, task, 0.8 - 0.1 * number)
    (whole,) = load(workspace).boards(shown=False)
    monkeypatch.setattr(numbers_module, "MOST_COMPARED", 2)
    (board,) = load(workspace).boards(shown=False)
    assert len(whole.differences) == 6
    assert [(d.first, d.second) for d in board.differences] == [("ipl", "sac")]
    assert [s.entry for s in board.standings] == ["ipl", "sac", "ualr", "cafa"]
    assert [s.rank for s in board.standings] == [s.rank for s in whole.standings]
    assert [bool(s.groups) for s in board.standings] == [True, True, False, False]
    assert any("corrected for all pairs of the best 2" in note for note in board.notes)


def test_memory_keeps_what_json_keeps(tmp_path):
    sqlite3.connect(tmp_path / "index.db").close()
    memory = ResultsCache(tmp_path / "index.db")
    value = {"a": [0.1 + 0.2, None, math.inf], "b": "é"}
    assert memory.recall("key") is None
    memory.keep("key", value)
    assert ResultsCache(tmp_path / "index.db").recall("key") == value


def test_what_was_not_used_for_longest_is_forgotten(tmp_path, monkeypatch):
    monkeypatch.setattr(memory_module, "_KEPT", 2)
    sqlite3.connect(tmp_path / "index.db").close()
    memory = ResultsCache(tmp_path / "index.db")
    memory.keep("a", 1)
    memory.keep("b", 2)
    assert memory.recall("a") == 1
    memory.keep("c", 3)
    assert [memory.recall(key) for key in "abc"] == [1, None, 3]


def test_without_a_file_nothing_is_remembered_and_nothing_made(tmp_path):
    (tmp_path / "torn.db").write_text("no database, and long enough to be looked at" * 99)
    for path in (None, tmp_path / "none.db", tmp_path / "torn.db", tmp_path):
        memory = ResultsCache(path)
        memory.keep("a", 1)
        assert memory.recall("a") is None
    assert not (tmp_path / "none.db").exists()


def test_a_board_without_an_index_is_the_same(benchmark):
    with_index = load(benchmark).boards(shown=False)
    index_path(benchmark).unlink()
    index_path(benchmark).mkdir()
    assert load(benchmark).boards(shown=False) == with_index
