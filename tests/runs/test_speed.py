"""What a plan says of the time: from history, else from a few updates of which nothing is kept."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from dabench.components.registry import Registry
from dabench.errors import DabenchError, DataError
from dabench.files.workspace import Workspace
from dabench.interfaces import StageSpec
from dabench.runs import speed, stages
from dabench.runs.plan import Plan, make_plan
from dabench.runs.speed import kind_of_stage, training_left
from dabench.runs.stage_time import StageTime
from dabench.training.loop import Update
from tests.conftest import Trained, few


def planned(registry: Registry, workspace: Workspace, **changes: Any) -> Plan:
    return make_plan(few(**changes), registry, workspace)


def updates(monkeypatch: pytest.MonkeyPatch, ends: list[float]) -> list[str]:
    """Let updates of every stage end at these seconds; the stages that were asked for."""
    done: list[str] = []

    def train(stage: Any, spec: StageSpec, *_: Any, updates: int, **__: Any) -> Any:
        done.append(spec.name)
        for step, seconds in enumerate(ends[:updates]):
            yield Update(step, updates, {}, 0.1, seconds)

    monkeypatch.setattr(stages, "train_stage", train)
    monkeypatch.setattr(stages, "perf_counter", lambda: 0.0)
    return done


@pytest.mark.parametrize(
    ("ends", "every", "of_1000"),
    [
        ([4.0, 4.5, 5.0, 7.0, 7.5, 8.0], 0, 503.5),  # the first pays 3.5 for what is made once
        ([4.0, 4.5, 5.0, 5.5, 6.0, 9.5], 0, 506.5),  # and the last 3 for what ends a stage
        ([4.0, 4.5, 5.0, 5.5, 6.0, 6.5], 300, 514.0),  # four rounds
        ([12.0], 0, 12000.0),  # long enough to say so
    ],
)
def test_the_time_of_a_stage(ends: list[float], every: int, of_1000: float) -> None:
    assert StageTime.of(0.0, ends, every).seconds(1000) == pytest.approx(of_1000)


def test_what_comes_before_the_updates_counts_once() -> None:
    assert StageTime.of(60.0, [1.0, 2.0, 3.0], 0).seconds(10) == pytest.approx(70.0)


def test_every_stage_of_a_chain_is_timed_once(
    registry: Registry, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, told = updates(monkeypatch, [1.0, 1.5, 2.0, 2.5, 3.0, 3.5]), list[str]()
    plan = planned(registry, workspace, method="prefer-das")
    left = training_left(plan, registry, workspace, told.append)
    assert done == [stage.spec.name for stage in plan.stages] == [stage.name for stage in left.stages]
    assert len(done) == len(told) == 3
    assert [s.basis for s in left.stages] == [
        "measured: a few updates",
        "measured: a few updates from a start that is not trained yet",
        "measured: a few updates from a start that is not trained yet",
    ]
    assert left.unknown == ()
    assert all(s.seconds is not None and s.seconds >= 0.5 * n for s, n in zip(left.stages, (4, 2, 2), strict=True))
    assert left.as_json()["seconds"] == left.seconds == sum(s.seconds or 0 for s in left.stages)
    assert training_left(plan, registry, workspace, told.append) == left
    assert (len(done), len(told)) == (3, 3)


def test_measuring_ends_in_time(registry: Registry, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(*_: Any, **__: Any) -> Any:
        while True:
            time.sleep(0.01)
        yield

    monkeypatch.setattr(stages, "train_stage", endless)
    monkeypatch.setattr(speed, "_MOST", 0.2)
    plan = planned(registry, workspace, method="prompt-das")
    left = training_left(plan, registry, workspace, lambda text: None)
    assert left.unknown == tuple(stage.spec.name for stage in plan.stages)
    assert left.stages[0].basis == "not measured within 0 s in all"


def test_a_stage_that_needs_a_trained_start_says_so(
    registry: Registry, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(stage: Any, spec: StageSpec, *_: Any, **__: Any) -> Any:
        if spec.name == "prompt-das":
            raise DataError("nothing to ask about.")
        yield from (Update(step, 6, {}, 0.1, step + 1.0) for step in range(6))

    monkeypatch.setattr(stages, "train_stage", train)
    left = training_left(planned(registry, workspace, method="prompt-das"), registry, workspace, lambda text: None)
    assert left.unknown == ("prompt-das",)
    assert left.stages[1].basis == "it needs a trained start: nothing to ask about."


def test_real_updates_leave_nothing_but_their_time(registry: Registry, workspace: Workspace) -> None:
    plan = planned(registry, workspace, method="source-only")
    left = training_left(plan, registry, workspace, lambda text: None)
    assert left.seconds > 0
    assert left.unknown == ()
    assert [p.name for p in workspace.root.rglob("*") if p.is_file()] == ["speeds.json"]


def test_a_stage_that_asks_is_timed_on_its_parent(trained: Trained, registry: Registry, tmp_path: Path) -> None:
    plan = make_plan(
        few("prompt-das", small=False, seed=0, options={"prompt-das": {"batch": 2}}), registry, trained.workspace
    )
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
    assert left.stages[0].basis == "scaled from 3 finished stages of its kind"
    assert done == []


def test_what_fails_says_so(registry: Registry, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise ValueError("no such layer")

    monkeypatch.setattr(stages, "train_stage", broken)
    with pytest.raises(DabenchError, match="no such layer"):
        training_left(planned(registry, workspace), registry, workspace, lambda text: None)
