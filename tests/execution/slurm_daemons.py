"""A Slurm of one node on this machine: munged, slurmctld and slurmd with all their files in one folder."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

#: Debian's packages: apt install munge slurmctld slurmd slurm-client
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")

_CONFIGURATION = """
ClusterName=dabench
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=2,batch_sched_delay=0,sched_min_interval=1000,requeue_delay=1
ReturnToService=2
KillWait=2
MinJobAge=10
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} State=UNKNOWN
PartitionName=gpu Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Daemons:
    """The three daemons in the foreground, as children of this process; each may be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.host = folder, socket.gethostname().partition(".")[0]
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
        self.running: dict[str, subprocess.Popen] = {}

    def prepare(self) -> None:
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        values = {"host": self.host, "folder": self.folder, "user": getpass.getuser(), "cores": os.cpu_count()}
        text = _CONFIGURATION.format(controller=_free_port(), node=_free_port(), **values)
        (self.folder / "slurm.conf").write_text(text)

    def start(self, name: str) -> None:
        munge = [f"--{option}={self.folder}/munge.{end}" for option, end in _MUNGE]
        commands = {
            "munged": ["munged", "--foreground", "--force", *munge],
            "slurmctld": ["slurmctld", "-D"],
            "slurmd": ["slurmd", "-D", "-N", self.host],
        }
        program = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
        assert program is not None
        with (self.folder / f"{name}.out").open("a") as out:
            command = [program, *commands[name][1:]]
            self.running[name] = subprocess.Popen(command, env=self.environment, stdout=out, stderr=out)

    def kill(self, name: str) -> None:
        process = self.running.pop(name)
        process.kill()
        process.wait()

    def ask(self, *command: str) -> str:
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False).stdout

    def stop(self) -> None:
        self.ask("scancel", f"--user={getpass.getuser()}")
        until(lambda: not self.ask("squeue", "--noheader"), 60)
        for process in reversed(self.running.values()):
            process.terminate()
        for process in self.running.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


_MUNGE = [("key-file", "key"), ("socket", "socket"), ("pid-file", "pid"), ("log-file", "log"), ("seed-file", "seed")]


def until(true: Callable[[], object], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.2)


@contextmanager
def slurm(folder: Path) -> Iterator[Daemons]:
    """A Slurm that takes jobs; it ends, with its jobs, when the block does."""
    daemons = Daemons(folder)
    daemons.prepare()
    try:
        for name in ("munged", "slurmctld", "slurmd"):
            daemons.start(name)
            if name == "munged":
                until((folder / "munge.socket").exists, 20)
        until(lambda: daemons.ask("sinfo", "--noheader", "--format=%T").strip() == "idle", 60)
        yield daemons
    finally:
        daemons.stop()
