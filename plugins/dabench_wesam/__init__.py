"""WeSAM (Zhang et al., CVPR 2024): a promptable model adapts itself to unlabelled images with weak prompts.

Teacher and student are one network, whose encoder learns low-rank updates alone. The teacher's masks of the plain crop
at the given points are the labels of the student's masks of a strongly altered one (self-training); both are held near
the model that they started from (anchor); each object's embedding is to be nearest to its own (contrast). The prompts
are the points that the target's annotation desk gives, never labels.

Deviations: see docs/methods/wesam.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from dabench.ops.augmentation import ViewOptions
from dabench.ops.prompted import InstanceNetwork, PromptMasks, mask_terms
from dabench.ops.views import draw_views, unview_maps, view_images
from dabench.plugin import (
    Batch,
    Budget,
    Component,
    CropSpec,
    FineTuning,
    FineTuningSettings,
    NetworkStage,
    Predictor,
    Register,
    TargetCrops,
    TaskInfo,
    TrainingData,
    hookimpl,
)
from dabench_wesam.lora import QueryValueUpdates
from dabench_wesam.losses import anchor_loss, instance_contrast, instance_embeddings


class WeSAMSettings(FineTuningSettings):
    """The model that it starts from, and what it learns from points alone."""

    start: str = Field("source-promptable", description="Method whose model adapts itself (release: SAM).")
    rank: int = Field(4, ge=1, description="Rank of the updates of queries and values (release: 4).")
    target_points: float = Field(1.0, ge=0, le=1, description="Share of crops that hold a given point, where any is.")
    most: int = Field(40, ge=1, description="Most points of a crop that are asked about (release: 40 to 50 objects).")
    whole: bool = Field(True, description="Learn the segmentation without a prompt in the same way (paper: no).")
    focal: float = Field(1.0, ge=0, description="Weight of the focal loss to a Dice loss of 1 (release: 20).")
    quality: float = Field(1.0, ge=0, description="Weight of the error of the expected IoU (release: 1).")
    anchor: float = Field(1.0, ge=0, description="Weight of the distance to the frozen model (release: 1).")
    contrast: float = Field(1.0, ge=0, description="Weight of the contrast of objects (release: 1).")
    temperature: float = Field(0.3, gt=0, description="τ of the contrast (release: 0.3).")

    def crops(self) -> CropSpec:
        """Target crops alone."""
        return CropSpec(self.crop, target=self.batch, target_points=self.target_points)


@dataclass(frozen=True)
class Said:
    """What a model says of the prompts of a batch.

    logits ``(N, H, W)`` in the frame of the crops, expected IoU ``(N,)``, ``of`` ``(N,)`` the crop of each; ``choice``
    ``(N,)`` is which of its masks was taken.
    """

    logits: Tensor
    quality: Tensor
    of: Tensor
    choice: Tensor


class WeSAMStage(NetworkStage):
    """Low-rank updates of a promptable model on target crops with their given points."""

    settings: WeSAMSettings

    def __init__(self, settings: WeSAMSettings, network: nn.Module) -> None:
        """Take a network, which the stage owns; a frozen copy is the anchor."""
        self.anchor = deepcopy(network).requires_grad_(False).eval()
        self.updates = QueryValueUpdates(network, settings.rank)
        super().__init__(settings, network)
        # Without warps every view can be undone, and no point leaves a crop.
        self.view = ViewOptions(perspective=0.0)

    def parameters(self) -> Iterator[nn.Parameter]:
        return (p for p in super().parameters() if p.requires_grad)

    def prepare(self, data: TrainingData) -> None:
        self.anchor.to(data.device)

    def after_update(self, step: int) -> None:
        del step
        self.updates.keep_keys()

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        s, target = self.settings, batch.target
        assert target is not None
        network, points = cast(InstanceNetwork, self.student), self._prompts(target, batch.generator)
        views = draw_views(target.images, self.view, batch.generator)
        size = (int(target.images.shape[-2]), int(target.images.shape[-1]))
        plain = network.encode(target.images)
        teacher = _asked(network, plain, points, size)
        with torch.no_grad():
            frozen = cast(InstanceNetwork, self.anchor)
            anchor = _asked(frozen, frozen.encode(target.images), points, size, teacher.choice)
        seen = network.encode(view_images(views, target.images))
        moved = [view.points(p) for view, p in zip(views, points, strict=True)]
        there = _asked(network, seen, moved, size, teacher.choice)
        back = torch.cat([unview_maps([views[n]], one[None]) for one, n in zip(there.logits, there.of, strict=True)])
        student = Said(back, there.quality, there.of, there.choice)
        terms = self._terms(student, teacher, anchor)
        if s.contrast:
            terms["contrast"] = s.contrast * self._contrast(plain, seen, teacher, there, sum(map(len, points)))
        return terms

    def _prompts(self, target: TargetCrops, generator: torch.Generator) -> list[Tensor]:
        """Given points of each crop ``(N, 2)``, on its pixels."""
        side = target.images.shape[-1]
        drawn = [p[torch.randperm(len(p), generator=generator)[: self.settings.most]] for p in target.points]
        return [p.to(target.images.device).clamp(0, side - 1) for p in drawn]

    def _terms(self, student: Said, teacher: Said, anchor: Said) -> dict[str, Tensor]:
        s, rows = self.settings, slice(None) if self.settings.whole else teacher.choice >= 0
        logits, labels = student.logits[rows], teacher.logits.detach()[rows] > 0
        masks = PromptMasks(logits[:, None], student.quality[rows][:, None])
        terms = mask_terms(masks, labels, torch.ones_like(labels), s.focal)
        near = anchor_loss(logits, teacher.logits[rows], anchor.logits[rows].sigmoid())
        return {"masks": terms["masks"], "quality": s.quality * terms["quality"], "anchor": s.anchor * near}

    def _contrast(self, plain: Tensor, seen: Tensor, teacher: Said, there: Said, clicked: int) -> Tensor:
        """Of the objects that were clicked; each embedding under the mask in its own frame."""
        of = teacher.of[:clicked]
        own = instance_embeddings(seen, there.logits[:clicked].sigmoid(), of)
        other = instance_embeddings(plain, teacher.logits[:clicked].detach().sigmoid(), of)
        return instance_contrast(own, other, self.settings.temperature)

    def predictor(self) -> Predictor:
        return cast(Any, self.student).predictor("whole")  # type: ignore[no-any-return]


def _asked(
    network: InstanceNetwork,
    embeddings: Tensor,
    points: list[Tensor],
    size: tuple[int, int],
    choice: Tensor | None = None,
) -> Said:
    """Masks at all points, crop by crop, then one a crop without a prompt.

    ``choice`` says which of a prompt's masks is taken, by default the most expected one; -1 where there is but one.
    """
    crops = torch.arange(len(embeddings), device=embeddings.device)
    of = torch.repeat_interleave(crops, torch.tensor([len(p) for p in points], device=crops.device))
    clicked = network.decode(embeddings, torch.cat(points)[:, None], of, size)
    which = clicked.quality.argmax(dim=1) if choice is None else choice[: len(of)]
    rows = torch.arange(len(of), device=of.device)
    whole = network.whole(embeddings)
    logits = torch.cat([clicked.logits[rows, which], whole.logits[:, 0]])
    return Said(
        network.enlarge(logits[:, None], size)[:, 0],
        torch.cat([clicked.quality[rows, which], whole.quality[:, 0]]),
        torch.cat([of, crops]),
        torch.cat([which, torch.full_like(crops, -1)]),
    )


class WeSAM(FineTuning):
    """The stages that it starts from, then ``wesam`` on the target."""

    def skip(self, task: TaskInfo, budget: Budget) -> str | None:
        del task
        return (
            None if budget.points else "wesam learns from weak prompts: it needs points of the target (--points 0.15)"
        )


@hookimpl
def register_methods(register: Register) -> None:
    """Register ``wesam``."""
    register(
        Component(
            "wesam",
            partial(WeSAM, name="wesam", stage=WeSAMStage, asks=("points",)),
            WeSAMSettings,
            "A promptable model adapts itself on target images with sparse points: self-training, anchor, contrast.",
            paper="Zhang et al., Improving the Generalization of Segmentation Foundation Model, CVPR 2024 (WeSAM)",
            licence="Apache-2.0, own implementation (the release is MIT)",
            presets={
                "tiny": {"crop": 96, "iterations": 60},
                "small": {},
                "paper": {
                    "crop": 1024,
                    "batch": 1,
                    "iterations": 40_000,
                    "optimizer": "adam",
                    "lr": 1e-4,
                    "weight_decay": 1e-4,
                    "warmup": 250,
                    "clip": 0.0,
                    "whole": False,
                    "focal": 20.0,
                },
            },
            needs={"transformers": "dabench[sam]", "peft": "dabench[sam]"},
        )
    )
