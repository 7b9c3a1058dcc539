"""Kept checkpoints: training does not notice them, a kill changes no bit, only the last stage's key knows of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dabench.components.registry import Registry
from dabench.errors import WeightsError
from dabench.files.digests import digest_file
from dabench.files.workspace import Workspace
from dabench.runs.plan import make_plan
from dabench.runs.runner import Runner
from dabench.training.checkpoint import save_weights
from dabench.training.loop import train
from dabench.training.store import StageFolder
from tests.conftest import few
from tests.training.test_loop import Toy, options, sampler

UPDATES = (3, 5, 8)


def run(folder: Path, stop: int = 99, keep: bool = True) -> Toy:
    """Train a toy for 8 updates with a checkpoint every 2, or until it is killed after ``stop``."""
    stage, store = Toy(), StageFolder(folder, "toy")
    snapshots = {update: store.snapshot(update) for update in UPDATES if keep}
    loop = replace(options(folder), snapshots=snapshots)
    for update in train(stage, 8, sampler(), None, loop):  # type: ignore[arg-type]
        if update.step + 1 == stop:
            break
    return stage


def kept(folder: Path) -> dict[str, str]:
    return {path.stem: digest_file(path) for path in sorted(folder.glob("toy/snapshots/*"))}


def test_training_does_not_notice_and_the_last_snapshot_is_the_outcome(tmp_path: Path) -> None:
    for name, keep in (("with", True), ("without", False)):
        save_weights(tmp_path / f"{name}.safetensors", run(tmp_path / name, keep=keep))
    assert not kept(tmp_path / "without")
    found = kept(tmp_path / "with")
    assert set(found) == {"3", "5", "8"}
    assert found["8"] == digest_file(tmp_path / "with.safetensors") == digest_file(tmp_path / "without.safetensors")
    assert len(set(found.values())) == 3


@pytest.mark.parametrize("stop", [1, 3, 4, 5, 7])
def test_killed_and_started_again_it_keeps_the_same_bits(tmp_path: Path, stop: int) -> None:
    run(tmp_path / "whole")
    run(tmp_path / "parts", stop)
    run(tmp_path / "parts")
    assert kept(tmp_path / "parts") == kept(tmp_path / "whole")


def test_killed_between_checkpoint_and_snapshot_nothing_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Update 8 is a checkpoint and a snapshot: whichever is written first, a kill after it must not lose the other."""
    written = []

    def stop_at_once(path: Path, *rest: object) -> None:
        written.append(path)
        save_weights(path, *rest)  # type: ignore[arg-type]
        if path.stem == "8":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("dabench.training.loop.save_weights", stop_at_once)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "parts")
    assert [path.stem for path in written] == ["3", "5", "8"]
    (tmp_path / "parts" / "toy" / "snapshots" / "8.safetensors").unlink()
    run(tmp_path / "parts")
    run(tmp_path / "whole")
    assert kept(tmp_path / "parts") == kept(tmp_path / "whole")


# ---------------------------------------------------------------- keys
def test_only_the_last_stage_is_another_one(registry: Registry, workspace: Workspace) -> None:
    def keys(**changes: object) -> list[str]:
        return [stage.key for stage in make_plan(few("prompt-das", **changes), registry, workspace).stages]

    plain, several = keys(), keys(snapshots=3)
    assert plain[0] == several[0]
    assert plain[1] != several[1]
    assert keys(thresholds=(0.3, 0.6), selector="target-entropy") == plain
    assert keys(snapshots=3, selector="point-agreement", thresholds=(0.4, 0.5)) == several
    assert make_plan(few("prompt-das", snapshots=3), registry, workspace).stages[1].snapshots == (2, 4)


def test_a_stage_with_snapshots_ends_with_the_same_weights(registry: Registry, workspace: Workspace) -> None:
    plain, several = (make_plan(few("source-only", snapshots=n), registry, workspace) for n in (1, 3))
    for plan in (plain, several):
        Runner(plan, registry, workspace).train_until(0)
    one, other = plain.stages[0].folder, several.stages[0].folder
    assert one.path != other.path
    assert digest_file(one.weights) == digest_file(other.weights)
    assert not (one.path / "snapshots").exists()
    assert {p.name for p in (other.path / "snapshots").iterdir()} == {"2.safetensors", "4.safetensors"}


def test_a_snapshot_that_was_removed_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"4\.safetensors"):
        StageFolder(tmp_path, "key").load(Toy(), 4)
