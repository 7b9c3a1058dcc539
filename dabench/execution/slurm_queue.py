"""Slurm's queue as a site's own: which of its jobs wait or run, by what was written before they were submitted."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dabench.errors import ConfigError
from dabench.execution.jobs import Site

#: Where it is written which jobs are submitted together, and how their submission is called in Slurm's comment.
SUBMITTED, COMMENT = "slurm.jsonl", "dabench-"
#: States that Slurm shows of a job that has ended, for some minutes (MinJobAge).
_ENDED = {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL"}
_ENDED |= {"OUT_OF_MEMORY", "PREEMPTED", "TIMEOUT"}


@dataclass(frozen=True)
class Queued:
    """A job as Slurm lists it: its number there, state, nodes and the time that it has run, as ``squeue`` says them."""

    number: str
    state: str
    nodes: str
    time: str

    @property
    def ended(self) -> bool:
        """Whether it neither waits nor runs; Slurm lists it a while longer."""
        return self.state in _ENDED


def listed(site: Site) -> dict[str, Queued] | None:
    """What Slurm lists of a site's jobs, by id: each one's last submission. None where Slurm does not answer.

    A submission is known by its token: a controller that is killed gives the numbers that it had not saved again.
    """
    path = site.folder / SUBMITTED
    if not path.is_file():
        return {}
    queue = _squeue()
    if queue is None:
        return None
    lines = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
    last = {job: (line["token"], place) for line in lines for place, job in enumerate(line["jobs"])}
    return {job: queue[where] for job, where in last.items() if where in queue}


def submitted(site: Site) -> dict[str, Queued]:
    """Jobs of a site that wait or run, by id. Raises ConfigError where Slurm does not answer."""
    there = listed(site)
    if there is None:
        raise ConfigError("Slurm does not answer (squeue).", "Try again later: nothing is submitted twice.")
    return {job: entry for job, entry in there.items() if not entry.ended}


def cancel_all(site: Site) -> int:
    """Stop all jobs of a site; how many there were."""
    there = submitted(site)
    scancel(entry.number for entry in there.values())
    return len(there)


def _squeue() -> dict[tuple[str, int], Queued] | None:
    """The user's jobs by the token of their submission and their place in it; None where Slurm does not answer."""
    command = ["squeue", "--me", "--array", "--states=all", "--noheader", "--format=%i|%T|%N|%M|%k"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    rows = (line.split("|") for line in said.splitlines())
    return {
        (comment.removeprefix(COMMENT), int(number.partition("_")[2] or 0)): Queued(number, state, nodes, spent)
        for number, state, nodes, spent, comment in (row for row in rows if len(row) == 5)
        if comment.startswith(COMMENT)
    }


def scancel(numbers: Iterable[str]) -> None:
    if found := list(numbers):
        subprocess.run(["scancel", *found], capture_output=True, timeout=60, check=False)


def note(site: Site, token: str, jobs: Sequence[str]) -> None:
    """Write that jobs are about to be submitted under a token; it is on the disk when this returns."""
    path = site.folder / SUBMITTED
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        handle.write(json.dumps({"token": token, "jobs": list(jobs)}) + "\n")
        handle.flush()
        os.fsync(handle.fileno())
