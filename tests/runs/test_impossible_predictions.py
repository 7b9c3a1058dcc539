"""A model that predicts NaN, no probabilities, or one value everywhere: the cell fails, and is recorded so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from dabench.components.hookspecs import Component, Settings
from dabench.components.registry import PluginStatus, Registry
from dabench.errors import PredictionError
from dabench.files.workspace import Workspace
from dabench.interfaces import Predictor
from dabench.runs.runner import run_cell
from dabench.tracking.run_reader import read_run
from dabench.types import Prediction
from tests.conftest import few
from tests.runs.test_runner import _plugin

Made = Callable[[torch.Tensor], torch.Tensor]


class Fake(Predictor):
    """Gives what a function makes of the images."""

    def __init__(self, made: Made) -> None:
        self._made = made

    def predict(self, images, points=None, *, density=False):
        return Prediction(self._made(images[:, 0]))


def spoilt(made: Made) -> Registry:
    """A registry with a method that trains as source-only and predicts something else."""
    registry = Registry.load()

    def make(config: Settings, components: object) -> object:
        method = components.method("source-only")  # type: ignore[attr-defined]
        stages = method.stages

        def spoil(task: object, budget: object) -> object:
            spec = stages(task, budget)[0]

            def build(parent: object) -> object:
                stage = spec.build(parent)
                stage.predictor = lambda: Fake(made)
                return stage

            return [replace(spec, method="spoilt", build=build)]

        method.stages = spoil
        return method

    component = Component("spoilt", make, Settings, "predicts nonsense", licence="test")
    registry.add(_plugin(methods=component), PluginStatus("spoilt-plugin", "spoilt-dist"))
    return registry


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda x: torch.full_like(x, float("nan")), "slice 0: .*NaN"),
        (lambda x: 20 * x - 10, "slice 0: the model gives values from"),
        (torch.zeros_like, "predicts 0 for every pixel"),
        (lambda x: torch.full_like(x, 0.5), r"predicts 0\.5 for every pixel"),
    ],
    ids=["nan", "logits", "nothing", "one value"],
)
def test_the_cell_fails(workspace: Workspace, made: Made, words: str) -> None:
    config = few("source-only").model_copy(update={"method": "spoilt"})
    with pytest.raises(PredictionError, match=words):
        run_cell(config, spoilt(made), workspace)
    record = read_run(workspace.runs / config.cell_id)
    assert record.status == "failed"
    assert not (workspace.runs / config.cell_id / "predictions" / "target_test.tif").exists()
