"""Recorded results: the journals of many runs in one file, small enough to keep beside a page that quotes them.

The file has the events of each run's last attempt, one line each; a ``cell_started`` begins the next run. It holds
every score of whole splits, cost and setting, and the row of a suite as the tag ``row``, but neither scores by slice
nor files.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from dabench.errors import DataError
from dabench.files.atomic import write_text
from dabench.tracking.events import CellStarted, to_line
from dabench.tracking.journal import read_journal
from dabench.tracking.record import HERE, RunRecord
from dabench.tracking.run_reader import record_of

#: How such a file's name ends.
SUFFIX = ".jsonl"


def write_recorded(path: Path, runs: Iterable[RunRecord]) -> None:
    """Write the journals of runs into one file, atomically, each with the tags of its record."""
    lines: list[str] = []
    for run in runs:
        start, *rest = run.events
        if not isinstance(start, CellStarted):
            raise TypeError(f"{run.cell_id}: its events begin with {start.kind!r}")
        lines += map(to_line, (replace(start, tags=dict(run.tags)), *rest))
    write_text(path, "".join(f"{line}\n" for line in lines))


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
        raise DataError(f"{path}: there is no such file.")
    events = read_journal(path)
    starts = [(place, event.cell_id) for place, event in enumerate(events) if isinstance(event, CellStarted)]
    if not starts or starts[0][0]:
        raise DataError(f"{path} does not begin with a run.", "dabench results export --output NAME.jsonl writes one.")
    ends = [*(place for place, _ in starts[1:]), len(events)]
    parts = zip(starts, ends, strict=True)
    return [record_of(path / cell_id, events[start:end], 1, HERE) for (start, cell_id), end in parts]
