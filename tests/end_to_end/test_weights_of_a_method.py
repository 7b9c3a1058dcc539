"""A zero-shot method that asks for a file of weights: its key, its errors, and the model built again without it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import Field
from safetensors.torch import save_file

import dabench
from dabench.components.registry import PluginStatus, Registry
from dabench.errors import WeightsError
from dabench.files.workspace import Workspace
from dabench.models import load_model
from dabench.plugin import Component, Method, Prediction, Predictor, Settings, Stage, StageSpec, hookimpl, read_weights
from dabench.plugin import CropSpec as Crops
from dabench.runs.config import validate_config
from dabench.runs.plan import describe, make_plan
from dabench.runs.runner import run_cell
from dabench.runs.weights import WeightsStore


class Level(torch.nn.Module):
    """One number: the probability of every pixel."""

    def __init__(self, file: Path | None, name: str):
        super().__init__()
        self.register_buffer("level", torch.zeros(1))
        if name != "none":
            self.load_state_dict(read_weights(file, name))


class Flat(Predictor):
    """One level, a little higher where the image is bright: a prediction of one value fails its cell."""

    def __init__(self, network):
        self.network = network

    def predict(self, images, points=None, *, density=False):
        return Prediction(self.network.level + 0.1 * images[:, 0])


class Released(Stage):
    def __init__(self, file, name):
        self.level = Level(file, name)

    def modules(self):
        return {"network": self.level}

    def optimizer_steps(self):
        return ()

    def step(self, batch, optimizer):
        raise AssertionError("a frozen stage is never trained")

    def predictor(self):
        return Flat(self.level)


class ReleasedSettings(Settings):
    pretrained: str = Field("released", description="Name of added weights; none: zeros.")


class ReleasedModel(Method):
    def __init__(self, settings, components, weights: Path | None = None):
        del components
        self.settings, self.weights = settings, weights

    def stages(self, task, budget):
        def build(parent):
            return Released(self.weights, self.settings.pretrained)

        return [StageSpec("released", "released-model", self.settings, (), Crops(64), 0, build)]


@hookimpl
def register_methods(register):
    register(
        Component("released-model", ReleasedModel, ReleasedSettings, summary="a released model", licence="Apache-2.0")
    )


@pytest.fixture(scope="module")
def plugins():
    registry = Registry.load()
    registry.add(sys.modules[__name__], PluginStatus("released-model", "x"))
    return registry


def config(**options):
    return validate_config(
        {
            "method": "released-model",
            "task": "human2stem",
            "data": "phantom",
            "preset": "tiny",
            "options": {"released-model": options},
        }
    )


def add(workspace: Workspace, level: float, name: str = "released") -> None:
    """The weights of a name, in place of earlier ones."""
    for earlier in workspace.weights.glob(f"{name}.*"):
        earlier.unlink()
    file = workspace.root / "file.safetensors"
    workspace.root.mkdir(parents=True, exist_ok=True)
    save_file({"level": torch.tensor([level])}, file)
    WeightsStore(workspace.weights).add(name, file)


def key(plugins, workspace, **options):
    return make_plan(config(**options), plugins, workspace).stages[0].key


def test_the_key_holds_the_files_digest(plugins, workspace):
    add(workspace, 0.25)
    first = key(plugins, workspace)
    assert make_plan(config(), plugins, workspace).weights == {
        "released": WeightsStore(workspace.weights).digest("released")
    }
    add(workspace, 0.5, "another")
    assert key(plugins, workspace) == first
    assert key(plugins, workspace, pretrained="another") != first
    add(workspace, 0.75)
    changed = key(plugins, workspace)
    assert changed != first
    add(workspace, 0.25)
    assert key(plugins, workspace) == first


def test_another_file_is_another_result(plugins, workspace):
    """The run of the same name begins again with the file that is there now."""
    found = []
    for level in (0.75, 0.25):
        add(workspace, level)
        record = run_cell(config(), plugins, workspace)
        found.append((record.cell_id, record.metrics["target_test/dice"] > 0, record.tags["weights_digest"]))
    (cell, full, one), (again, empty, other) = found
    assert cell == again
    assert (full, empty) == (True, False)
    assert one != other


def test_a_file_that_was_not_added_is_named(plugins, workspace):
    plan = make_plan(config(), plugins, workspace)
    assert describe(plan)["missing_weights"] == ["released"]
    with pytest.raises(WeightsError, match="weights 'released' were not added") as caught:
        run_cell(config(), plugins, workspace)
    assert "dabench weights add released FILE" in str(caught.value)
    assert caught.value.exit_code == 3


def test_a_file_that_was_changed_is_refused(plugins, workspace):
    add(workspace, 0.25)
    save_file({"level": torch.tensor([0.75])}, WeightsStore(workspace.weights).path_of("released"))
    with pytest.raises(WeightsError, match="the file was changed"):
        make_plan(config(), plugins, workspace)


def test_the_model_is_built_again_without_the_file(plugins, workspace, tmp_path, monkeypatch):
    """From the run where the file is gone, and from a model file on a machine that never had it."""
    add(workspace, 0.75)
    record = run_cell(config(), plugins, workspace)
    for file in workspace.weights.iterdir():
        file.unlink()
    model = load_model(record.cell_id, plugins, workspace)
    model.save(tmp_path / "released.safetensors")
    elsewhere = load_model(tmp_path / "released.safetensors", plugins, Workspace(tmp_path / "elsewhere"))
    for one in (model, elsewhere):
        assert one.predictor.predict(torch.zeros(1, 1, 64, 64)).probability.unique().tolist() == [0.75]
    monkeypatch.setattr(Registry, "load", classmethod(lambda cls: plugins))
    scan = np.random.default_rng(0).integers(0, 255, (1, 70, 90), np.uint8)
    found = dabench.load_model(tmp_path / "released.safetensors", device="cpu").predict(scan)
    assert 0.74 < found.min() < found.max() < 0.86
