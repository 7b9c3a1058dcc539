"""The executor of a Ray cluster: jobs as tasks on a running one, or on one started here."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from dabench.errors import ConfigError
from dabench.execution.executor import Executor
from dabench.execution.jobs import Job, JobState, Site, run_job
from dabench.execution.transfer import pack, unpack
from dabench.files.digests import digest_of


class RayExecutor(Executor):
    """Jobs as Ray tasks. A task whose node dies is tried on another; an exception in a job is not tried again.

    Twice as many jobs wait as the cluster has room for, so that no node is idle and a cluster may grow.

    Args:
        site: of every job. With shared files its paths have to mean the same folders on every node.
        address: of a running cluster (``auto``, ``ray://head:10001``); "" starts Ray on this machine.
        jobs: most at a time; None: all that fit.
        retries: how often a job is tried again when its node dies.
        share: ``files``: nodes see the site by its path. ``objects``: they do not; what a job reads travels to its
            node through Ray's object store, what it made travels back, and this process writes it.
    """

    def __init__(
        self,
        site: Site,
        address: str = "",
        jobs: int | None = None,
        retries: int = 3,
        share: Literal["files", "objects"] = "files",
    ) -> None:
        """Connect. Raises ConfigError where Ray is not installed or the cluster cannot be reached."""
        self._ray = connect(address)
        self.site, self._jobs, self._retries, self._share = site, jobs, retries, share
        self._running: dict[Any, Job] = {}
        self._archives: dict[str, Any] = {}

    def room(self, job: Job, beside: Sequence[Job] = ()) -> bool:
        """While no more wait than the cluster would begin soon: one that lost a node may have room for fewer."""
        taken = len(self._running) + len(beside)
        if self._jobs:
            return taken < self._jobs
        here, asked = self._ray.cluster_resources(), job.resources
        places = [here.get("CPU", 1) / asked.cores] + ([here.get("GPU", 0) / asked.gpus] if asked.gpus else [])
        return taken < max(1, 2 * int(min(places)))

    def submit(self, jobs: Sequence[Job]) -> None:
        """Hand jobs to the cluster, with archives of what they read where nothing is shared."""
        for job in jobs:
            asked = job.resources
            remote = self._ray.remote(_task).options(
                num_cpus=asked.cores, num_gpus=asked.gpus, max_retries=self._retries, name=job.label or job.id
            )
            archives = [self._archive(name) for name in job.reads] if self._share == "objects" else None
            self._running[remote.remote(job, self.site, archives)] = job

    def _archive(self, name: str) -> Any:
        """A reference to the archive of a file or folder. This process owns it, so it outlives the node of its job."""
        if name not in self._archives:
            self._archives[name] = self._ray.put(pack(self.site.root, [name]))
        return self._archives[name]

    def wait(self) -> list[JobState]:
        """Wait for at least one task."""
        ready, _ = self._ray.wait(list(self._running), num_returns=1)
        found = [self._take(reference, self._running.pop(reference)) for reference in ready]
        still = {name for job in self._running.values() for name in job.reads}
        self._archives = {name: archive for name, archive in self._archives.items() if name in still}
        return found

    def _take(self, reference: Any, job: Job) -> JobState:
        try:
            state, archive = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            raised = isinstance(error, self._ray.exceptions.RayTaskError)
            said = str(error).strip().splitlines() or [""]
            reason = f"Ray: {type(error).__name__}: {said[-1 if raised else 0][:300]}"
            return self.site.say(JobState(job.id, "failed" if raised else "killed", reason))
        if archive is not None:
            unpack(self.site.root, archive)
        found: JobState = state
        return self.site.say(found)

    def cancel(self, jobs: Collection[str]) -> None:
        """Have the cluster stop them."""
        for reference in [r for r, job in self._running.items() if job.id in jobs]:
            self._ray.cancel(reference, force=True)
            del self._running[reference]

    def close(self) -> None:
        """Cancel what runs and leave the cluster; one that was started here ends."""
        self.cancel([job.id for job in self._running.values()])
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


def _task(job: Job, site: Site, archives: list[Any] | None) -> tuple[JobState, bytes | None]:
    """On a node: do the job in the shared folder, or in one of its own that is filled and emptied by archives.

    The latter stays when the job is killed, so that another try on the same node continues from its checkpoint.
    """
    if archives is None:
        return run_job(job, site), None
    import ray

    root = Path(tempfile.gettempdir()) / f"dabench-{digest_of([str(site.folder), job.id])[:16]}"
    for reference in archives:
        unpack(root, ray.get(reference))
    state = run_job(job, replace(site, root=root, folder=root / "work"))
    made = pack(root, job.makes) if state.status == "ok" else None
    shutil.rmtree(root, ignore_errors=True)
    return state, made
