"""The events of a run's journal: what happened to one cell, in the order in which it happened.

Each is a frozen record; `to_line` and `from_line` are its JSON form. A reader skips events and fields that it does not
know, so that an older dabench reads a newer journal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, ClassVar

from dabench.files.printable import printable_values
from dabench.files.private import named

#: How a cell can end. A journal without a last word is ``unfinished``: killed, or still going; ``killed`` is what a
#: suite writes when a worker was.
STATUSES = ("ok", "failed", "oom", "skipped", "killed")
UNFINISHED = "unfinished"
#: Ends the name of a file of the target's test split that a stage opened while it trained (`StageFinished.opened`).
OF_TEST = " (target test)"


def now() -> str:
    """The present as ISO-8601 in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class InputData:
    """Data that a run read: name and split, digest of the content, what for (``training``, ``test``), where from."""

    name: str
    digest: str
    context: str = ""
    source: str = ""


@dataclass(frozen=True)
class PluginUsed:
    """A plugin that a run was made with: what brought it, its version, a digest of its code, what it was used for.

    ``distribution`` is what ``pip install`` knows, or ``file NAME.py``; ``components`` are ``kind:name``; ``source`` is
    over the plugin's code and all that it imports of dabench.
    """

    name: str
    distribution: str
    version: str = ""
    source: str = ""
    components: tuple[str, ...] = ()


@dataclass(frozen=True)
class Event:
    """Base of all events. ``time`` is stamped when the event is made, unless it is given."""

    kind: ClassVar[str] = ""

    time: str = field(default_factory=now, kw_only=True)


@dataclass(frozen=True)
class CellStarted(Event):
    """An attempt at a cell begins; a resumed cell has several, and what the last attempt says counts.

    ``tags`` are the identifying tags without their prefix (``task``, ``method``, ``seed`` …), ``params`` the whole
    configuration (may be nested), ``stages`` the names of all stages, first to last, ``plugins`` what brought parts.
    """

    kind: ClassVar[str] = "cell_started"

    cell_id: str
    tags: Mapping[str, Any]
    params: Mapping[str, Any]
    inputs: tuple[InputData, ...] = ()
    stages: tuple[str, ...] = ()
    plugins: tuple[PluginUsed, ...] = ()


@dataclass(frozen=True)
class Altered(Event):
    """What was made earlier is not as it was written, and is made again.

    ``work`` is a stage, or a file of predictions or scores; ``reason`` names the files that changed.
    """

    kind: ClassVar[str] = "altered"

    work: str
    reason: str


@dataclass(frozen=True)
class StageFinished(Event):
    """A stage is trained, or was found in the cache; ``seconds`` is what its training took, whenever that was.

    ``opened`` names files that it opened meanwhile and that are none of its inputs.
    """

    kind: ClassVar[str] = "stage_finished"

    stage: str
    key: str
    cached: bool
    updates: int
    seconds: float
    peak_memory_bytes: int = 0
    opened: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cost(Event):
    """What the annotation desk has metered, in total: a person's seconds, and the units handed out.

    ``others`` counts the units of weak labels beside points and patches, by name. ``preferences`` says what became of a
    person's preferences: questions ``asked``, ``answered``, answers that were ``used``, ``ties`` and all ``bad`` among
    them.
    """

    kind: ClassVar[str] = "cost"

    annotation_seconds: float
    points: int = 0
    patches: int = 0
    others: Mapping[str, int] = field(default_factory=dict)
    preferences: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Scored(Event):
    """A stage's predictions of one target split were scored.

    ``split`` is ``test`` for what may be ranked; anything else is information that used target labels. ``test_points``
    is the share of true centres given as prompts; ``n`` counts scored slices, ``left_out`` those empty on both sides.
    """

    kind: ClassVar[str] = "scored"

    stage: str
    split: str
    protocol: str
    inference: str
    test_points: float
    metrics: Mapping[str, float]
    n: int
    left_out: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Selected(Event):
    """The rule that chose which candidate of the last stage predicts, without a target label.

    ``update`` and ``threshold`` are the chosen one's, ``score`` is what the rule gave it; ``candidates`` lists
    ``update``, ``threshold`` and ``score`` of all, the preferred among equals first.
    """

    kind: ClassVar[str] = "selected"

    stage: str
    selector: str
    update: int
    threshold: float
    score: float
    candidates: Sequence[Mapping[str, float]] = ()


@dataclass(frozen=True)
class ModelMade(Event):
    """What the model that predicts is rebuilt from, without the data that it was trained on (docs/models.md).

    ``update`` and ``threshold`` are those of the chosen candidate, ``tile`` the side of its tiles in pixels, ``voxel``
    nm (z, y, x) of the target's training split; ``points``, ``patches`` and ``shares`` (of other weak labels, by name)
    are the budget, ``neighbours`` and ``has_source`` what the method was told of the task; ``sources`` are digests of
    the plugins' source by ``kind:name``; ``pixel`` is nm (y, x) of the pixels that the model knows.
    """

    kind: ClassVar[str] = "model"

    stage: str
    update: int
    threshold: float
    tile: int
    voxel: Sequence[float]
    points: float
    patches: float
    neighbours: bool
    has_source: bool
    sources: Mapping[str, str] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)
    pixel: Sequence[float] | None = None


