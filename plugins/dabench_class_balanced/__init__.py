"""Self-training scheme ``class-balanced``: SAC's pseudo-labels (Araslanov & Roth, CVPR 2021, section 3).

A momentum teacher looks at each target crop several times, flipped, turned and enlarged, and its aligned predictions
are averaged. Each class has a threshold of its own in each image, a share of the class's peak confidence there, lower
for classes that are rare (Eqs. 3-5); a pixel's weight grows with the teacher's confidence and falls with the running
prior of its class (the focal term, Eq. 6).

Deviations: see docs/methods/class-balanced.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy

import torch
from pydantic import Field
from torch import Tensor, nn

from dabench.plugin import IGNORE, Component, PseudoTargets, Register, SelfTraining, Settings, TargetCrops, hookimpl
from dabench_class_balanced.looks import mean_probability

#: Class prior before anything was seen.
_NOTHING = -1.0


class ClassBalancedSettings(Settings):
    """Teacher, thresholds and weights of SAC."""

    decay: float = Field(0.99, ge=0, le=1, description="Momentum of the teacher, γ_ψ (paper: 0.99).")
    period: int = Field(1, ge=1, description="Updates between two steps of the teacher, T (paper: 100).")
    looks: int = Field(
        4, ge=1, le=16, description="Views that the teacher averages over, including the plain one (paper: 4)."
    )
    zoom: float = Field(
        0.75, gt=0, le=1, description="Smallest box that is enlarged, as a share of the side; 1: none (release: 0.5)."
    )
    momentum: float = Field(0.99, ge=0, le=1, description="Momentum of the class prior, γ_χ (paper: 0.99).")
    upper: float = Field(
        0.75, ge=0, le=1, description="Threshold of a frequent class, share of its peak (paper: 0.75)."
    )
    lower: float = Field(0.2, ge=0, le=1, description="Lowest threshold (release: 0.2).")
    beta: float = Field(1e-3, gt=0, description="Prior below which a class counts as rare, β (paper: 1e-3).")
    focal: float = Field(3.0, ge=0, description="Power λ of the weight (1 - prior)^λ; 0: off (paper: 3).")
    confidence: bool = Field(True, description="Weight a pixel by the teacher's confidence (paper: yes).")


class ClassBalanced(SelfTraining):
    """A momentum teacher with a running class prior."""

    def __init__(self, settings: ClassBalancedSettings) -> None:
        """Without a teacher until `start`."""
        self.settings = settings
        self._teacher: nn.Module | None = None
        #: (2,) float64 on the CPU: running share of background and foreground.
        self.prior = torch.full((2,), _NOTHING, dtype=torch.float64)

    @property
    def teacher(self) -> nn.Module:
        """The averaged network."""
        if self._teacher is None:
            raise RuntimeError("class-balanced: start(student) comes first")
        return self._teacher

    def modules(self) -> Mapping[str, nn.Module]:
        """The teacher belongs in the checkpoint."""
        return {} if self._teacher is None else {"teacher": self._teacher}

    def state(self) -> dict[str, Tensor]:
        """The class prior."""
        return {"prior": self.prior}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take back the class prior."""
        self.prior = state["prior"].clone()

    def start(self, student: nn.Module) -> None:
        """The teacher begins as a copy."""
        if self._teacher is None:
            self._teacher = deepcopy(student).requires_grad_(False)
        else:
            self._teacher.load_state_dict(student.state_dict())
        self._teacher.eval()

    def after_update(self, student: nn.Module, step: int) -> None:
        """Every ``period`` updates the teacher follows the student."""
        if (step + 1) % self.settings.period == 0:
            follow(self.teacher, student, self.settings.decay)

    @torch.no_grad()
    def targets(self, crops: TargetCrops, generator: torch.Generator) -> PseudoTargets:
        """Pseudo-targets of plain target crops; see `SelfTraining.targets`."""
        s = self.settings
        self.teacher.eval()
        probability = mean_probability(self._segment, crops.images, s.looks, s.zoom, generator)
        self.prior = running_prior(self.prior, probability, s.momentum)
        labels = class_thresholded(probability, self.prior, s)
        return PseudoTargets(labels, self._weights(probability), list(crops.points), None, probability)

    def _segment(self, images: Tensor) -> Tensor:
        probability: Tensor = self.teacher(images).probability
        return probability

    def _weights(self, probability: Tensor) -> Tensor:
        """(B, H, W): focal weight of the likelier class, times the confidence in it (Eq. 6)."""
        s = self.settings
        background, foreground = ((1 - self.prior).clamp(min=0) ** s.focal).tolist()
        weights = torch.where(probability > 0.5, foreground, background)
        return weights * torch.maximum(probability, 1 - probability) if s.confidence else weights


def running_prior(prior: Tensor, probability: Tensor, momentum: float) -> Tensor:
    """Class prior after another batch (Eq. 3); the first batch is taken as it is.

    Args:
        prior: (2,) float64 of background and foreground; negative before the first batch.
        probability: (B, H, W) of foreground.
        momentum: share of the old value that stays.

    Returns:
        (2,) float64, sum 1.
    """
    foreground = float(probability.float().mean())
    seen = torch.tensor([1 - foreground, foreground], dtype=torch.float64)
    return seen if float(prior[0]) < 0 else momentum * prior + (1 - momentum) * seen


def class_thresholded(probability: Tensor, prior: Tensor, settings: ClassBalancedSettings) -> Tensor:
    """Labels of the pixels whose confidence is above their class's threshold in their image (Eqs. 4-5).

    θ_c = max(lower, upper · (1 - e^{-χ_c / β}) · peak_c), where the peak is the largest confidence of class c among
    the pixels that it wins.

    Args:
        probability: (B, H, W) of foreground.
        prior: (2,), χ of background and foreground.
        settings: upper, lower and beta.

    Returns:
        (B, H, W) uint8 {0, 1, 255}.
    """
    labels = (probability > 0.5).to(torch.uint8)
    confidence = torch.maximum(probability, 1 - probability)
    discount = (1 - torch.exp(-prior / settings.beta)).tolist()
    keep = torch.zeros_like(labels, dtype=torch.bool)
    for label, factor in enumerate(discount):
        mine = labels == label
        peak = torch.where(mine, confidence, 0.0).amax(dim=(1, 2), keepdim=True)
        keep |= mine & (confidence > (settings.upper * factor * peak).clamp(min=settings.lower))
    return labels.masked_fill(~keep, IGNORE)


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, decay: float) -> None:
    """Teacher ← decay · teacher + (1 - decay) · student, BatchNorm's running statistics too.

    Averaged, not copied: a teacher that moves every 100 updates would not fit the student's present statistics.
    """
    current = student.state_dict()
    for name, mine in teacher.state_dict().items():
        if mine.is_floating_point():
            mine.lerp_(current[name], 1 - decay)
        else:
            mine.copy_(current[name])


@hookimpl
def register_self_training(register: Register) -> None:
    """Register ``class-balanced``."""
    register(
        Component(
            "class-balanced",
            ClassBalanced,
            ClassBalancedSettings,
            "SAC's momentum teacher: aligned looks, a threshold a class, weights by a running class prior.",
            paper="Araslanov & Roth, Self-supervised Augmentation Consistency, CVPR 2021, section 3",
            licence="Apache-2.0, own implementation",
            presets={"paper": {"period": 100, "zoom": 0.5, "focal": 3.0}},
        )
    )
