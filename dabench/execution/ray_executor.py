"""The executor of several machines: jobs as Ray tasks on a running cluster, or on one started here."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from dabench.errors import ConfigError
from dabench.execution.executor import Executor
from dabench.execution.jobs import Job, Outcome, Site, run_job
from dabench.execution.transfer import outcome_files, stage_files, unpack, user_files
from dabench.files.digests import digest_of
from dabench.files.workspace import Workspace


@dataclass(frozen=True)
class RayResources:
    """What one job asks of the cluster: cores, share of a GPU, and how often it is tried again when its node dies."""

    cpus: float = 1.0
    gpus: float = 0.0
    retries: int = 3


class RayExecutor(Executor):
    """Jobs as Ray tasks. A task whose node dies is tried on another; an exception in a job is not tried again.

    Args:
        site: of every job. With a shared workspace its path has to mean the same folder on every node.
        address: of a running cluster (``auto``, ``ray://head:10001``); "" starts Ray on this machine.
        resources: what a job asks for.
        share: ``files``: nodes see the workspace by its path. ``objects``: they do not; a job's parents travel to its
            node through Ray's object store, what it made travels back, and this process writes it to the workspace.
    """

    def __init__(
        self,
        site: Site,
        address: str = "",
        resources: RayResources | None = None,
        share: Literal["files", "objects"] = "files",
    ) -> None:
        """Connect. Raises ConfigError where Ray is not installed or the cluster cannot be reached."""
        self._ray = connect(address)
        self._site, self._share, self.threads = site, share, site.threads
        self._resources = resources or RayResources()
        self._workspace = Workspace(site.workspace)
        self._running: dict[Any, Job] = {}
        self._archives: dict[str, Any] = {}

    def room(self, job: Job) -> bool:
        """Always: Ray queues what does not fit."""
        del job
        return True

    def submit(self, job: Job) -> None:
        """Hand the job to the cluster, with its parents' archives where nothing is shared."""
        asked = self._resources
        remote = self._ray.remote(_task).options(
            num_cpus=asked.cpus,
            num_gpus=asked.gpus,
            max_retries=asked.retries,
            name=job.label,
        )
        reads = job.keys if job.stage is None else job.keys[: job.stage]
        archives = [self._archive(key) for key in ("", *reads)] if self._share == "objects" else None
        self._running[remote.remote(job, self._site, archives)] = job

    def _archive(self, key: str) -> Any:
        """A reference to a finished stage's archive ("": what the user added to the workspace).

        This process owns it, so it outlives the node that trained the stage.
        """
        if key not in self._archives:
            archive = stage_files(self._workspace, key) if key else user_files(self._workspace)
            self._archives[key] = self._ray.put(archive)
        return self._archives[key]

    def wait(self) -> list[Outcome]:
        """Wait for at least one task."""
        ready, _ = self._ray.wait(list(self._running), num_returns=1)
        return [self._take(reference, self._running.pop(reference)) for reference in ready]

    def _take(self, reference: Any, job: Job) -> Outcome:
        try:
            outcome, archive = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            raised = isinstance(error, self._ray.exceptions.RayTaskError)
            said = str(error).strip().splitlines() or [""]
            reason = f"Ray: {type(error).__name__}: {said[-1 if raised else 0][:300]}"
            return Outcome(job.id, "failed" if raised else "killed", reason)
        if archive is not None:
            unpack(self._workspace.root, archive)
        found: Outcome = outcome
        return found

    def close(self) -> None:
        """Cancel what runs and leave the cluster; one that was started here ends."""
        for reference in self._running:
            self._ray.cancel(reference, force=True)
        self._running = {}
        self._ray.shutdown()


def connect(address: str) -> Any:
    """Ray, connected: to a running cluster, or with "" to one that is started here. Raises ConfigError."""
    try:
        import ray
    except ImportError:
        raise ConfigError(
            "Ray is not installed.", "Install it with dabench: pip install 'dabench[ray]'; or use --executor local."
        ) from None
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    place: dict[str, Any] = {"address": address} if address else {"include_dashboard": False}
    try:
        ray.init(**place, ignore_reinit_error=True, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, OSError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"--address {address!r}: no Ray cluster answers: {error}", "Start one: ray start --head; ray status"
        ) from None
    return ray


def _task(job: Job, site: Site, archives: list[Any] | None) -> tuple[Outcome, bytes | None]:
    """On a node: do the job in the shared workspace, or in one of its own that is filled and emptied by archives.

    The latter stays when the job is killed, so that another try on the same node continues from its checkpoint.
    """
    if archives is None:
        return run_job(job, site), None
    import ray

    name = f"dabench-{digest_of([str(site.workspace), job.suite, job.id])[:16]}"
    workspace = Workspace(Path(tempfile.gettempdir()) / name)
    for reference in archives:
        unpack(workspace.root, ray.get(reference))
    outcome = run_job(job, replace(site, workspace=workspace.root))
    made = outcome_files(workspace, job) if outcome.status in ("ok", "skipped") else None
    shutil.rmtree(workspace.root, ignore_errors=True)
    return outcome, made
