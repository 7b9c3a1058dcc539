"""The default number of threads: cores that may be used and are free, decided once a workspace."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from dabench.files.workspace import Workspace
from dabench.runs import threads


@dataclass
class Machine:
    """A made-up machine of 16 cores with two logical CPUs each: 0 and 16 are one core."""

    patch: pytest.MonkeyPatch
    root: Path
    chosen: list[int] = field(default_factory=lambda: [16])

    def cpus(self, allowed: range) -> None:
        self.patch.setattr(threads.os, "cpu_count", lambda: 32)
        self.patch.setattr(threads.os, "sched_getaffinity", lambda pid: set(allowed), raising=False)
        for cpu in range(32):
            file = self.root / f"cpu{cpu}/topology/thread_siblings_list"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{cpu % 16},{cpu % 16 + 16}\n")

    def load(self, minute: float, five: float) -> None:
        self.patch.setattr(threads.os, "getloadavg", lambda: (minute, five, 99.0))

    def quota(self, name: str, text: str) -> None:
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    made = Machine(monkeypatch, tmp_path / "machine")
    for name in threads.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(threads, "_CPUS", made.root)
    monkeypatch.setattr(threads, "_CGROUPS", made.root)
    monkeypatch.setattr(threads, "_GIVEN", set())
    # Torch's own number is one of the process; the made-up machine has its own.
    monkeypatch.setattr(torch, "get_num_threads", lambda: made.chosen[-1])
    monkeypatch.setattr(torch, "set_num_threads", made.chosen.append)
    made.cpus(range(32))
    made.load(0.1, 0.1)
    return made


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "w")


@pytest.mark.parametrize(
    ("allowed", "cores"), [(range(32), 16), (range(16), 16), (range(4), 4), (range(10, 28), 16), (range(31, 32), 1)]
)
def test_two_logical_cpus_of_a_core_are_one(machine: Machine, allowed: range, cores: int) -> None:
    machine.cpus(allowed)
    assert threads.usable_cores() == cores


@pytest.mark.parametrize(
    ("name", "text", "cores"),
    [("cpu.max", "250000 100000\n", 3), ("cpu.max", "max 100000\n", 16), ("cpu.max", "damaged", 16)],
)
def test_a_container_has_its_quota(machine: Machine, name: str, text: str, cores: int) -> None:
    machine.quota(name, text)
    assert threads.usable_cores() == cores


@pytest.mark.parametrize(("quota", "cores"), [("200000", 2), ("-1", 16)])
def test_so_has_one_of_the_older_kind(machine: Machine, quota: str, cores: int) -> None:
    machine.quota("cpu/cpu.cfs_quota_us", quota)
    machine.quota("cpu/cpu.cfs_period_us", "100000")
    assert threads.usable_cores() == cores


@pytest.mark.parametrize(
    ("allowed", "minute", "five", "count"),
    [
        (range(32), 0.1, 0.1, 8),  # never more than 8
        (range(32), 11.8, 12.2, 4),  # 16 cores, 12 busy
        (range(32), 40.0, 40.0, 1),  # never less than one
        (range(32), 40.0, 1.0, 8),  # has just begun: perhaps our own last run
        (range(4), 11.8, 12.2, 4),  # the other 12 cores have room for the others
    ],
)
def test_what_others_use_is_left_to_them(
    machine: Machine, workspace: Workspace, allowed: range, minute: float, five: float, count: int
) -> None:
    machine.cpus(allowed)
    machine.load(minute, five)
    assert threads.use_threads(workspace).count == count
    assert machine.chosen[-1] == count


def test_the_first_run_of_a_workspace_decides(machine: Machine, workspace: Workspace, tmp_path: Path) -> None:
    machine.load(12, 12)
    assert threads.use_threads(workspace).count == 4
    machine.load(0, 0)
    later = threads.use_threads(workspace)
    assert later.count == 4
    assert "first run decided: OMP_NUM_THREADS=8 fits the present load" in later.why
    assert threads.use_threads(Workspace(tmp_path / "other")).count == 8
    assert threads.use_threads(workspace).count == machine.chosen[-1] == 4
    machine.quota("cpu.max", "200000 100000")  # with other limits, another number
    assert threads.use_threads(workspace).count == 2
    assert json.loads((workspace.root / "threads.json").read_text()) == {"16": 4, "2": 2}


def test_looking_decides_nothing(machine: Machine, workspace: Workspace) -> None:
    machine.load(12, 12)
    assert str(threads.threads_of(workspace)) == "4 (of 16 cores, free of other work: 4)"
    assert not workspace.root.exists()
    assert machine.chosen == [16]


@pytest.mark.parametrize("name", threads.VARIABLES)
def test_a_users_number_stays(
    machine: Machine, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    machine.chosen = [3]
    assert str(threads.use_threads(workspace)) == "3 (set in this process)"
    machine.chosen = [16]
    monkeypatch.setenv(name, "16")
    assert str(threads.use_threads(workspace)) == f"16 ({name})"
    assert machine.chosen == [16]
    assert not workspace.root.exists()


@pytest.mark.parametrize("text", ["{", "[1]", '{"16": 0}', '{"16": "4"}', '{"16": 64}'])
def test_a_damaged_record_is_decided_anew(machine: Machine, workspace: Workspace, text: str) -> None:
    workspace.root.mkdir()
    (workspace.root / "threads.json").write_text(text)
    machine.load(12, 12)
    assert threads.use_threads(workspace).count == 4
    assert json.loads((workspace.root / "threads.json").read_text()) == {"16": 4}