@dataclass(frozen=True)
class Regret(Event):
    """What the target's test labels would have chosen: computed apart, after the choice, and never ranked.

    ``best`` is the highest ``metric`` of all candidates (that of ``update`` and ``threshold``), ``chosen`` that of the
    candidate that predicts; ``candidates`` lists all.
    """

    kind: ClassVar[str] = "regret"

    stage: str
    metric: str
    update: int
    threshold: float
    best: float
    chosen: float
    candidates: Sequence[Mapping[str, float]] = ()


@dataclass(frozen=True)
class Guarded(Event):
    """Whether a stage fell behind its start, seen without labels (`dabench.runs.guard`).

    ``word`` is ``good``, ``behind`` (the last stage predicts nevertheless), ``fell back`` (``used`` predicts) or
    ``poor`` (none fell behind, but the last agrees with hardly any point); ``looks`` lists what was seen of each stage.
    """

    kind: ClassVar[str] = "guarded"

    stage: str
    word: str
    used: str
    reason: str = ""
    looks: Sequence[Mapping[str, Any]] = ()

    @property
    def told(self) -> str:
        """In a line: ``fell back to prompt-das: slpo fell behind prompt-das: ...``."""
        return f"fell back to {self.used}: {self.reason}" if self.word == "fell back" else self.reason or self.word


@dataclass(frozen=True)
class Phase(Event):
    """A part of the run ended: data, training, inference, scoring …; parts of the same name are added up."""

    kind: ClassVar[str] = "phase"

    name: str
    seconds: float


@dataclass(frozen=True)
class Kept(Event):
    """What recorded results keep of a run's other files (`dabench.tracking.recorded`); no run directory has it.

    ``slices`` are the scores of the last stage on the test split by share of test points, then metric, a value for each
    slice, None where a slice was left out. ``digests`` are SHA-256 of weights by stage, and of the prediction.
    """

    kind: ClassVar[str] = "kept"

    slices: Mapping[str, Mapping[str, Sequence[float | None]]] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CellFinished(Event):
    """The cell's last word. ``reason`` says why it is not ``ok``."""

    kind: ClassVar[str] = "cell_finished"

    status: str
    reason: str = ""
    train_seconds: float = 0.0
    peak_memory_bytes: int = 0

    def __post_init__(self) -> None:
        """Refuse an unknown status."""
        if self.status not in STATUSES:
            raise ValueError(f"status {self.status!r} is not one of {', '.join(STATUSES)}")


KINDS: Mapping[str, type[Event]] = {
    c.kind: c
    for c in (
        *(CellStarted, StageFinished, Altered, Cost, Selected),
        *(Guarded, ModelMade, Scored, Regret, Phase, Kept, CellFinished),
    )
}


def to_line(event: Event) -> str:
    """The event as one line of JSON, without the line's end."""
    values = asdict(event)
    told = {name: _named(values[name]) for name in ("reason", "tags") if name in values}
    return json.dumps({"event": event.kind, **values, **told}, separators=(",", ":"), default=str)


def _named(value: Any) -> Any:
    """Messages and tags in which files have their names alone."""
    if isinstance(value, dict):
        return {key: _named(part) for key, part in value.items()}
    return named(value) if isinstance(value, str) else value


def from_line(line: str) -> Event | None:
    """The event of one line; None for a kind that this version does not know. Raises ValueError for a damaged line."""
    values = printable_values(json.loads(line))
    if not isinstance(values, dict) or "event" not in values:
        raise ValueError("not an event")
    made = KINDS.get(values["event"])
    if made is None:
        return None
    known = {f.name for f in fields(made)}
    values = {k: v for k, v in values.items() if k in known}
    try:
        if made is CellStarted:
            values["inputs"] = tuple(_input(i) for i in values.get("inputs", ()))
            values["stages"] = tuple(values.get("stages", ()))
            values["plugins"] = tuple(_plugin(p) for p in values.get("plugins", ()))
        if made is StageFinished:
            values["opened"] = tuple(map(str, values.get("opened", ())))
        return made(**values)
    except (TypeError, AttributeError) as error:
        raise ValueError(str(error)) from None


def _input(values: Mapping[str, Any]) -> InputData:
    known = {f.name for f in fields(InputData)}
    return InputData(**{k: v for k, v in values.items() if k in known})


def _plugin(values: Mapping[str, Any]) -> PluginUsed:
    known = {f.name: values[f.name] for f in fields(PluginUsed) if f.name in values}
    return PluginUsed(**{**known, "components": tuple(values.get("components", ()))})
