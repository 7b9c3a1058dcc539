"""Labels of the target: training on them makes a bracket, none are open while a stage trains, opened files are told."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from dabench.checking.verify import Verifier
from dabench.components.registry import Registry
from dabench.errors import DataError
from dabench.files.workspace import Workspace
from dabench.interfaces import Split
from dabench.leaderboard.gather import load
from dabench.runs.label_use import bracket_of, label_notes
from dabench.runs.opened import name_of, outside, watched
from dabench.runs.plan import make_plan
from dabench.runs.runner import run_cell
from dabench.runs.task import TaskData
from dabench.training.stage_data import StageData
from tests.conftest import few

ONE: dict[str, Any] = {"options": {"source-only": {"iterations": 1}}}


# ------------------------------------------------------------------------------------------------------------ brackets
def test_who_trains_on_target_labels_is_a_bracket_whatever_it_says(registry: Registry, workspace: Workspace) -> None:
    plan = make_plan(few("oracle"), registry, workspace)
    specs = [stage.spec for stage in plan.stages]
    assert bracket_of(plan.task, specs, "") == "upper"
    assert "supervised trains on target labels" in next(label_notes(plan.task, specs, "lower"))
    assert list(label_notes(plan.task, specs, "upper")) == []
    plan = make_plan(few("source-only"), registry, workspace)
    specs = [stage.spec for stage in plan.stages]
    assert (bracket_of(plan.task, specs, "lower"), bracket_of(plan.task, specs, "")) == ("lower", "none")


def test_the_target_as_its_own_source_is_a_bracket(registry: Registry, workspace: Workspace) -> None:
    run = run_cell(few("source-only", task="stem2stem", **ONE), registry, workspace)
    assert run.tags["bracket"] == "upper"
    assert run_cell(few("source-only", **ONE), registry, workspace).tags["bracket"] == "lower"


# ------------------------------------------------------------------------------------------------------- what is open
def attributes(thing: Any, seen: dict[int, Any]) -> Iterator[Any]:
    """All that can be reached from an object by attributes and contents."""
    if id(thing) in seen or isinstance(thing, str | int | float | bytes | type | ModuleType | np.ndarray):
        return
    seen[id(thing)] = thing
    yield thing
    inside: list[Any] = list(getattr(thing, "__dict__", {}).values())
    inside += list(thing.values()) if isinstance(thing, Mapping) else []
    inside += list(thing) if isinstance(thing, list | tuple | set | frozenset) else []
    for part in inside:
        yield from attributes(part, seen)


def test_no_labels_are_open_while_a_stage_trains(
    registry: Registry, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stage that looks everywhere: at all that it is given, and at every object of the process."""
    found: list[tuple[list[str], list[str]]] = []
    make = StageData.__init__
    earlier = [o for o in gc.get_objects() if isinstance(o, Split)]  # of other tests in this process

    def look(self: StageData, *arguments: Any, **named: Any) -> None:
        make(self, *arguments, **named)
        self.desk.points()
        gc.collect()
        test = ("phantom-stem", "test")
        open_tests = [o for o in gc.get_objects() if isinstance(o, Split) and (o.domain, o.name) == test]
        open_tests = [o for o in open_tests if all(o is not one for one in earlier)]
        held = [o for o in attributes(self, {}) if isinstance(o, Split) or hasattr(o, "labels")]
        found.append(([o.name for o in open_tests], [type(o).__name__ for o in held]))

    monkeypatch.setattr(StageData, "__init__", look)
    run = run_cell(few("prompt-das", seed=77), registry, workspace)
    assert run.status == "ok"
    assert len(found) == 2
    assert found == [([], []), ([], [])]


def test_the_test_split_cannot_be_opened_meanwhile_and_is_afterwards(registry: Registry, workspace: Workspace) -> None:
    task = make_plan(few("source-only"), registry, workspace).task
    digest = task.target_test.label_digest
    with task.test_closed(), pytest.raises(DataError, match="closed while a stage trains"):
        _ = task.target_test
    assert task.target_test.label_digest == digest


