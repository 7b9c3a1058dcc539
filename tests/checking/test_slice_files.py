"""Scores compared: closeness, rows, and whether a protocol takes means over slices."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dabench.checking.report import FAILED, NOT_CHECKED, OK, Findings
from dabench.checking.slices import averages, close, compare_rows
from dabench.components.assembly import Assembly
from dabench.components.registry import Registry
from dabench.errors import DataError
from dabench.evaluation.scoring import write_rows
from dabench.runs.weights import WeightsStore
from dabench.tracking.events import Scored
from dabench.tracking.scores import read_csv
from tests.conftest import few


@pytest.mark.parametrize(("name", "mean"), [("das-2d@1", True), ("instances-2d@1", True), ("das-2d-pooled@1", False)])
def test_whether_a_protocol_takes_means_is_found_by_trying(registry: Registry, name: str, mean: bool) -> None:
    protocol = Assembly(registry, few("source-only"), WeightsStore(Path("nowhere"))).protocol(name)
    assert averages(protocol) is mean


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        (0.5, 0.5 + 9e-7, True),
        (0.5, 0.5 + 2e-6, False),
        (1, 1.0, True),
        (math.nan, math.nan, False),
        (math.inf, math.inf, False),
        (None, 0.0, False),
        ("0.5", 0.5, False),
        (True, 1.0, False),
    ],
)
def test_close(one: object, two: object, same: bool) -> None:
    assert close(one, two) is same


def scored(dice: float, n: int = 2, left_out: int = 1) -> Scored:
    return Scored("last", "test", "das-2d@1", "fast", 0.0, {"dice": dice}, n, left_out)


ROWS = [
    {"slice": 0, "dice": 0.25, "left_out": ""},
    {"slice": 1, "left_out": "empty on both sides"},
    {"slice": 2, "dice": 0.75, "left_out": ""},
]


@pytest.mark.parametrize(
    ("event", "rows", "problem"),
    [
        (scored(0.6), ROWS, "last: dice is 0.600000 in the journal, but the mean of per_slice/last-das-2d@1-points0"),
        (scored(0.5, n=3), ROWS, "has 2 slices and 1 left out; the journal says 3 and 1"),
        (scored(0.5), [ROWS[0], ROWS[0], ROWS[1]], "expected each of the slices 0 to 2 once"),
        (scored(0.5, n=0, left_out=1), ROWS[1:2], "the mean of per_slice/last-das-2d@1-points0.csv is nan"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_rows(event: Scored, rows: list[dict[str, object]], problem: str) -> None:
    assert any(problem in found for found in compare_rows(event, rows, mean=True))


def test_rows_of_a_pooled_protocol_are_only_counted() -> None:
    assert list(compare_rows(scored(0.5), ROWS, mean=True)) == []
    assert list(compare_rows(scored(0.6), ROWS, mean=False)) == []
    assert len(list(compare_rows(scored(0.6, n=9), ROWS, mean=False))) == 1


@settings(max_examples=20)
@given(values=st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_rows_come_back_as_they_were_written(tmp_path_factory: pytest.TempPathFactory, values: list[float]) -> None:
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    rows = [{"slice": z, "left_out": "", "dice": value} for z, value in enumerate(values)]
    write_rows(path, rows)
    assert read_csv(path) == rows
    mean = math.fsum(values) / len(values)
    assert list(compare_rows(scored(mean, n=len(values), left_out=0), read_csv(path), mean=True)) == []


@pytest.mark.parametrize("text", ["slice,left_out\nx,\n", "slice,dice,left_out\n0,1\n", "slice,left_out\n0,,7\n"])
def test_damaged_rows_are_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "rows.csv").write_text(text)
    with pytest.raises(DataError, match=r"rows.csv, line 2 is damaged"):
        read_csv(tmp_path / "rows.csv")


def test_a_problem_outweighs_what_was_not_checked_and_what_is_in_order() -> None:
    found = Findings()
    assert found.check("x").state == OK
    found.skip("no labels")
    assert found.check("x").state == NOT_CHECKED
    found.note("digests agree")
    assert (found.check("x").state, found.check("x").lines) == (OK, ("digests agree", "not checked: no labels"))
    for number in range(12):
        found.problem(f"file {number}")
    assert found.check("x").state == FAILED
    assert found.check("x").lines[-1] == "... and 4 more"
