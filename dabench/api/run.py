"""One run in Python: a method trained on a task, its target test split predicted and scored."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dabench.api.progress import Display, is_quiet, make_display
from dabench.api.tables import table_of
from dabench.components.registry import Registry
from dabench.files.workspace import Workspace
from dabench.leaderboard.metric import Metric
from dabench.runs.config import RunConfig, load_config
from dabench.runs.plan import Plan, make_plan
from dabench.runs.results import StageResult
from dabench.runs.runner import Runner
from dabench.runs.threads import Threads, use_threads
from dabench.tracking.journal import JOURNAL
from dabench.tracking.mlflow_sync import MLFLOW, MlflowSync
from dabench.tracking.record import RunRecord

if TYPE_CHECKING:
    import pandas as pd

#: Settings of the budget, and what says how a run is made rather than what it is.
_BUDGET = ("patches", "rater", "rater_error", "allow_unanswered")
_OF_THE_CALL = ("config", "tracker", "cache", "workspace", "progress", "sets", "no_cache", "dry_run", "as_json")


class RunWarning(UserWarning):
    """A plugin did not load, or a run was not written to its MLflow store; no result is lost."""


@dataclass(frozen=True)
class Run:
    """A finished run: its record, and its scores as a table."""

    record: RunRecord = field(repr=False)
    workspace: Workspace = field(repr=False)
    config: RunConfig = field(repr=False)
    #: Scores by stage, with what was reused.
    outcomes: tuple[StageResult, ...] = field(default=(), repr=False)
    #: The MLflow store that has the run; "" where none has it.
    tracking_uri: str = field(default="", repr=False)

    @property
    def name(self) -> str:
        """Name of the run: the cell's id."""
        return self.record.key

    @property
    def path(self) -> Path:
        """Folder of the run: journal, scores per slice, predictions, panels."""
        return self.record.path

    @property
    def status(self) -> str:
        """``ok``, or ``skipped`` with a `reason`; failures raise an exception."""
        return self.record.status

    @property
    def reason(self) -> str:
        """Why the run was skipped or has no scores; otherwise ""."""
        return self.record.reason

    @property
    def metrics(self) -> Mapping[str, float]:
        """All scores, costs and times of the run, by the names in docs/tracking.md."""
        return self.record.metrics

    @property
    def scores(self) -> pd.DataFrame:
        """The run's part of `dabench.results`: one row per stage, share of test points and metric."""
        return table_of([self.record])

    def as_json(self) -> dict[str, Any]:
        """Status, tags, metrics and files that were recomputed, as plain values."""
        said = {name: getattr(self.record, name) for name in ("cell_id", "status", "reason")}
        return {
            **said,
            "guard": self.record.tags.get("guard", "none"),
            "tags": dict(self.record.tags),
            "metrics": dict(self.record.metrics),
            "altered": [{"work": event.work, "reason": event.reason} for event in self.record.altered],
            "path": str(self.path),
        }

    def __repr__(self) -> str:
        """Name, status and headline."""
        shown = "".join(f", {Metric.of(key, 0.0)}={value:.3f}" for key, value in self.record.cell_scores.items())
        return f"Run({self.name!r}, {self.status}{shown})"


def run(
    *,
    method: str | None = None,
    task: str | None = None,
    data: str | None = None,
    preset: str | None = None,
    seed: int | None = None,
    label: str | None = None,
    points: float | str | Path | None = None,
    patches: float | None = None,
    preferences: str | Path | None = None,
    rater: str | None = None,
    rater_error: float | None = None,
    allow_unanswered: bool | None = None,
    test_points: Sequence[float] | str | Path | None = None,
    protocol: str | None = None,
    inference: str | None = None,
    selector: str | None = None,
    snapshots: int | None = None,
    pixel_size: str | None = None,
    source_checkpoint: str | None = None,
    device: str | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    config: str | Path | None = None,
    tracker: str = MLFLOW,
    cache: bool = True,
    workspace: str | Path | None = None,
    progress: bool | None = None,
    **settings: Any,
) -> Run:
    """Train one method on one task, predict the target's test split and score it, as `dabench run` does.

    Stages that were trained before with the same settings, code and data are reused. A run that was killed continues.

    Args:
        method: name of the method (``dabench ls methods``).
        task: SOURCE2TARGET, for example ``human2stem``.
        data: ``real`` or ``phantom``.
        preset: ``tiny``, ``small`` or ``paper``.
        seed: training seed.
        label: name of this version of the method. Its runs are separate cells and form a separate row.
        points: share of target mitochondria with a point, or a recorded points file.
        patches: share of target patches asked about.
        preferences: a person's preference data set (folder or zip), or JSON lines of earlier versions.
        rater: who answers the kinds without a file: ``truth`` (simulated), ``self`` (no person), or ``recorded``:
            every kind needs a file (the default if any file is given).
        rater_error: error rate of the simulated rater.
        allow_unanswered: train even if fewer than half of the answers can be used.
        test_points: shares of test centres given as prompts, or a recorded file of points on the test split.
        protocol: scoring protocol.
        inference: ``hann``, ``fast``, ``paper`` or ``tiles``.
        selector: rule that chooses the checkpoint.
        snapshots: number of checkpoints of the last stage to choose among.
        pixel_size: ``match`` (the target is seen at the source's pixel size) or ``native``; by default ``match`` where
            a domain is your own.
        source_checkpoint: start from these added weights instead of training on the source.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` ...
        options: settings of components by name, ``{"mean-teacher": {"decay": 0.99}}``.
        config: YAML file with settings; arguments override it.
        tracker: ``mlflow`` (the workspace's own store), ``none``, or a tracking URI.
        cache: reuse trained stages; False trains every stage again.
        workspace: folder of runs; as for the command line by default (``DABENCH_WORKSPACE``, else ``workspace/``).
        progress: True shows it, False does not, None where a person looks on.
        settings: any other setting of a run (``thresholds=(0.4, 0.5)``) or of the method (``po="slpo"``).

    Raises:
        ConfigError: a setting is wrong, unknown, or would have no effect.
        MissingDataError: files of the task are not on this machine.
        DabenchError: the run failed; the reason is in its journal.

    Example:
        >>> import dabench
        >>> few = {"source-only": {"iterations": 2, "crop": 64, "batch": 1}}
        >>> run = dabench.run(
        ...     method="source-only", task="human2stem", data="phantom", preset="tiny", options=few, tracker="none"
        ... )
        >>> run.status
        'ok'
        >>> run.scores[["stage", "split", "metric"]].to_records(index=False).tolist()
        [('supervised', 'test', 'dice'), ('supervised', 'test', 'aji'), ('supervised', 'test', 'pq')]
    """
    given = dict(locals())
    prepared = prepare(configured(given, config), workspace, cache=cache, warn=_warn)
    with make_display(quiet=is_quiet(progress)) as display:
        return prepared.execute(display, tracker, _warn)


