"""The table of scores: its file, its types, shares kept apart, and the names that MLflow gets."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from dabench.errors import DataError
from dabench.tracking.events import Scored
from dabench.tracking.metric_names import named_metrics, score_name
from dabench.tracking.scores import (
    ScoreKey,
    ScoreRow,
    along_slices,
    frame,
    read_scores,
    slice_rows,
    split_rows,
    write_scores,
)


def scored(share: float, dice: float) -> Scored:
    return Scored("last", "test", "das-2d@1", "fast", share, {"dice": dice}, n=2, left_out=1)


def table() -> list[ScoreRow]:
    slices = [{"slice": 0, "dice": 0.25, "left_out": ""}, {"slice": 1, "left_out": "empty"}]
    return [*split_rows("a-cell", scored(0.15, 0.5)), *slice_rows("a-cell", scored(0.15, 0.5), slices)]


def test_a_table_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    for name in ("one.parquet", "two.parquet"):
        write_scores(tmp_path / name, table())
    assert read_scores(tmp_path / "one.parquet") == tuple(table())
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()


def test_counts_of_a_split_and_slices_that_were_left_out_are_rows() -> None:
    values = {(row.slice, row.metric): row.value for row in table()}
    assert values == {
        (None, "dice"): 0.5, (None, "n"): 2.0, (None, "left_out"): 1.0,
        (0, "dice"): 0.25, (0, "left_out"): 0.0, (1, "left_out"): 1.0,
    }  # fmt: skip
    assert along_slices(table())["dice"][0] == 0.25
    assert math.isnan(along_slices(table())["dice"][1])


def test_columns_of_the_frame_are_typed() -> None:
    kinds = {name: str(kind) for name, kind in frame(table()).dtypes.items()}
    assert (kinds["slice"], kinds["test_points"], kinds["value"]) == ("Int64", "float64", "float64")
    assert list(kinds) == list(ScoreRow._fields)


def test_a_damaged_table_is_named(tmp_path: Path) -> None:
    write_scores(tmp_path / "scores.parquet", table())
    content = (tmp_path / "scores.parquet").read_bytes()
    (tmp_path / "scores.parquet").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"scores.parquet is damaged"):
        read_scores(tmp_path / "scores.parquet")


@pytest.mark.parametrize(
    ("share", "name"), [(0.15, "points_15/dice"), (0.154, "points_15.4/dice"), (1.0, "points_100/dice")]
)
def test_shares_have_names_of_their_own(share: float, name: str) -> None:
    key = ScoreKey(share, "dice")
    assert score_name(key) == f"target_test/{name}"


def test_close_shares_are_two_metrics() -> None:
    events = [scored(0.15, 0.5), scored(0.154, 0.6)]
    rows = [row for event in events for row in split_rows("a-cell", event) if row.metric == "dice"]
    found = {name: value for name, (value, _) in named_metrics(rows, events, {}, "last").items()}
    assert found == {"target_test/points_15/dice": 0.5, "target_test/points_15.4/dice": 0.6}
