"""What a plan says of the time: from history, else from a few updates of which nothing is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dabench.components.registry import Registry
from dabench.errors import DabenchError
from dabench.files.workspace import Workspace
from dabench.runs import stages
from dabench.runs.plan import Plan, make_plan
from dabench.runs.speed import kind_of_stage, training_left
from dabench.training.loop import Update
from tests.conftest import Trained, few


def planned(registry: Registry, workspace: Workspace, **changes: Any) -> Plan:
    return make_plan(few(**changes), registry, workspace)


def updates(monkeypatch: pytest.MonkeyPatch, ends: list[float]) -> list[int]:
    """Let updates end at these seconds; how many were done."""
    done: list[int] = []

    def train(*_: Any) -> Any:
        for step, seconds in enumerate(ends):
            done.append(step)
            yield Update(step, 100, {}, 0.1, seconds)

    monkeypatch.setattr(stages, "train_stage", train)
    return done


@pytest.mark.parametrize(
    ("ends", "seconds", "count"),
    [
        ([4.0, 4.5, 5.0, 7.0, 7.5, 8.0, 99.0], 0.5, 6),  # the first pays for all; the median of five others
        ([12.0, 13.0], 12.0, 1),  # long enough to say so
        ([4.0, 11.0, 12.0], 7.0, 2),
    ],
)
def test_a_few_updates_are_timed(
    ends: list[float],
    seconds: float,
    count: int,
    registry: Registry,
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done, told = updates(monkeypatch, ends), list[str]()
    plan = planned(registry, workspace, method="prompt-das")
    left = training_left(plan, registry, workspace, told.append)
    first = plan.stages[0].spec
    assert left.seconds == pytest.approx(seconds * first.iterations)
    assert left.unknown == (plan.stages[1].spec.name,)
    assert (len(done), len(told)) == (count, 1)
    assert training_left(plan, registry, workspace, told.append) == left
    assert (len(done), len(told)) == (count, 1)  # measured once


def test_real_updates_leave_nothing_but_their_time(registry: Registry, workspace: Workspace) -> None:
    plan = planned(registry, workspace, method="source-only")
    left = training_left(plan, registry, workspace, lambda text: None)
    assert left.seconds > 0
    assert left.unknown == ()
    assert [p.name for p in workspace.root.rglob("*") if p.is_file()] == ["speeds.json"]


def test_a_stage_that_asks_is_timed_on_its_parent(trained: Trained, registry: Registry, tmp_path: Path) -> None:
    plan = make_plan(few("prompt-das", seed=0, options={"prompt-das": {"batch": 2}}), registry, trained.workspace)
    assert [s.state for s in plan.stages] == ["cached", "new"]
    left = training_left(plan, registry, trained.workspace, lambda text: None)
    assert left.seconds > 0
    assert left.unknown == ()
    assert not plan.stages[1].folder.path.exists()


def test_history_comes_first(registry: Registry, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planned(registry, workspace, method="source-only")
    stage = plan.stages[0]
    name, settings = json.loads(kind_of_stage(stage))
    for seconds, key in ((10.0, "a"), (30.0, "b"), (20.0, "c")):
        record = {"name": name, "settings": settings, "seconds": seconds, "updates": 10, "peak_memory_bytes": 1}
        (workspace.stages / key).mkdir(parents=True)
        (workspace.stages / key / "stage.json").write_text(json.dumps(record))
    done = updates(monkeypatch, [1.0])
    left = training_left(plan, registry, workspace, lambda text: None)
    assert left.seconds == pytest.approx(2.0 * stage.spec.iterations)
    assert done == []


def test_what_fails_says_so(registry: Registry, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise ValueError("no such layer")

    monkeypatch.setattr(stages, "train_stage", broken)
    with pytest.raises(DabenchError, match="no such layer"):
        training_left(planned(registry, workspace), registry, workspace, lambda text: None)