def configured(given: Mapping[str, Any], file: str | Path | None = None, sets: Sequence[str] = ()) -> RunConfig:
    """What was given to `run`, or to `dabench run`, as a configuration.

    Args:
        given: by name; None was not given, and what is no setting of a run is left out.
        file: YAML file with settings; what is given wins over it.
        sets: ``NAME.KEY=VALUE``.

    Raises:
        ConfigError: a setting that is wrong or unknown.
    """
    found = {f"budget.{name}" if name in _BUDGET else name: value for name, value in given.items()}
    settings = found.pop("settings", {})
    for name in (*_OF_THE_CALL, "points", "preferences"):
        found.pop(name, None)
    if isinstance(given_points := found.get("test_points"), str | Path):
        found["test_points_file"] = Path(found.pop("test_points"))
    elif given_points is not None:
        found["test_points"] = tuple(given_points)
    annotation = annotation_of(given.get("points"), given.get("preferences"))
    if given.get("rater") is not None:
        annotation.pop("budget.rater", None)
    return load_config({**found, **annotation, **settings}, None if file is None else Path(file), sets)


def annotation_of(points: float | str | Path | None, preferences: str | Path | None) -> dict[str, Any]:
    """Settings of the budget: a number is a share of points; anything else a person's file."""
    found: dict[str, Any] = {}
    if preferences is not None:
        found |= {"budget.preferences_file": Path(preferences), "budget.rater": "recorded"}
    if points is None:
        return found
    try:
        return found | {"budget.points": float(points)}  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return found | {"budget.points_file": Path(points), "budget.rater": "recorded"}  # type: ignore[arg-type]


@dataclass(frozen=True)
class PreparedRun:
    """A run that is planned but not started: what `dabench run --dry-run` shows."""

    plan: Plan
    registry: Registry
    workspace: Workspace
    #: Those of this process, which trains.
    threads: Threads

    def execute(self, display: Display, tracker: str, warn: Callable[[str], None]) -> Run:
        """Run it to its end, and write it to its MLflow store however it ended.

        Args:
            display: entered; told of progress.
            tracker: ``mlflow``, ``none``, or a tracking URI.
            warn: told of a store that cannot be written; no reason to lose the result.
        """
        runner = Runner(self.plan, self.registry, self.workspace, display)
        try:
            record = runner.execute()
        finally:
            uri = _track(tracker, runner.path, self.workspace, warn)
        return Run(record, self.workspace, runner.config, tuple(runner.results.by_stage) if runner.results else (), uri)


def prepare(
    config: RunConfig, workspace: str | Path | None = None, *, cache: bool, warn: Callable[[str], None]
) -> PreparedRun:
    """Resolve a configuration: stages with their keys, what is reused, what is missing. Trains nothing.

    ``warn`` is told of plugins that did not load, before a name that only they have is refused.
    """
    registry, place = Registry.load(), Workspace.find(workspace)
    for status in registry.failures():
        warn(f"plugin {status.name!r} of {status.distribution} did not load: {status.error}")
    threads = use_threads(place)
    return PreparedRun(make_plan(config, registry, place, cache=cache), registry, place, threads)


def _track(tracker: str, path: Path, workspace: Workspace, warn: Callable[[str], None]) -> str:
    """Write the run to MLflow; a store that fails never loses the result, which is in the run directory already."""
    store = MlflowSync.of(tracker, workspace, warn)
    if store is None or not (path / JOURNAL).is_file():
        return ""
    store.write(path)
    return store.uri


def _warn(text: str) -> None:
    warnings.warn(text, RunWarning, stacklevel=2)
