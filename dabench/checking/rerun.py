"""Trains a recorded cell again, away from what the workspace has cached, and holds the result against the record."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from dabench.checking.comparison import Outcome, compare
from dabench.checking.conditions import Difference, differences
from dabench.checking.plugins import missing_plugins, not_installed, plugins_of
from dabench.checking.run_files import RunFiles
from dabench.checking.verify import Verifier
from dabench.components.registry import Registry
from dabench.errors import ConfigError, DataError, MissingDataError
from dabench.files.workspace import Workspace
from dabench.interfaces.observer import Observer
from dabench.runs.device import pick_device
from dabench.runs.own_files import missing_files, with_own_files
from dabench.runs.plan import Plan, make_plan
from dabench.runs.runner import Runner
from dabench.tracking import environment


@dataclass(frozen=True)
class Apart(Workspace):
    """A workspace of its own that has the data, cards and added weights of another, and nothing that it trained."""

    lender: Workspace

    @property
    def weights(self) -> Path:
        """Weights that the user added."""
        return self.lender.weights

    @property
    def cards(self) -> Path:
        """Cards of the user's own domains."""
        return self.lender.cards

    @property
    def data(self) -> Path:
        """Real data."""
        return self.lender.data


@dataclass(frozen=True)
class Rerun:
    """A recorded run that is to be made again: what would be trained, and in what it differs."""

    run: RunFiles
    plan: Plan
    registry: Registry
    apart: Workspace
    threads: int
    differences: tuple[Difference, ...]

    def execute(self, others: Workspace, observer: Observer | None = None) -> Outcome:
        """Train, predict and score the cell, and compare.

        Args:
            others: where recorded seeds of the same row lie.
            observer: told of progress.

        Raises:
            MissingDataError: files of the task are not here.
            DabenchError: the cell fails here.
        """
        with _threads(self.threads):
            made = Runner(self.plan, self.registry, self.apart, observer).execute()
        on_cpu = self.plan.config.device == "cpu"
        return compare(self.run, RunFiles(made.path), self.differences, others, on_cpu=on_cpu)


def prepare(run_dir: Path, registry: Registry, home: Workspace, into: Path, reuse_source: bool = False) -> Rerun:
    """What training a recorded cell again would do. Trains nothing.

    Threads and device are as recorded, where this machine has them.

    Args:
        run_dir: the recorded run, finished.
        registry: what is installed here.
        home: the workspace whose data, cards and added weights are used.
        into: the folder of the rerun, which has to be empty.
        reuse_source: take stages that saw the source alone from the caches of ``home``.

    Raises:
        ConfigError: the run has no result, a plugin is not installed, or ``into`` is not empty.
        DataError: the record does not verify.
        MissingDataError: files of the task are not here.
    """
    if into.is_dir() and any(into.iterdir()):
        raise ConfigError(f"{into} is not empty; a rerun starts from scratch.", "Choose a new folder.")
    run = _checked(run_dir, registry, home)
    apart, threads = Apart(into.absolute(), home), _recorded_threads(run)
    with _threads(threads):
        plan = _plan(run, registry, apart)
        if reuse_source and _copy_source(plan, home):
            plan = _plan(run, registry, apart)
        found = differences(run, plan, registry, environment.capture(), plan.config.device)
    return Rerun(run, plan, registry, apart, threads, found)


def _checked(run_dir: Path, registry: Registry, home: Workspace) -> RunFiles:
    """The record, which agrees with itself and can be made here."""
    report, run = Verifier(registry, home).verify(run_dir, quick=True), RunFiles(run_dir)
    if not report.ok:
        raise DataError(f"{run_dir.name} does not verify:\n  " + "\n  ".join(report.problems()[:6]))
    if report.status != "ok":
        raise ConfigError(f"{run_dir.name} ended with status {report.status}: there is no result to compare with.")
    if missing := missing_plugins(plugins_of(run.record), registry):
        raise not_installed(run_dir.name, missing)
    if run.config.method not in registry.names("method"):
        made = run.record.tags.get("plugin_versions", "")
        raise ConfigError(f"method {run.config.method!r} is not installed here.", f"The run was made with: {made}")
    return run


def _plan(run: RunFiles, registry: Registry, apart: Workspace) -> Plan:
    recorded = run.record.tags.get("device", "auto")
    there = torch.cuda.is_available() or not recorded.startswith("cuda")
    given = with_own_files(run.config, run.path)
    if missing := list(missing_files(given)):
        raise MissingDataError(
            f"{run.path.name} used a person's files, and has no copy of {'; '.join(missing)}.",
            "Ask the author of the run for these files; a rerun needs them.",
        )
    config = given.model_copy(update={"device": recorded.partition(":")[0] if there else "auto"})
    plan = make_plan(config.model_copy(update={"device": str(pick_device(config))}), registry, apart)
    if plan.missing:
        listing = "\n  ".join(plan.missing[:6])
        raise MissingDataError(f"{run.path.name}: files are missing:\n  {listing}", "dabench data ls")
    if plan.skip:
        raise ConfigError(f"{run.path.name} cannot run here: {plan.skip}")
    return plan


def _copy_source(plan: Plan, home: Workspace) -> bool:
    """Copy finished stages that saw no target, as long as one follows the other; whether there were any."""
    copied = False
    for stage in plan.stages:
        kept = home.stages / stage.key
        if stage.spec.crops.target or stage.spec.asks or not (kept / "stage.json").is_file():
            break
        shutil.copytree(kept, stage.folder.path, ignore=shutil.ignore_patterns("predictions"))
        copied = True
    return copied


def _recorded_threads(run: RunFiles) -> int:
    """Threads that the run was trained with; as many as here where it does not say."""
    said = (run.environment.get("torch") or {}).get("threads")
    return said if isinstance(said, int) and 0 < said <= 1024 else torch.get_num_threads()


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