# -------------------------------------------------------------------------------------------------------- opened files
def test_what_python_opens_is_noted_but_for_what_it_makes(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("in/a.tif", "b.npy", "code.py", "before.txt"):
        (tmp_path / name).write_text("x")
    (tmp_path / "before.txt").read_text()
    with watched() as opened:
        (tmp_path / "in" / "a.tif").read_bytes()
        (tmp_path / "code.py").read_bytes()
        np.asarray(np.memmap(tmp_path / "b.npy", np.uint8, "r"))
        (tmp_path / "made.txt").write_text("y")
        (tmp_path / "made.txt").read_text()
        os.close(os.open(tmp_path / "b.npy", os.O_RDONLY))
        with pytest.raises(FileNotFoundError):
            (tmp_path / "absent").read_text()
        with watched() as inner:
            json.loads(Path(np.__file__).with_name("version.py").read_text() and "1")
    (tmp_path / "after.txt").write_text("z")
    assert outside(opened, [tmp_path / "in"]) == [tmp_path.resolve() / "b.npy"]
    assert outside(opened, []) == [tmp_path.resolve() / "in" / "a.tif", tmp_path.resolve() / "b.npy"]
    assert outside(inner, []) == []


def test_the_metadata_of_packages_are_no_inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a package of the import path alone, and of what installers write."""
    monkeypatch.syspath_prepend(str(tmp_path / "on"))
    written = [tmp_path / p / "x.egg-info" / name for p in ("on", "off") for name in ("entry_points.txt", "labels.txt")]
    for path in written:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with watched() as opened:
        for path in written:
            path.read_bytes()
    assert outside(opened, []) == [path.resolve() for path in written[1:]]


def test_names_hold_no_path_of_the_machine(tmp_path: Path) -> None:
    (tmp_path / "data" / "lab").mkdir(parents=True)
    inside, beside = tmp_path / "data" / "lab" / "test.tif", tmp_path / "labels.npy"
    for file in (inside, beside):
        file.write_bytes(b"abc")
    assert name_of(inside, tmp_path / "data") == "data/lab/test.tif"
    assert name_of(beside, tmp_path / "data") == "sha256:ba7816bf8f01cfea"  # SHA-256 of abc, FIPS 180-2


def test_a_run_says_what_its_stage_opened(
    registry: Registry, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its record, in `verify` and on the board; a file of the test split is a mark."""
    labels, other = tmp_path / "test_labels.bin", tmp_path / "other.bin"
    labels.write_bytes(b"abc")
    other.write_bytes(b"")
    make = StageData.__init__

    def peek(self: StageData, *arguments: Any, **named: Any) -> None:
        make(self, *arguments, **named)
        labels.read_bytes()
        other.read_bytes()

    monkeypatch.setattr(StageData, "__init__", peek)
    monkeypatch.setattr(TaskData, "test_files", {labels})
    run = run_cell(few("source-only", seed=78, **ONE), registry, workspace)
    names = ("sha256:ba7816bf8f01cfea (target test)", "sha256:e3b0c44298fc1c14")  # of abc, and of nothing
    assert run.stages[0].opened == names
    assert run.tags["opened"] == "supervised: " + "; supervised: ".join(names)
    assert str(tmp_path) not in "".join(p.read_text("latin-1") for p in run.path.rglob("*") if p.is_file())
    report = Verifier(registry, workspace).verify(run.path, quick=True)
    (check,) = (check for check in report.checks if check.name == "journal")
    assert (check.state, check.lines) == (
        "test opened",
        (f"stage 'supervised' opened test files during training: {names[0]}",),
    )
    (board,) = load(workspace).boards()
    assert board.standings[0].checked == "test opened"
    assert any(run.cell_id in note and names[0] in note for note in board.notes)
