"""A run as its directory tells it: one frozen record of tags, settings, inputs, metrics, curves and artifacts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from dabench.errors import DataError
from dabench.files.digests import digest_file
from dabench.tracking.events import (
    UNFINISHED,
    CellFinished,
    CellStarted,
    Cost,
    Event,
    InputData,
    ModelMade,
    Phase,
    Regret,
    Scored,
    Selected,
    StageFinished,
)
from dabench.tracking.journal import JOURNAL, Curve, read_curve, read_journal

#: Split whose scores may be ranked.
RANKED_SPLIT = "test"

#: Says whose run it is, where an import brought it from elsewhere; a run without is one's own.
ORIGIN = "origin.json"
HERE = "here"

#: What of a run directory is an artifact: whole files and folders of small files. Predictions are large and stay.
ARTIFACTS = ("config.json", "environment.json", "receipt.json", ORIGIN, JOURNAL, "per_slice", "curves", "panels")

_E = TypeVar("_E", bound=Event)


@dataclass(frozen=True)
class RunRecord:
    """One run directory, read.

    ``tags`` are identifying tags without prefix; ``metrics`` have the names of docs/tracking.md; ``times`` says when
    each metric was known (ISO-8601). ``started`` and ``ended`` are those of the last attempt.
    """

    path: Path
    cell_id: str
    status: str
    reason: str
    started: str
    ended: str
    tags: Mapping[str, str]
    params: Mapping[str, Any] = field(repr=False)
    inputs: tuple[InputData, ...]
    metrics: Mapping[str, float]
    times: Mapping[str, str] = field(repr=False)
    stages: tuple[StageFinished, ...]
    scores: tuple[Scored, ...] = field(repr=False)
    attempts: int
    #: Who ran it: `HERE`, or what an import says.
    origin: str = HERE
    #: Who was chosen to predict, and what target labels would have chosen; None where there was nothing to choose.
    selected: Selected | None = field(default=None, repr=False)
    regret: Regret | None = field(default=None, repr=False)
    #: What the model is rebuilt from; None in runs of before there was such a record.
    model: ModelMade | None = field(default=None, repr=False)

    @property
    def key(self) -> str:
        """Tells apart runs of one cell from several origins; the name of the run directory."""
        return self.cell_id if self.origin == HERE else f"{self.cell_id}@{self.origin}"

    @cached_property
    def curves(self) -> Mapping[str, Curve]:
        """Loss curves by stage; read when first asked for."""
        return {p.stem: read_curve(p) for p in sorted((self.path / "curves").glob("*.jsonl"))}

    @property
    def artifacts(self) -> tuple[Path, ...]:
        """Files that belong to the run, relative to its directory."""
        return tuple(p.relative_to(self.path) for name in ARTIFACTS for p in _files(self.path / name))

    @property
    def suite(self) -> str:
        """The suite that the cell belongs to; ``adhoc`` without one."""
        return self.tags.get("suite") or "adhoc"

    @property
    def digest(self) -> str:
        """Digest of the journal: another one means that the run has changed."""
        return digest_file(self.path / JOURNAL)[:16]


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
    return _record(run_dir, events[starts[-1] :], len(starts))


def read_runs(runs: Path) -> Iterator[RunRecord | DataError]:
    """All runs of a workspace by name; a damaged one is given as its error, so that it does not hide the others."""
    for path in sorted(Path(runs).glob(f"*/{JOURNAL}")):
        try:
            yield read_run(path.parent)
        except DataError as error:
            yield error


def _record(run_dir: Path, events: list[Event], attempts: int) -> RunRecord:
    start = _of(events, CellStarted)[0]
    end = next(iter(_of(events, CellFinished)), None)
    stages = {s.stage: s for s in _of(events, StageFinished)}
    tags = {k: str(v) for k, v in start.tags.items() if v is not None}
    tags.setdefault("variant", tags.get("po", "none"))  # journals of version 0.1 knew one kind of variant
    metrics, times = _metrics(events, tags, _final_stage(start, end, list(stages)))
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
        metrics=metrics,
        times=times,
        stages=tuple(stages.values()),
        scores=tuple(_of(events, Scored)),
        attempts=attempts,
        origin=read_origin(run_dir),
        selected=next(iter(_of(events, Selected)), None),
        regret=next(iter(_of(events, Regret)), None),
        model=next(iter(_of(events, ModelMade)), None),
    )


def read_origin(run_dir: Path) -> str:
    """Who ran a run. Raises DataError for a damaged file."""
    try:
        return str(json.loads((Path(run_dir) / ORIGIN).read_text(encoding="utf-8"))["origin"])
    except FileNotFoundError:
        return HERE
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{Path(run_dir).name}/{ORIGIN} is damaged ({error}).", "Import the bundle again: dabench results import"
        ) from None


def _of(events: list[Event], kind: type[_E]) -> list[_E]:
    return [event for event in events if isinstance(event, kind)]


def _final_stage(start: CellStarted, end: CellFinished | None, finished: list[str]) -> str:
    """The stage whose scores are the cell's: the last planned one; "" while nobody can say."""
    if start.stages:
        return start.stages[-1]
    return finished[-1] if finished and end and end.status == "ok" else ""


def _metrics(events: list[Event], tags: Mapping[str, str], final: str) -> tuple[dict[str, float], dict[str, str]]:
    values: dict[str, float] = {}
    times: dict[str, str] = {}
    for event in events:
        for name, value in _named(event, tags, final):
            values[name] = value + (values.get(name, 0.0) if isinstance(event, Phase) else 0.0)
            times[name] = event.time
    return values, times


def _named(event: Event, tags: Mapping[str, str], final: str) -> Iterator[tuple[str, float]]:
    """The metrics that one event brings."""
    match event:
        case Scored():
            for prefix in _prefixes(event, tags, final):
                yield from ((f"{prefix}/{name}", float(value)) for name, value in event.metrics.items())
        case StageFinished():
            yield f"time/stage/{event.stage}", event.seconds
        case Selected():
            yield "selection/update", float(event.update)
            yield "selection/threshold", event.threshold
            yield "selection/score", event.score
        case Regret():
            yield "oracle/selection/best", event.best
            yield "oracle/selection/chosen", event.chosen
            yield "oracle/selection/regret", event.best - event.chosen
        case Cost():
            yield "cost/annotation_seconds", event.annotation_seconds
            yield "cost/points", float(event.points)
            yield "cost/patches", float(event.patches)
            yield from ((f"cost/{kind}", float(count)) for kind, count in event.others.items())
        case Phase():
            yield f"time/{event.name}", event.seconds
        case CellFinished():
            yield "cost/train_seconds", event.train_seconds
            yield "cost/peak_memory_bytes", float(event.peak_memory_bytes)


def _prefixes(scored: Scored, tags: Mapping[str, str], final: str) -> Iterator[str]:
    """Where a score goes: its stage, and the cell if that is the last one; ``oracle`` where it may not be ranked."""
    parts = [f"points_{round(100 * scored.test_points)}"] if scored.test_points else []
    parts += [scored.inference] if scored.inference != tags.get("inference", scored.inference) else []
    parts += [scored.protocol] if scored.protocol != tags.get("protocol", scored.protocol) else []
    if scored.split != RANKED_SPLIT:
        yield "/".join(["oracle", f"target_{scored.split}", scored.stage, *parts])
        return
    if scored.stage == final:
        yield "/".join(["target_test", *parts])
    if scored.stage != final or not parts:
        yield "/".join(["stage", scored.stage, *parts])


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
    return [path] if path.is_file() else []
