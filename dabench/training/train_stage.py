"""One stage, built and trained: the only way from a `StageSpec` to a trained `Stage`.

The runner, the conformance suite, the model loader and the benchmarks all come through here.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from dabench.training.loop import LoopOptions, Update, train
from dabench.training.sampling import CropSampler, LabelledSlices, step_seed
from dabench.training.stage_data import StageData

if TYPE_CHECKING:
    from dabench.interfaces import Desk, Stage, StageSpec, Volume
    from dabench.training.checkpoint import Progress


@dataclass(frozen=True)
class StageInputs:
    """What a stage is trained on.

    Args:
        seed: of all its randomness.
        desk: hands out what the stage asks for and nothing else.
        labelled: what feeds ``Batch.source``, or None.
        target: the target's training images, float32 in [0, 1]; None hides them.
        gaps: slices between the sections of a pair, in the labelled and in the target split.
        shared: folder of what sibling stages have in common (`TrainingData.remember`); None keeps it in memory.
        kept: folder of the stage's own arrays (`TrainingData.keep`); None keeps them in memory.
    """

    seed: int
    desk: Desk
    labelled: LabelledSlices | None = None
    target: Volume | None = None
    gaps: tuple[int, int] = (0, 0)
    shared: Path | None = None
    kept: Path | None = None


def build_stage(spec: StageSpec, parent: Stage | None, seed: int, *, compiled: bool = False) -> Stage:
    """A stage on its trained parent, not yet trained; its initial weights are drawn from the seed alone.

    Convolutions are channels last, those of the parent too: what the stage copies from it computes the same bits
    whether the parent was trained in this process or loaded.
    """
    torch.manual_seed(step_seed(seed, f"{spec.name}/init", 0))
    if parent is not None:
        _channels_last(parent)
    stage = spec.build(parent)
    _channels_last(stage)
    if compiled:
        for module in stage.modules().values():
            module.compile()
    return stage


def _channels_last(stage: Stage) -> None:
    for module in stage.modules().values():
        for tensor in (*module.parameters(), *module.buffers()):
            if tensor.dim() == 4:
                tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)


def train_stage(
    stage: Stage, spec: StageSpec, inputs: StageInputs, options: LoopOptions, updates: int | None = None
) -> Generator[Update, None, Progress]:
    """Train a stage, continuing from its checkpoint when there is one.

    Args:
        stage: what `build_stage` gave.
        spec: its description.
        inputs: what it is trained on; a stage whose spec names no use of the target does not see it.
        options: device, precision, checkpoints.
        updates: the spec's unless given.

    Yields:
        One report per update.

    Returns:
        Updates done and the seconds they took, over all starts.

    Raises:
        DivergedError: a loss is NaN or infinite; the last checkpoint is kept.
    """
    # Only a stage whose key names the target may look at it.
    target = inputs.target if spec.crops.target or spec.asks else None
    sampler = CropSampler(
        spec.crops, inputs.seed, spec.name, inputs.labelled, target, inputs.desk.points(), inputs.gaps
    )
    data = StageData(target, inputs.desk, options.device, inputs.seed, spec.name, inputs.shared, inputs.kept)
    return train(stage, spec.iterations if updates is None else updates, sampler, data, options)
