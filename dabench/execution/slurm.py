"""The executor of a Slurm cluster, through submitit: arrays, dependencies, and jobs that outlive who submitted them."""

from __future__ import annotations

import math
import os
import time
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from os import _exit as leave  # whatever a plugin's guard makes of it later
from pathlib import Path
from threading import Thread
from typing import Any

from dabench.errors import ConfigError
from dabench.execution.executor import Executor
from dabench.execution.jobs import Job, JobState, Site, run_job
from dabench.execution.local import same_imports
from dabench.execution.slurm_queue import COMMENT, Queued, listed, note, scancel, submitted
from dabench.tracking.lock import exclusive

#: How often a job that ran into its time limit is queued again; it continues from its checkpoint.
_TIMEOUTS = 50
_HOURS = 4.0
#: How often a job that Slurm forgot is submitted again without counting as a try.
_LOSSES = 3
#: How a job ended by what Slurm says of it; ``killed`` for all others. A cancelled one is not tried again.
_STATUS = {"CANCELLED": "failed", "OUT_OF_MEMORY": "oom"}


@dataclass(frozen=True)
class SlurmOptions:
    """How jobs are asked for.

    Attributes:
        partition: where; "" is the cluster's default.
        hours: limit of each job; 0: thrice what it is expected to take, at least an hour.
        jobs: most that wait or run at a time; sites limit how many a user may have.
        others: any other option of ``sbatch`` by name: account, qos, constraint.
        poll: seconds between looks at the queue.
    """

    partition: str = ""
    hours: float = 0.0
    jobs: int = 1000
    others: Mapping[str, str] = field(default_factory=dict)
    poll: float = 5.0


class SlurmExecutor(Executor):
    """Jobs in Slurm's queue: preempted and timed-out ones are queued again by Slurm or before its limit.

    Which jobs were submitted together is written before they are, under a token that Slurm shows beside them. So a
    process that comes after one that was killed finds all of them, and none is submitted twice.

    Args:
        site: of every job, on a file system that all nodes see by the same paths.
        options: how jobs are asked for.
        cluster: ``slurm``; submitit's ``local`` (processes) and ``debug`` (this process) are for trying out.
    """

    def __init__(self, site: Site, options: SlurmOptions | None = None, cluster: str = "slurm") -> None:
        """Submit nothing yet. Raises ConfigError where submitit is not installed or there is no Slurm."""
        self.site, self._options, self._cluster = site, options or SlurmOptions(), cluster
        self.orders = cluster == "slurm"
        self._folder = site.folder / "submitit"
        self._submitit = _submitit(cluster, self._folder)
        self._ids: dict[str, str] = {}
        self._handles: dict[str, Any] = {}
        self._missed: set[str] = set()
        self._losses = Counter[str]()

    def room(self, job: Job, beside: Sequence[Job] = ()) -> bool:
        """While the user may have more in the queue."""
        del job
        return len(self._ids) + len(beside) < self._options.jobs

    # ------------------------------------------------------------------------------------------------------ submitting
    def submit(self, jobs: Sequence[Job]) -> None:
        """Submit jobs; those that need the same jobs and take the same are one array. Raises ConfigError."""
        place = {job.id: n for n, job in enumerate(jobs)}
        for _, same in groupby(sorted(jobs, key=lambda j: (_depth(j, jobs), _asks(j), place[j.id])), _asks):
            self._submit_array(list(same))

    def _submit_array(self, jobs: list[Job]) -> None:
        token = uuid.uuid4().hex
        for job in jobs:
            self.site.forget(job.id)
        note(self.site, token, [job.id for job in jobs])
        executor = self._submitit.AutoExecutor(self._folder, self._cluster, slurm_max_num_timeout=_TIMEOUTS)
        executor.update_parameters(**self._parameters(jobs, token))
        try:
            with same_imports():
                handles = executor.submit_array([_Run(job, self.site) for job in jobs])
        except Exception as error:  # submitit passes on what sbatch says, as an error of its own
            raise ConfigError(
                f"Slurm did not take the jobs: {error}", "To list partitions and limits: sinfo"
            ) from error
        for job, handle in zip(jobs, handles, strict=True):
            self._ids[job.id], self._handles[job.id] = handle.job_id, handle

    def _parameters(self, jobs: Sequence[Job], token: str) -> dict[str, Any]:
        asked, options = jobs[0].resources, self._options
        expected = max(job.resources.hours for job in jobs)
        hours = options.hours or (max(1.0, 3 * expected) if expected else _HOURS)
        minutes = max(1, round(60 * hours))
        common = {"name": "dabench", "timeout_min": minutes, "cpus_per_task": asked.cores}
        common |= {"gpus_per_node": max(1, round(asked.gpus))} if asked.gpus else {}
        if not self.orders:
            return common
        needs = [self._ids[need] for need in jobs[0].needs if need in self._ids]
        extra = {"comment": COMMENT + token, "requeue": True, **options.others}
        extra |= {"dependency": f"afterok:{':'.join(needs)}", "kill-on-invalid-dep": "yes"} if needs else {}
        memory = {"mem_gb": math.ceil(self.site.memory_limit / 2**30) + 1} if self.site.memory_limit else {}
        partition = {"slurm_partition": options.partition} if options.partition else {}
        of_slurm = {"slurm_srun_args": [f"--cpus-per-task={asked.cores}"], "slurm_array_parallelism": options.jobs}
        of_slurm |= {"slurm_signal_delay_s": min(90, 15 * minutes), "slurm_additional_parameters": extra}
        return {**common, **memory, **partition, **of_slurm}

    # ---------------------------------------------------------------------------------------------------------- states
    def wait(self) -> list[JobState]:
        """Look at states until a job has ended. Slurm not answering is no job's end."""
        while True:
            there = self._there()
            looks = [] if there is None else [self._look(job, there) for job in list(self._ids)]
            if (found := [state for state in looks if state is not None]) or not self._ids:
                return found
            time.sleep(self._options.poll)

    def _there(self) -> dict[str, Queued] | None:
        """Jobs that Slurm lists; None where that cannot be known now."""
        if self.orders:
            return listed(self.site)
        return {job: Queued(h.job_id, "RUNNING", "", "") for job, h in self._handles.items() if not h.done()}

    def _look(self, job: str, there: Mapping[str, Queued]) -> JobState | None:
        """How a job has ended; None while it has not: by Slurm's word, as it may start one again that ended."""
        entry, state = there.get(job), self.site.state(job)
        if entry is not None and not entry.ended:
            self._missed.discard(job)
            return None
        if state is None or not state.ended:
            if job not in self._missed and self.orders:  # its last word may not be on this machine yet
                self._missed.add(job)
                return None
            ended = self.site.say(self._silent(job, state, entry))
            self._drop(job, keep=True)
            return ended
        self._drop(job)
        return state

    def _silent(self, job: str, state: JobState | None, entry: Queued | None) -> JobState:
        """The end of a job that has not said it itself."""
        log = f"what Slurm has of it: {self._folder / self._ids[job]}_*"
        began = "it ended without a message" if state is not None else "it did not start"
        if entry is not None:
            return JobState(job, _STATUS.get(entry.state, "killed"), f"{began}; Slurm: {entry.state.lower()}; {log}")
        if self.orders and self._losses[job] < _LOSSES:
            self._losses[job] += 1
            return JobState(job, "lost", f"Slurm no longer knows this job; {log}")
        return JobState(job, "killed", f"{began}; probably out of memory, unless you stopped it; {log}")

    def _drop(self, job: str, *, keep: bool = False) -> None:
        """Forget an ended job, and what submitit wrote for it unless that may say why."""
        number = self._ids.pop(job)
        self._handles.pop(job, None)
        self._missed.discard(job)
        for path in () if keep else self._folder.glob(f"{number}_*"):
            path.unlink(missing_ok=True)

    def cancel(self, jobs: Collection[str]) -> None:
        """Take jobs from the queue, or stop them."""
        stopped = [job for job in jobs if job in self._ids]
        if self.orders:
            scancel(self._ids[job] for job in stopped)
        for job in stopped:
            if not self.orders:
                self._handles[job].cancel(check=False)
            self._drop(job)

    def adopt(self, jobs: Mapping[str, Job], since: float = 0.0) -> set[str]:
        """See `Executor.adopt`: jobs in the queue, and those that ended well since the jobs were planned."""
        if not self.orders:
            return set()
        there = submitted(self.site)
        self._ids = {job: there[job].number for job in jobs if job in there}
        scancel(entry.number for job, entry in there.items() if job not in jobs)
        for job in [job for job in jobs if job not in self._ids]:
            state = self.site.state(job)
            if state is not None and state.status == "ok" and state.started + state.seconds > since > 0:
                self._ids[job] = "ended"
        return set(self._ids)

    def close(self) -> None:
        """Leave; what was submitted goes on."""


