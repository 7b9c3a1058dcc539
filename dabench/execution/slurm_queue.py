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


@dataclass(frozen=True)
class Queued:
    """A job in Slurm's queue: its number there, state, nodes and the time that it has run, as ``squeue`` says them."""

    number: str
    state: str
    nodes: str
    time: str
    token: str


def submitted(site: Site) -> dict[str, Queued]:
    """Jobs of a site that wait or run, by id. Raises ConfigError where Slurm does not answer."""
    path = site.folder / SUBMITTED
    if not path.is_file():
        return {}
    queue = squeue()
    if queue is None:
        raise ConfigError("Slurm does not answer (squeue).", "Try again when it does: nothing is submitted twice.")
    lines = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
    jobs = {line["token"]: line["jobs"] for line in lines}
    found = {}
    for entry in queue.values():
        if entry.token in jobs:
            _, _, index = entry.number.partition("_")
            found[jobs[entry.token][int(index or 0)]] = entry
    return found


def cancel_all(site: Site) -> int:
    """Stop all jobs of a site; how many there were."""
    there = submitted(site)
    scancel(entry.number for entry in there.values())
    return len(there)


def squeue() -> dict[str, Queued] | None:
    """The user's jobs by number; None where Slurm does not answer."""
    command = ["squeue", "--me", "--array", "--noheader", "--format=%i|%T|%N|%M|%k"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    rows = (line.split("|") for line in said.splitlines())
    return {
        number: Queued(number, state, nodes, spent, comment.removeprefix(COMMENT))
        for number, state, nodes, spent, comment in (row for row in rows if len(row) == 5)
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
