"""Recorded results: the journals of many runs in one file, small enough to keep beside a page that quotes them.

The file has the events of each run's last attempt, one line each; a ``cell_started`` begins the next run. It holds
every score of whole splits, those of the last stage by slice, cost, setting, the digests of weights and prediction, and
the row of a suite as the tag ``row``, but no files. What only a run's files are good for (plugins, how to rebuild the
model) is left out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from dabench.errors import DataError
from dabench.files.atomic import write_text
from dabench.tracking.events import CellStarted, Event, Kept, ModelMade, to_line
from dabench.tracking.journal import read_journal
from dabench.tracking.record import HERE, RunRecord
from dabench.tracking.run_reader import record_of

#: How such a file's name ends.
SUFFIX = ".jsonl"
#: Digits of a score of a slice: their mean is the score of the split to six digits.
_DIGITS = 7
#: Of every slice beside its scores: true and predicted objects.
_COUNTED = ("n_true", "n_pred")


def write_recorded(path: Path, runs: Iterable[RunRecord]) -> None:
    """Write the journals of runs into one file, atomically, each with the tags of its record."""
    lines = [to_line(event) for run in runs for event in _kept_events(run)]
    write_text(path, "".join(f"{line}\n" for line in lines))


def add_recorded(path: Path, runs: Iterable[RunRecord]) -> int:
    """Add runs to a file of recorded results, or make it; a run replaces the earlier one of its cell.

    Returns:
        How many runs the file has then.

    Raises:
        DataError: the file is there and damaged; it is left as it is.
    """
    earlier = read_recorded(path) if path.is_file() else []
    found = {run.cell_id: run for run in [*earlier, *runs]}
    if found:
        write_recorded(path, found.values())
    return len(found)


def _kept_events(run: RunRecord) -> Iterator[Event]:
    start, *rest = run.events
    if not isinstance(start, CellStarted):
        raise TypeError(f"{run.cell_id}: its events begin with {start.kind!r}")
    yield replace(start, tags=dict(run.tags), plugins=())
    yield from (event for event in rest if not isinstance(event, ModelMade | Kept))
    kept = _kept(run)
    if kept.slices or kept.digests:
        yield kept


def _kept(run: RunRecord) -> Kept:
    """What the run's files say, or the record that the run was read from."""
    earlier = next((event for event in run.events if isinstance(event, Kept)), None)
    if earlier is not None:
        return earlier
    slices: dict[str, dict[str, list[float | None]]] = {}
    for share in sorted({key.test_points for key in run.cell_scores}):
        along = run.along_slices(share)
        scored = [key.metric for key in run.cell_scores if key.test_points == share]
        if names := [name for name in (*scored, *_COUNTED) if name in along]:
            slices[f"{share:g}"] = {name: [_rounded(v) for v in along[name].tolist()] for name in names}
    return Kept(slices, _digests(run.path), time=run.ended)


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(value, _DIGITS)


def _digests(run_dir: Path) -> dict[str, str]:
    """What the receipt says of weights and prediction; nothing where there is none."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        receipt: dict[str, Any] = json.loads((run_dir / "receipt.json").read_text())
        found = {stage: str(entry["weights"]) for stage, entry in receipt["stages"].items()}
        return found | {n: d for n, d in receipt["outputs"].items() if n == "predictions/target_test.tif"}
    return {}


def read_recorded(path: Path) -> list[RunRecord]:
    """The runs of such a file, in its order; their directories are not there.

    Raises DataError for a file that is missing, holds no run, or has a damaged line, which is named.

    Example:
        >>> from pathlib import Path
        >>> from dabench.tracking.recorded import read_recorded
        >>> runs = read_recorded(Path("benchmarks/results/baselines-tiny.jsonl"))
        >>> runs[0].tags["row"], round(runs[0].cell_scores[0.0, "dice"], 4)
        ('source-only', 0.7507)
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file.")
    events = read_journal(path)
    starts = [(place, event.cell_id) for place, event in enumerate(events) if isinstance(event, CellStarted)]
    if not starts or starts[0][0]:
        raise DataError(f"{path} does not start with a run.", "To make one: dabench results export --output NAME.jsonl")
    ends = [*(place for place, _ in starts[1:]), len(events)]
    parts = zip(starts, ends, strict=True)
    return [record_of(path / cell_id, events[start:end], 1, HERE) for (start, cell_id), end in parts]