def _depth(job: Job, jobs: Sequence[Job]) -> int:
    """Jobs of the same submission that come before: needs are submitted first."""
    own = {other.id: other for other in jobs}
    return 1 + max((_depth(own[need], jobs) for need in job.needs if need in own), default=-1)


def _asks(job: Job) -> tuple[tuple[str, ...], int, float, int]:
    """What jobs of one array have in common."""
    asked = job.resources
    return job.needs, asked.cores, asked.gpus, round(asked.hours)


# ------------------------------------------------------------------------------------------------------------- workers
@dataclass(frozen=True)
class _Run:
    """What submitit calls on a node."""

    job: Job
    site: Site

    def __call__(self) -> None:
        """Do the job. In Slurm one that did not end well fails, so that those which need it do not start."""
        state = _apart(self._once)
        if state.status != "ok" and os.environ.get("SUBMITIT_EXECUTOR") == "slurm":
            raise SystemExit(1)

    def _once(self) -> JobState:
        """Do the job unless it is done. A controller that was killed may start again what runs, or ended, before."""
        with exclusive(self.site.lock(self.job.id)):
            state = self.site.state(self.job.id)
            return state if state is not None and state.ended else run_job(self.job, self.site)

    def checkpoint(self) -> Any:
        """Told before a time limit: queued again, it continues from the training's own checkpoint."""
        import submitit

        return submitit.helpers.DelayedSubmission(self)


def _apart(work: Callable[[], JobState]) -> JobState:
    """Work in a thread, so that a signal's SystemExit ends the process at once and gets into no record of a run."""
    done: list[JobState] = []
    thread = Thread(target=lambda: done.append(work()), daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(0.5)
    except SystemExit as end:
        leave(int(end.code or 0) & 0xFF)
    return done[0]


def _submitit(cluster: str, folder: Path) -> Any:
    try:
        import submitit
    except ImportError:
        raise ConfigError(
            "submitit is not installed.", "Install it with dabench: pip install 'dabench[slurm]'."
        ) from None
    if cluster == "slurm" and submitit.SlurmExecutor.affinity() < 0:
        raise ConfigError("There is no Slurm on this machine (srun).", "Run this on a login node of the cluster.")
    folder.mkdir(parents=True, exist_ok=True)
    return submitit
