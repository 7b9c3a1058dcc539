"""The table of scores: every number that a run scored, one row each, in ``scores.parquet`` beside the journal.

A row says of which run, stage, split, protocol, inference profile and share of test points a value is. ``slice`` is the
slice's index, or null for the whole split. Counts are rows too: ``n`` slices that count and ``left_out`` of a split;
``left_out`` of a slice is 1 where it does not count, else 0.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dabench.errors import DataError
from dabench.files.atomic import atomic
from dabench.tracking.events import Scored

if TYPE_CHECKING:
    from pandas import DataFrame
    from pyarrow import Schema

SCORES = "scores.parquet"
#: Split whose scores may be ranked.
RANKED_SPLIT = "test"
#: Metrics of every score that are counts of slices.
COUNTS = ("n", "left_out")
#: Folder of the same rows a slice as CSV, for people: these say in words why a slice was left out.
PER_SLICE = "per_slice"


class ScoreRow(NamedTuple):
    """One number. ``test_points`` is the share of true centres given as prompts, 0 to 1; ``slice`` None: the split."""

    run: str
    stage: str
    split: str
    protocol: str
    inference: str
    test_points: float
    slice: int | None
    metric: str
    value: float


class ScoreKey(NamedTuple):
    """Which of a cell's own scores: at which share of test points, by which metric."""

    test_points: float
    metric: str


def percent(share: float) -> str:
    """A share as a number of per cent that keeps different shares apart: 0.15 is ``15``, 0.154 is ``15.4``."""
    return f"{round(100 * share, 6):.10g}"


def split_rows(run: str, scored: Scored) -> Iterator[ScoreRow]:
    """The rows of a whole split."""
    place = (run, scored.stage, scored.split, scored.protocol, scored.inference, float(scored.test_points), None)
    values = {**scored.metrics, "n": scored.n, "left_out": scored.left_out}
    yield from (ScoreRow(*place, metric, float(value)) for metric, value in values.items())


def slice_rows(run: str, scored: Scored, slices: Iterable[Mapping[str, Any]]) -> Iterator[ScoreRow]:
    """The rows of its slices: ``slice`` int, scores, and ``left_out``, the reason or ""."""
    place = (run, scored.stage, scored.split, scored.protocol, scored.inference, float(scored.test_points))
    for row in slices:
        values = {**row, "left_out": bool(row["left_out"])}
        z = int(values.pop("slice"))
        yield from (ScoreRow(*place, z, metric, float(value)) for metric, value in values.items())


def kept_rows(run: str, scored: Scored, kept: Mapping[str, Sequence[float | None]]) -> Iterator[ScoreRow]:
    """The rows of slices that recorded results keep of a score; a slice without a value was left out."""
    depth = max(map(len, kept.values()), default=0)
    for z in range(depth):
        values = {metric: along[z] for metric, along in kept.items() if along[z] is not None}
        yield from slice_rows(run, scored, [{"slice": z, **values, "left_out": not values}])


def csv_name(scored: Scored, run_dir: Path | None = None) -> str:
    """The CSV with the slices of a score, relative to the run directory.

    Runs of before there was the table were named after whole per cent: with ``run_dir``, that name where it is there.
    """
    start = f"{PER_SLICE}/{scored.stage}-{scored.protocol}-points"
    exact, rounded = (f"{start}{p}.csv" for p in (percent(scored.test_points), round(100 * scored.test_points)))
    old = run_dir is not None and not (run_dir / exact).is_file() and (run_dir / rounded).is_file()
    return rounded if old else exact


# ------------------------------------------------------------------------------------------------------------- file
def schema() -> Schema:
    """Names and types of the columns."""
    import pyarrow as pa

    text = [(name, pa.string()) for name in ("run", "stage", "split", "protocol", "inference")]
    last = [("slice", pa.int64()), ("metric", pa.string()), ("value", pa.float64())]
    nullable = {"slice"}
    return pa.schema([pa.field(n, t, nullable=n in nullable) for n, t in [*text, ("test_points", pa.float64()), *last]])


def write_scores(path: Path, rows: Iterable[ScoreRow]) -> None:
    """Write a table, atomically; the same rows give the same bytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = list(zip(*rows, strict=True)) or [() for _ in ScoreRow._fields]
    kinds = schema()
    table = pa.table([pa.array(c, kind.type) for c, kind in zip(columns, kinds, strict=True)], schema=kinds)
    with atomic(path) as part:
        pq.write_table(table, part, compression="zstd")


def read_scores(path: Path) -> tuple[ScoreRow, ...]:
    """Read a table. Raises DataError, naming the file, for one that is damaged or has other columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    where = "/".join(path.parts[-2:])
    try:
        table = pq.ParquetFile(path).read()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(where, str(error).splitlines()[0]) from None
    if not table.schema.equals(schema()):
        raise _damaged(where, f"its columns are {', '.join(table.schema.names)}, or of other types")
    return tuple(map(ScoreRow, *(table.column(name).to_pylist() for name in ScoreRow._fields)))


def _damaged(where: str, why: str) -> DataError:
    return DataError(f"{where} is damaged ({why[:160]}).", "Run the cell again.")


def rows_of_old_run(run_dir: Path, run: str, scores: Iterable[Scored]) -> Iterator[ScoreRow]:
    """The rows of a run of before there was the table, or of one that did not end: from its journal and CSVs."""
    for scored in scores:
        yield from split_rows(run, scored)
        yield from slice_rows(run, scored, _csv_rows(run_dir, scored))


def _csv_rows(run_dir: Path, scored: Scored) -> list[dict[str, Any]]:
    path = run_dir / csv_name(scored, run_dir)
    return read_csv(path) if path.is_file() else []


def read_csv(path: Path) -> list[dict[str, Any]]:
    """Rows of a per-slice CSV: ``slice`` int, ``left_out`` str, scores float (an empty field is left out).

    Raises DataError naming file and line.
    """
    with path.open(newline="", encoding="utf-8") as handle:
        return [_csv_row(path, number, fields) for number, fields in enumerate(csv.DictReader(handle), start=2)]


def _csv_row(path: Path, number: int, fields: Mapping[Any, Any]) -> dict[str, Any]:
    try:
        if None in fields or None in fields.values():
            raise ValueError("too many or too few fields")
        row: dict[str, Any] = {"slice": int(fields["slice"]), "left_out": str(fields["left_out"])}
        return row | {k: float(v) for k, v in fields.items() if k not in row and v != ""}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path.parent.name}/{path.name}, line {number} is damaged ({error})") from None


# ------------------------------------------------------------------------------------------------------------ reading
def along_slices(rows: Sequence[ScoreRow]) -> dict[str, list[float]]:
    """Rows of slices of one score as lists in order of slices, by metric; NaN where a slice has no value."""
    depth = max((row.slice for row in rows if row.slice is not None), default=-1) + 1
    found: dict[str, list[float]] = {}
    for row in rows:
        if row.slice is not None:
            found.setdefault(row.metric, [math.nan] * depth)[row.slice] = row.value
    return found


def frame(rows: Iterable[ScoreRow]) -> DataFrame:
    """The rows as a DataFrame with the columns of `ScoreRow`; ``slice`` is a nullable Int64."""
    import pandas as pd

    table = pd.DataFrame(list(rows), columns=list(ScoreRow._fields))
    return table.astype({"slice": "Int64", "test_points": "float64", "value": "float64"})
