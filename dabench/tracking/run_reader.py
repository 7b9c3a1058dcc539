"""Reads run directories: the journal's last attempt as one record."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from dabench.errors import DataError
from dabench.files.printable import printable
from dabench.tracking.events import (
    UNFINISHED,
    CellFinished,
    CellStarted,
    Event,
    Guarded,
    ModelMade,
    Regret,
    Scored,
    Selected,
    StageFinished,
)
from dabench.tracking.journal import JOURNAL, read_journal
from dabench.tracking.record import HERE, ORIGIN, RunRecord

_E = TypeVar("_E", bound=Event)


def read_run(run_dir: Path) -> RunRecord:
    """Read a run directory. What the last attempt says counts. Raises DataError for a damaged or empty journal."""
    run_dir = Path(run_dir)
    journal = run_dir / JOURNAL
    if not journal.is_file():
        raise DataError(f"{run_dir.name}: no {JOURNAL}, so this is not a run directory.")
    events = read_journal(journal)
    starts = [i for i, event in enumerate(events) if isinstance(event, CellStarted)]
    if not starts:
        raise DataError(f"{run_dir.name}/{JOURNAL} does not say which cell was started.", "Run the cell again.")
    return record_of(run_dir, events[starts[-1] :], len(starts), read_origin(run_dir))


def read_runs(runs: Path) -> Iterator[RunRecord | DataError]:
    """All runs of a workspace by name; a damaged one is given as its error, so that it does not hide the others."""
    for path in sorted(Path(runs).glob(f"*/{JOURNAL}")):
        try:
            yield read_run(path.parent)
        except DataError as error:
            yield error


def record_of(run_dir: Path, events: list[Event], attempts: int, origin: str) -> RunRecord:
    """The record of a run from the events of its last attempt, of which `CellStarted` is the first."""
    start = _of(events, CellStarted)[0]
    end = next(iter(_of(events, CellFinished)), None)
    stages = {s.stage: s for s in _of(events, StageFinished)}
    tags = {k: str(v) for k, v in start.tags.items() if v is not None}
    guarded = next(iter(_of(events, Guarded)), None)
    tags |= {"guard": guarded.told} if guarded else {}
    opened = dict.fromkeys(f"{s.stage}: {name}" for s in stages.values() for name in s.opened)
    tags |= {"opened": "; ".join(opened)} if opened else {}
    tags.setdefault("variant", tags.get("po", "none"))  # journals of version 0.1 knew one kind of variant
    return RunRecord(
        path=run_dir,
        cell_id=start.cell_id,
        status=end.status if end else UNFINISHED,
        reason=end.reason if end else "",
        started=start.time,
        ended=end.time if end else events[-1].time,
        tags=tags,
        params=start.params,
        inputs=start.inputs,
        stages=tuple(stages.values()),
        scores=tuple(_of(events, Scored)),
        attempts=attempts,
        events=tuple(events),
        final=_final_stage(start, end, list(stages), guarded),
        origin=origin,
        selected=next(iter(_of(events, Selected)), None),
        regret=next(iter(_of(events, Regret)), None),
        model=next(iter(_of(events, ModelMade)), None),
    )


def read_origin(run_dir: Path) -> str:
    """Who ran a run. Raises DataError for a damaged file."""
    try:
        return printable(str(json.loads((Path(run_dir) / ORIGIN).read_text(encoding="utf-8"))["origin"]))
    except FileNotFoundError:
        return HERE
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{Path(run_dir).name}/{ORIGIN} is damaged ({error}).", "Import the bundle again: dabench results import"
        ) from None


def _of(events: list[Event], kind: type[_E]) -> list[_E]:
    return [event for event in events if isinstance(event, kind)]


def _final_stage(start: CellStarted, end: CellFinished | None, finished: list[str], guarded: Guarded | None) -> str:
    """The stage whose scores are the cell's: the last one, or the one it fell back to; "" while that is not known."""
    if guarded is not None:
        return guarded.used
    if start.stages:
        return start.stages[-1]
    return finished[-1] if finished and end and end.status == "ok" else ""
