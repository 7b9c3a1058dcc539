"""The configuration of one run: one validated object, from flags, ``--config FILE`` and ``--set a.b=c``."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from dabench.errors import ConfigError, UnknownNameError
from dabench.files.digests import digest_of
from dabench.files.private import without_paths
from dabench.files.problems import problems
from dabench.files.values import StrictModel, canonical
from dabench.files.yaml import parse_value, read_yaml
from dabench.runs.budget import BudgetConfig, Fraction

#: Settings of methods that were fields of a run once, and whether they stand in a cell's name: older cells keep theirs.
FORMER = {"po": True, "backbone": False}


def origin_of(data: str, task: str) -> str:
    """``real`` or ``phantom``: a task with a phantom in it is no real one, whatever its data are called."""
    return "phantom" if re.search(r"(^|2)phantom-", task) else data


class RunConfig(StrictModel):
    """One cell: task x method x its settings x budget x preset x seed, and how it is scored."""

    method: str = Field(description="Name of the method (see `dabench ls methods`).")
    label: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,38}[A-Za-z0-9])?$",
        description="Name of a version of the method. Runs with different labels are different cells and rows.",
    )
    task: str = Field(description="SOURCE2TARGET, any ordered pair of domains (human2stem).")
    data: Literal["real", "phantom"] = Field(
        "real", description="Real domains, or phantoms (artificial volumes that imitate them)."
    )
    preset: str = Field("small", description="tiny, small or paper: network, crop and iterations of every component.")
    seed: int = Field(0, ge=0, description="Training seed; three or more make a result.")
    budget: BudgetConfig = Field(default_factory=lambda: BudgetConfig(), description="Annotation of the target.")
    protocol: str = Field("das-2d@1", description="Scoring protocol (dabench ls protocols).")
    inference: Literal["hann", "fast", "paper", "tiles"] = Field(
        "hann",
        description="hann: half-tile stride, Hann-weighted mean; fast: the same tiles, plain mean; paper: stride 128, "
        "four rotations, plain mean; tiles: no overlap.",
    )
    test_points_file: Path | None = Field(
        None,
        description="A person's points on the target's test split, used as test prompts instead of simulated ones.",
    )
    test_points: tuple[Fraction, ...] = Field(
        default_factory=lambda given: (1.0,) if given.get("test_points_file") else (0.0,),
        description="Shares of target test centres given as prompts; the first is the headline (Prefer-DAS+). A "
        "person's points are all given (1).",
    )
    intensity: Literal["volume", "range", "slice"] = Field(
        # The papers divide by 255; their networks do whatever else they do to an image.
        default_factory=lambda given: "range" if given.get("preset") == "paper" else "volume",
        description="Grey values to [0, 1]: standardised per volume (by default), by the type's range (by default in "
        "the preset paper), or min-max per slice.",
    )
    pixel_size: Literal["auto", "match", "native"] = Field(
        "auto",
        description="match: the target's slices are resampled to the pixel size (nm) of the source, and results "
        "back; native: every image is used as stored; auto: match if one of the two is your own volume.",
    )
    source_checkpoint: str | None = Field(
        None,
        description="Added weights (`dabench weights ls`) of a source model; the first stage uses them without "
        "training.",
    )
    source_labels: Literal["raw", "contour"] = Field(
        "raw",
        description="Source labels: raw, or adjusted by a geodesic contour (as in published code, docs/facts.md).",
    )
    selector: str = Field(
        "auto",
        description="How the checkpoint and threshold are chosen without target labels. auto: the last checkpoint; "
        "if points were given on a target without test labels, they choose among nine thresholds.",
    )
    snapshots: int = Field(
        1,
        ge=1,
        description="Number of checkpoints of the last stage to choose among, evenly spread, including the "
        "last update.",
    )
    thresholds: tuple[Fraction, ...] = Field(
        (0.5,), description="Probabilities above which a pixel is foreground, to choose among; the first is preferred."
    )
    guard: Literal["auto", "fall-back", "warn", "off"] = Field(
        "auto",
        description="What happens if a stage becomes worse than its start, measured without labels: the last good "
        "model is used, or a warning. auto: fall-back if the target has no test labels, else warn.",
    )
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1 ...")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="Precision of training: auto is bfloat16 autocast if the CPU or GPU multiplies it natively, "
        "else float32.",
    )
    compile: bool = Field(False, description="torch.compile the networks.")
    checkpoint_every: int = Field(100, ge=1, description="Updates between checkpoints.")
    settings: dict[str, Any] = Field(
        default_factory=dict,
        description="Settings of the method, and of the methods that it builds on; they may also be given at the "
        "top level (`po: slpo`).",
    )
    options: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="Settings of components by name: {mean-teacher: {decay: 0.99}}."
    )

    @model_validator(mode="before")
    @classmethod
    def _twins(cls, values: Any) -> Any:
        """``phantom-human2phantom-stem`` is human2stem of the phantoms: one cell, whatever it is called."""
        task = values.get("task") if isinstance(values, Mapping) else None
        pair = re.fullmatch(r"phantom-(.+)2phantom-(.+)", task) if isinstance(task, str) else None
        return {**values, "task": f"{pair[1]}2{pair[2]}", "data": "phantom"} if pair else values

    @model_validator(mode="before")
    @classmethod
    def _own_draw(cls, values: Any) -> Any:
        """``budget.seed: run`` draws with the training seed, so that seeds differ in what was annotated too."""
        budget = values.get("budget") if isinstance(values, Mapping) else None
        if not isinstance(budget, Mapping) or budget.get("seed") != "run":
            return values
        return {**values, "budget": {**budget, "seed": values.get("seed", 0)}}

    @field_validator("test_points")
    @classmethod
    def _shares(cls, value: tuple[float, ...], info: ValidationInfo) -> tuple[float, ...]:
        if not value:
            raise ValueError("test points are one or more shares between 0 and 1")
        if info.data.get("test_points_file") is not None and value != (1.0,):
            raise ValueError("the points of a file are all given: leave the shares out")
        return tuple(dict.fromkeys(value))

    @field_validator("thresholds")
    @classmethod
    def _cuts(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or any(not 0 < v < 1 for v in value):
            raise ValueError("thresholds are one or more probabilities between 0 and 1")
        return tuple(dict.fromkeys(value))

    @field_validator("settings", "options")
    @classmethod
    def _one_spelling(cls, value: dict[str, Any]) -> dict[str, Any]:
        """What means the same is the same cell: 8 and 8.0."""
        found: dict[str, Any] = canonical(value)
        return found

    @field_validator("guard", mode="before")
    @classmethod
    def _off(cls, value: Any) -> Any:
        """False is off, as YAML files had it."""
        return "off" if value is False else value

    def on_record(self) -> dict[str, Any]:
        """All settings as plain values, as a run keeps them: of files the names, not where they lie."""
        found: dict[str, Any] = without_paths(self.model_dump(mode="json"))
        return found

    def identity(self) -> dict[str, Any]:
        """All settings that decide the result; what names the cell."""
        drop = {"device", "compile", "checkpoint_every", "settings"}
        # Settings that came later name a cell only where they are used: older cells keep their names.
        later = {"label", "source_checkpoint", "selector", "snapshots", "thresholds", "guard"}
        later |= {"pixel_size", "test_points_file"}
        drop |= {name for name in later if getattr(self, name) == RunConfig.model_fields[name].default}
        drop |= {"selector"} if self.selector == "last" else set()  # what the default was called before
        named = without_paths({**self.model_dump(mode="json", exclude=drop), **self.settings})
        return {**dict.fromkeys(FORMER), **named}

    @property
    def cell_id(self) -> str:
        """Readable and unique: method, what was chosen for it, task, preset, seed, a digest of the identity."""
        data = "" if self.data == "real" else f"-{self.data}"
        chosen = [v for k, v in self.settings.items() if isinstance(v, str) and FORMER.get(k, True)]
        chosen += [self.label] if self.label else []
        name = "-".join([self.method, *chosen, self.task])
        return f"{name}{data}-{self.preset}-s{self.seed}-{digest_of(self.identity())[:8]}"


def load_config(flags: Mapping[str, Any], file: Path | None = None, sets: Sequence[str] = ()) -> RunConfig:
    """Merge a YAML file, ``--set`` assignments and flags (the later wins) into one validated config.

    Flags with the value None were not given. Raises ConfigError with the nearest key for an unknown one.
    """
    values: dict[str, Any] = {}
    if file is not None:
        loaded = read_yaml(file)
        if not isinstance(loaded, dict):
            raise ConfigError(f"{file}: a configuration is a mapping of settings, got {type(loaded).__name__}.")
        _merge(values, loaded)
    _merge(values, assignments(sets))
    given: dict[str, Any] = {k: v for k, v in flags.items() if v is not None and not k.startswith("budget.")}
    budget = {k.removeprefix("budget."): v for k, v in flags.items() if v is not None and k.startswith("budget.")}
    _merge(values, given)
    if budget:
        _merge(values, {"budget": budget})
    return validate_config(values)


def validate_config(values: Mapping[str, Any]) -> RunConfig:
    """A validated RunConfig, or a ConfigError that names each wrong key, the value seen and the nearest right key."""
    try:
        return RunConfig.model_validate(_settings_apart(values))
    except ValidationError as error:
        raise ConfigError("\n".join(problems(error, RunConfig))) from None


def _settings_apart(values: Mapping[str, Any]) -> dict[str, Any]:
    """Keys that are no field of a run are settings of its method, unless they look like a misspelt field."""
    fields = RunConfig.model_fields
    found = {k: v for k, v in values.items() if k in fields or difflib.get_close_matches(k, fields, 1, 0.75)}
    others = {k: v for k, v in values.items() if k not in found and v is not None}
    return {**found, "settings": {**dict(values.get("settings") or {}), **others}} if others else found


def assignments(sets: Sequence[str]) -> dict[str, Any]:
    """``--set a.b=c`` given any number of times, as one nested mapping."""
    values: dict[str, Any] = {}
    for assignment in sets:
        _merge(values, _parse_set(assignment))
    return values


def _parse_set(assignment: str) -> dict[str, Any]:
    """``a.b=c`` as a nested mapping. A first part that is no RunConfig field names a component."""
    match = re.fullmatch(r"([^=\s]+)=(.*)", assignment.strip())
    if not match:
        raise ConfigError(
            f"--set {assignment!r}: write it as name.key=value.", "Example: --set mean-teacher.decay=0.99"
        )
    path, value = match.group(1).split("."), parse_value(match.group(2), f"--set {match.group(1)}")
    if path[0] not in RunConfig.model_fields:
        if len(path) < 2:
            known = [*RunConfig.model_fields, "COMPONENT.KEY"]
            raise UnknownNameError("setting", path[0], known)
        path = ["options", path[0], ".".join(path[1:])]
    nested: Any = value
    for part in reversed(path):
        nested = {part: nested}
    result: dict[str, Any] = nested
    return result


def _merge(into: dict[str, Any], new: Mapping[str, Any]) -> None:
    for key, value in new.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = dict(value) if isinstance(value, Mapping) else value


def split_task(task: str, domains: Iterable[str]) -> tuple[str, str]:
    """Source and target of ``human2stem``. Raises UnknownNameError that says which side is unknown."""
    names = set(domains)
    cuts = [(task[: m.start()], task[m.end() :]) for m in re.finditer("2", task)]
    for source, target in cuts:
        if source in names and target in names:
            return source, target
    if not cuts:
        raise ConfigError(f"task {task!r}: write it as SOURCE2TARGET, like human2stem.")
    source, target = max(cuts, key=lambda c: (c[0] in names) + (c[1] in names) + _nearness(c, names))
    raise UnknownNameError("domain", target if source in names else source, names)


def _nearness(cut: tuple[str, str], names: set[str]) -> float:
    near = difflib.get_close_matches
    return 0.1 * sum(bool(near(side, names, n=1, cutoff=0.6)) for side in cut)
