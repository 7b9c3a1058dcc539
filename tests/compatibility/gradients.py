"""Losses and gradients of the first update of every stage of every method, on fixed batches.

`old/gradients.json` was recorded with the last code whose networks handed out probabilities:

    python tests/compatibility/gradients.py tests/compatibility/old/gradients.json
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import torch

from dabench.annotation.desk import AnnotationDesk
from dabench.components.assembly import Assembly
from dabench.components.registry import Registry
from dabench.inference.volume import predict_slices
from dabench.interfaces import Budget, Stage, StageSpec, TaskInfo
from dabench.plugin import AdaptationStage
from dabench.runs.config import RunConfig
from dabench.runs.weights import WeightsStore
from dabench.testing.fixtures import discs
from dabench.testing.trial_run import Truth, budget_of
from dabench.training.loop import LoopOptions
from dabench.training.sampling import LabelledSlices
from dabench.training.train_stage import StageInputs, build_stage, train_stage

_TASK = TaskInfo("one2other", "one", "other")
_SLICES, _SIDE = 2, 224
#: What methods do otherwise since, as it was.
_AS_BEFORE: dict[str, dict[str, Any]] = {
    "promptable": {"placed_contrast": False},
    "prompt-das": {"frozen_keys": True, "contrast_points": "detected", "point_decay": False},
    "prefer-das": {"prompts": False},
    "slpo": {"beta": 1.0},
}


def _plain(predict: Any, predictor: Any, slices: Any, tile: int, _: str, **options: Any) -> Any:
    return predict(predictor, slices, tile, "fast", **options)


def first_update(assembly: Assembly, spec: StageSpec, stage: Stage, budget: Budget) -> dict[str, Any]:
    """Losses by name, and by optimizer step the gradient's norm and its part along a fixed direction, not clipped."""
    (source, source_labels), (target, target_labels) = discs(2, _SLICES, _SIDE), discs(1, _SLICES, _SIDE)
    if spec.crops.labelled == "target":
        source, source_labels = target, target_labels
    desk = AnnotationDesk(Truth(target_labels), target_labels.shape, budget, assembly.weak_labels())
    labelled = LabelledSlices(source, source_labels) if spec.crops.source else None
    gaps = (1, 1) if spec.crops.neighbour else (0, 0)
    gradients: list[tuple[float, float]] = []

    def note(optimizer: torch.optim.Optimizer, _: float) -> None:
        of = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        gradient = torch.cat([g.double().flatten() for g in of])
        direction = torch.arange(len(gradient), dtype=torch.float64).cos()
        gradients.append((float(gradient.norm()), float(gradient @ direction / direction.norm())))

    # Rounds were labelled with plain weights of tiles.
    plain = mock.patch("dabench.inference.training_split.predict_slices", partial(_plain, predict_slices))
    with (
        TemporaryDirectory() as folder,
        plain,
        mock.patch("dabench.training.loop.clip_gradients", note),
        # A stage ended with its update then; what follows from it starts there.
        mock.patch.object(AdaptationStage, "finish"),
    ):
        inputs = StageInputs(0, desk.for_stage(spec.asks), labelled, target, gaps, kept=Path(folder) / "kept")
        options = LoopOptions(torch.device("cpu"), False, Path(folder) / "checkpoint.pt", 9)
        (update,) = train_stage(stage, spec, inputs, options, 1)
    return {"losses": update.losses, "gradients": gradients}


def of_method(registry: Registry, method: str) -> dict[str, Any]:
    """By stage of the method, what its first update gives with preset ``tiny``; its parents have had one update."""
    config = RunConfig(method=method, task="human2stem", data="phantom", preset="tiny", options=_AS_BEFORE)
    assembly = Assembly(registry, config, WeightsStore(Path("none")))
    budget, parent, found = budget_of(assembly, method, 0.15), None, {}
    for spec in assembly.method(method).stages(_TASK, budget):
        parent = build_stage(spec, parent, 0)
        seen = first_update(assembly, spec, parent, budget)
        if spec.method == method:
            found[f"{spec.method}/{spec.name}"] = seen
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    registry = Registry.load()
    trained = [name for name in registry.names("method") if name != "oracle"]
    found = {stage: seen for name in trained for stage, seen in of_method(registry, name).items()}
    Path(sys.argv[1]).write_text(json.dumps(found, indent=1) + "\n")
