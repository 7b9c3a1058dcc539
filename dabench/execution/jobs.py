"""What executors run: a job is a function by name with its arguments; its state is a file beside what it belongs to."""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from dabench.files.atomic import write_json

#: Set by a user for a whole session; a worker, wherever it is, gets the same.
_CARRIED = ("DABENCH_DATA", "DABENCH_PLUGIN_FILES", "DABENCH_STRICT_PLUGINS", "DABENCH_PLUGIN_SECONDS")


@dataclass(frozen=True)
class Resources:
    """What a job takes: cores, bytes of memory, GPUs (or a share of one), and hours; 0 of the last three: not known."""

    cores: int = 1
    memory: int = 0
    gpus: float = 0.0
    hours: float = 0.0


@dataclass(frozen=True)
class Job:
    """A call that can be made in any process, again if need be.

    Attributes:
        id: what names it among the jobs of its site.
        function: ``package.module:name``; called with the site's root and the arguments. What it returns is the value
            of its `JobState`: a mapping of JSON values, or None.
        arguments: JSON values by name.
        label: what people read.
        resources: what it takes.
        needs: jobs that come first.
        reads: files and folders below the root that it needs there, for executors whose machines share none.
        makes: those that it leaves.
    """

    id: str
    function: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""
    resources: Resources = Resources()
    needs: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()


@dataclass(frozen=True)
class JobState:
    """How a job stands: ``running``, or how it ended: ``ok``, ``failed``, ``oom``, ``killed``, or ``lost``.

    A ``lost`` job was forgotten by the cluster that had taken it, and is submitted again.
    ``value`` is what its function returned; ``started`` is seconds of the clock, ``pid`` a process of ``host``.
    """

    job: str
    status: str
    reason: str = ""
    seconds: float = 0.0
    value: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""
    host: str = ""
    pid: int = 0
    started: float = 0.0

    @property
    def ended(self) -> bool:
        """Whether it does not run any more, as far as it could say so itself."""
        return self.status != "running"


@dataclass(frozen=True)
class Site:
    """Where jobs of one purpose run.

    Attributes:
        root: folder that a job's function is given, and that ``reads`` and ``makes`` lie below.
        folder: states of jobs, and what they print.
        memory_limit: largest number of bytes per job; 0: no limit.
        environment: settings of the session.
        time_limit: seconds after which a job is ended as failed; 0: no limit. Of processes of this machine alone.
    """

    root: Path
    folder: Path
    memory_limit: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)
    time_limit: float = 0.0

    @classmethod
    def here(cls, root: Path, folder: Path, memory_limit: int = 0, time_limit: float = 0.0) -> Site:
        """This process's settings, to be carried to workers."""
        carried = {name: os.environ[name] for name in _CARRIED if name in os.environ}
        return cls(root, folder, memory_limit, carried, time_limit)

    def log(self, job: str) -> Path:
        """What a job prints, tracebacks among it."""
        return self.folder / "logs" / f"{_file_name(job)}.log"

    def lock(self, job: str) -> Path:
        """The lock that a process holds while it does a job, where another may be started for the same."""
        return self.folder / "jobs" / f"{_file_name(job)}.lock"

    def state(self, job: str) -> JobState | None:
        """How a job stands by its own word; None where it has not begun."""
        return _read(self._file(job))

    def states(self) -> list[JobState]:
        """All that jobs have said, in the order in which they began."""
        found = [_read(path) for path in (self.folder / "jobs").glob("*.json")]
        return sorted((s for s in found if s is not None), key=lambda s: s.started)

    def say(self, state: JobState) -> JobState:
        """Write how a job stands."""
        write_json(self._file(state.job), asdict(state))
        return state

    def forget(self, job: str) -> None:
        """Nothing is known of a job: it is to run again."""
        self._file(job).unlink(missing_ok=True)

    def _file(self, job: str) -> Path:
        return self.folder / "jobs" / f"{_file_name(job)}.json"


def _file_name(job: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", job)


def _read(path: Path) -> JobState | None:
    with suppress(OSError, ValueError, TypeError):
        return JobState(**json.loads(path.read_text()))
    return None


def run_job(job: Job, site: Site) -> JobState:
    """Do a job in this process, and say how it stands before and after. Whatever it raises is how it ended."""
    begun = JobState(
        job.id, "running", label=job.label, host=socket.gethostname(), pid=os.getpid(), started=time.time()
    )
    site.say(begun)
    os.environ.update(site.environment)
    with _prints_to(site.log(job.id)):
        return site.say(replace(_done(job, site, begun), seconds=time.time() - begun.started))


def _done(job: Job, site: Site, begun: JobState) -> JobState:
    try:
        if site.memory_limit:
            _limit_memory(site.memory_limit)
        module, _, name = job.function.partition(":")
        value = getattr(import_module(module), name)(site.root, **job.arguments)
        return replace(begun, status="ok", value=value or {})
    except KeyboardInterrupt:
        return replace(begun, status="killed", reason="interrupted")
    except BaseException as error:
        traceback.print_exc()
        return replace(begun, status=_status_of(error), reason=f"{type(error).__name__}: {error}")


def _status_of(error: BaseException) -> str:
    from dabench.errors import OutOfMemoryError

    return "oom" if isinstance(error, OutOfMemoryError | MemoryError) else "failed"


def _limit_memory(limit: int) -> None:
    """Let allocations past the limit fail in this process, instead of the machine choosing whom to kill."""
    import resource

    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


@contextmanager
def _prints_to(log: Path) -> Iterator[None]:
    """Inside, what this process and the libraries in it print is added to a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    before, streams = [os.dup(1), os.dup(2)], (sys.stdout, sys.stderr)
    with log.open("a", buffering=1) as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
        sys.stdout = sys.stderr = stream
        try:
            yield
        finally:
            sys.stdout, sys.stderr = streams
            for number, descriptor in enumerate(before, 1):
                os.dup2(descriptor, number)
                os.close(descriptor)
