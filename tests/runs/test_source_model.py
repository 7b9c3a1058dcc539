"""Starting from a source model that somebody else trained: with its images, and without."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from dabench.components.assembly import Assembly
from dabench.components.registry import Registry
from dabench.errors import ConfigError, WeightsError
from dabench.files.workspace import Workspace
from dabench.interfaces import Budget, TaskInfo
from dabench.runs.config import RunConfig
from dabench.runs.plan import Plan, make_plan
from dabench.runs.runner import Runner
from dabench.runs.source_model import begin_with, load_network
from dabench.runs.weights import WeightsStore
from dabench.tracking.run_reader import read_run
from tests.conftest import few


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Path]:
    """A workspace with the weights of a source model under the name ``mine``, and the file they came from."""
    workspace = Workspace(tmp_path_factory.mktemp("source") / "workspace")
    plan = make_plan(few("source-only"), Registry.load(), workspace)
    Runner(plan, Registry.load(), workspace).execute()
    file = plan.stages[0].folder.weights
    WeightsStore(workspace.weights).add("mine", file)
    return workspace, file


def absent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The source's files are not on this machine."""
    from dabench.data.phantom_domain import PhantomDomain

    monkeypatch.setattr(PhantomDomain, "missing", lambda self: ["human.tif"] if self.name == "phantom-human" else [])


def test_the_first_stage_takes_the_weights_and_trains_nothing(trained: tuple[Workspace, Path], registry: Registry):
    workspace, file = trained
    config = few("prompt-das", source_checkpoint="mine")
    plan = make_plan(config, registry, workspace)
    assert [s.spec.iterations for s in plan.stages] == [0, 6]
    assert plan.stages[0].spec.title == "source model mine"
    record = Runner(plan, registry, workspace).execute()
    assert record.tags["source_checkpoint"] == "mine"
    assert record.tags["source_free"] == "false"
    kept = load_file(plan.stages[0].folder.weights)
    assert all(torch.equal(kept[name], tensor) for name, tensor in load_file(file).items())
    assert record.metrics["target_test/dice"] >= 0


def test_other_weights_are_another_stage(trained: tuple[Workspace, Path], registry: Registry, tmp_path: Path):
    workspace, file = trained
    other = {name: tensor + 1e-3 if tensor.is_floating_point() else tensor for name, tensor in load_file(file).items()}
    save_file(other, tmp_path / "other.safetensors")
    WeightsStore(workspace.weights).add("other", tmp_path / "other.safetensors")
    keys = {
        make_plan(few("source-only", source_checkpoint=name), registry, workspace).stages[0].key
        for name in ("mine", "other", None)
    }
    assert len(keys) == 3


def test_without_the_images_what_needs_none_runs_and_is_marked(
    trained: tuple[Workspace, Path], registry: Registry, monkeypatch: pytest.MonkeyPatch
):
    workspace, _ = trained
    absent(monkeypatch)
    plan = make_plan(few("source-only", source_checkpoint="mine"), registry, workspace)
    assert not plan.missing
    assert Runner(plan, registry, workspace).execute().tags["source_free"] == "true"
    skipped = make_plan(few("prompt-das", source_checkpoint="mine"), registry, workspace)
    assert "'prompt-das' trains on source images" in skipped.skip
    assert make_plan(few("source-only"), registry, workspace).missing


def test_weights_that_are_unknown_or_do_not_fit_are_refused(trained: tuple[Workspace, Path], registry: Registry):
    workspace, file = trained
    with pytest.raises(WeightsError, match=r"no weights 'yours' \(added: mine"):
        make_plan(few("source-only", source_checkpoint="yours"), registry, workspace)
    with pytest.raises(WeightsError, match="does not fit Linear"):
        load_network(file, torch.nn.Linear(2, 2))


def test_a_method_that_does_not_begin_on_the_source_is_refused(trained: tuple[Workspace, Path], registry: Registry):
    workspace, _ = trained
    with pytest.raises(ConfigError, match="does more than train a source model"):
        make_plan(few("oracle", source_checkpoint="mine"), registry, workspace)


def test_a_first_stage_that_trains_more_than_a_source_model_is_refused(
    trained: tuple[Workspace, Path], registry: Registry
):
    workspace, _ = trained
    options = {"wda-net": {"start": "scratch"}}
    config = RunConfig(method="wda-net", task="human2rat", data="phantom", preset="tiny", options=options)
    store = WeightsStore(workspace.weights)
    specs = Assembly(registry, config, store).method("wda-net").stages(TaskInfo("a2b", "a", "b"), Budget())
    with pytest.raises(ConfigError, match=r"'counting'.* also trains count"):
        begin_with(specs, "mine", store)[0].build(None)


def test_the_identity_of_other_runs_does_not_know_of_it():
    config = few("source-only")
    assert "source_checkpoint" not in config.identity()


def test_a_published_network_can_be_the_source_model(registry: Registry, workspace: Workspace):
    """A network that is its own encoder and has no detection head trains, and its weights start a later run."""
    options = {"source-only": {"network": "residual-unet", "backbone": "none", "iterations": 2}}
    plan = make_plan(few("source-only", options=options), registry, workspace)
    assert plan.stages[0].spec.components == (("network", "residual-unet"),)
    Runner(plan, registry, workspace).execute()
    WeightsStore(workspace.weights).add("unet", plan.stages[0].folder.weights)
    again = make_plan(few("source-only", options=options, source_checkpoint="unet"), registry, workspace)
    record = Runner(again, registry, workspace).execute()
    assert record.metrics["target_test/dice"] == pytest.approx(plan_score(workspace, plan), abs=1e-6)


def plan_score(workspace: Workspace, plan: Plan) -> float:
    return read_run(workspace.runs / plan.config.cell_id).metrics["target_test/dice"]
