"""What this machine knows of a run: the task's data and labels, the protocol, prices of annotation, the plan."""

from __future__ import annotations

from pathlib import Path

from dabench.components.assembly import Assembly
from dabench.components.registry import Registry
from dabench.errors import ConfigError, DabenchError
from dabench.files.digests import digest_of
from dabench.files.workspace import Workspace
from dabench.interfaces import EvaluationProtocol, Split, WeakLabel
from dabench.runs.config import RunConfig
from dabench.runs.domains import all_domains
from dabench.runs.plan import Plan, make_plan
from dabench.runs.task import TaskData
from dabench.runs.weights import WeightsStore
from dabench.training.store import StageFolder

#: Kinds of components that scores, data and prices depend on.
_KINDS = ("domain", "reader", "protocol", "weak_label")


class References:
    """Opens what checks compare with. Runs of one task share its opened data.

    Every method raises DabenchError where this machine does not have what is asked for.
    """

    def __init__(self, registry: Registry, workspace: Workspace) -> None:
        """Nothing is opened yet."""
        self.registry, self.workspace = registry, workspace
        self._opened: dict[str, tuple[Assembly, TaskData]] = {}

    def task(self, config: RunConfig) -> TaskData:
        """The run's data."""
        return self._open(config)[1]

    def protocol(self, config: RunConfig, name: str) -> EvaluationProtocol:
        """A fresh protocol."""
        return self._open(config)[0].protocol(name)

    def weak_labels(self, config: RunConfig) -> dict[str, WeakLabel]:
        """All kinds of annotation, with the run's prices."""
        return self._open(config)[0].weak_labels()

    def test_split(self, config: RunConfig) -> Split | None:
        """The target's test split with its labels; None where the target has none."""
        task = self.task(config)
        if missing := task.missing(source=False):
            raise ConfigError(f"the labels are not on this machine ({Path(missing[0]).name}, ...)")
        return task.target_test if task.has_test_labels() else None

    def splits(self, config: RunConfig) -> list[Split]:
        """Every split of the task that is on this machine."""
        task, found = self.task(config), []
        if not task.missing(source=False):
            found += [task.target_train, *([task.target_test] if task.has_test_labels() else [])]
        if task.info().has_source:
            found.append(task.source_train)
        return found

    def plan(self, config: RunConfig, threads: int | None = None) -> Plan:
        """What this dabench would run for the same settings, with as many threads."""
        if config.budget.recorded():
            raise ConfigError("the run used a person's answers, which it does not include")
        plan = make_plan(config, self.registry, self.workspace, threads=threads)
        if plan.missing or plan.skip:
            raise ConfigError(plan.skip or "its data are not on this machine")
        return plan

    def stage(self, run_dir: Path, key: str) -> StageFolder | None:
        """A finished stage, where it is in the cache or in the run's own folder."""
        folders = (StageFolder(root, key) for root in (self.workspace.stages, run_dir / "stages"))
        return next((folder for folder in folders if folder.weights.is_file()), None)

    def _open(self, config: RunConfig) -> tuple[Assembly, TaskData]:
        """The run's task without its method: that may be a stranger's plugin, and the data are here all the same."""
        reduced = self._reduced(config)
        key = digest_of([reduced.task, reduced.data, reduced.options, reduced.preset])
        if key not in self._opened:
            assembly = Assembly(self.registry, reduced, WeightsStore(self.workspace.weights))
            task = TaskData(reduced, all_domains(assembly, self.workspace), assembly.readers())
            self._opened[key] = (assembly, task)
        return self._opened[key]

    def _reduced(self, config: RunConfig) -> RunConfig:
        options = {key: values for key, values in config.options.items() if self._is_needed(key)}
        presets = sorted({preset for item in self.registry for preset in item.component.presets})
        preset = config.preset if config.preset in presets else presets[0]
        return config.model_copy(update={"options": options, "preset": preset, "source_checkpoint": None})

    def _is_needed(self, key: str) -> bool:
        kind, colon, name = key.partition(":")
        kinds = [kind] if colon else self.registry.kinds_of(key)
        return any(kind in _KINDS for kind in kinds) and (name or key) in {i.name for i in self.registry}


def first_line(error: DabenchError) -> str:
    """What an error says, without the advice."""
    return error.message.splitlines()[0]
