"""Self-training scheme ``mean-teacher``: the student's moving average labels the target (Prompt-DAS, section 2).

On a plain target crop the teacher gives a probability and a centre density. Peaks of the density, joined to the points
that a person gave, are the detected centres; confident pixels are hard labels, the others are ignored. Detection guards
segmentation: a component without a detected centre is not trusted as foreground, a detected centre without a component
is not trusted as background, and a given point is always a small disc of foreground.
Sources: Prompt-DAS section 2, Prefer-DAS IV.B-C (Eqs. 5-6); thresholds and image weight are ReCo's (docs/facts.md).

Deviations: (1) the papers do not say how detection and segmentation pseudo-labels meet; the guard is ours, after the
instance filter in the authors' code; (2) the teacher looks at several flipped and turned copies (`views`)
and averages: its probabilities are better calibrated across a domain gap; (3) peaks are found relative to the crop's
highest (`peak`), with a floor: across a gap the density keeps its shape but loses height; (4) BatchNorm buffers are
copied from the student; (5) a stage may move the threshold of its probability (`set_threshold`).
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from dabench.ops.augmentation import PLAIN, ViewOptions
from dabench.ops.calibration import shift_odds
from dabench.ops.components import label_components
from dabench.ops.discs import stamp_discs
from dabench.ops.ema import ema_decay, ema_update
from dabench.ops.losses import confident_labels
from dabench.ops.peaks import find_peaks
from dabench.ops.prompts import merge_points, pad_points
from dabench.ops.views import draw_views, unview_maps, view_images, view_points
from dabench.plugin import (
    IGNORE,
    Component,
    PseudoTargets,
    Register,
    SelfTraining,
    Settings,
    TargetCrops,
    hookimpl,
)

#: Flips and quarter turns alone: exactly invertible.
_TURNS = ViewOptions(turn=0.75, perspective=0.0, jitter=0.0, noise=0.0)


class MeanTeacherSettings(Settings):
    """How the teacher follows, and what it trusts."""

    decay: float = Field(0.99, ge=0, le=1, description="Decay of the moving average (ReCo: 0.99; papers: not stated).")
    ramp: bool = Field(
        False, description="Start with decay min(1 - 1/(t+1), decay) (release); off keeps the source model longer."
    )
    weak: float = Field(0.8, ge=0.5, le=1, description="Confidence below which a pixel is ignored (ReCo: 0.7).")
    strong: float = Field(0.97, ge=0.5, le=1, description="Confidence that counts for the image's weight (ReCo: 0.97).")
    strong_weight: bool = Field(False, description="Weight an image by its share of strongly confident pixels (ReCo).")
    views: int = Field(2, ge=1, le=8, description="Copies that the teacher averages over (papers: 1).")
    teacher_prompts: bool = Field(True, description="Show the teacher the given points.")
    peak: float = Field(
        0.5, gt=0, le=1, description="Lowest height of a peak, relative to the crop's highest (release: 0.5)."
    )
    peak_floor: float = Field(0.15, ge=0, le=1, description="Lowest absolute height of a peak.")
    peak_kernel: int = Field(15, ge=3, description="Neighbourhood of a peak in pixels, odd (release: 3).")
    merge: float = Field(
        10.0, ge=0, description="A peak within this many pixels of a given point is treated as that point."
    )
    guard: bool = Field(True, description="Let detected centres decide which components are trusted.")
    disc: float = Field(5.0, ge=0, description="Radius of the foreground disc at a given point, pixels (0: none).")
    doubt: float = Field(
        12.0, ge=0, description="Radius around a detected but unsegmented centre that is ignored, pixels."
    )

    @field_validator("peak_kernel")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("the neighbourhood has a centre pixel: an odd number")
        return value


class MeanTeacher(SelfTraining):
    """A moving average of the student; see the module's docstring."""

    def __init__(self, settings: MeanTeacherSettings) -> None:
        """Without a teacher until `start`."""
        self.settings = settings
        self._teacher: nn.Module | None = None
        self._threshold = 0.5

    @property
    def teacher(self) -> nn.Module:
        """The averaged network."""
        if self._teacher is None:
            raise RuntimeError("mean-teacher: start(student) comes first")
        return self._teacher

    def modules(self) -> Mapping[str, nn.Module]:
        """The teacher belongs in the checkpoint."""
        return {} if self._teacher is None else {"teacher": self._teacher}

    def start(self, student: nn.Module) -> None:
        """The teacher begins as a copy."""
        if self._teacher is None:
            self._teacher = deepcopy(student).requires_grad_(False)
        else:
            self._teacher.load_state_dict(student.state_dict())
        self._teacher.eval()

    def after_update(self, student: nn.Module, step: int) -> None:
        """Teacher ← decay · teacher + (1 - decay) · student."""
        s = self.settings
        ema_update(self.teacher, student, ema_decay(step, s.decay) if s.ramp else s.decay)

    def state(self) -> dict[str, Tensor]:
        """The threshold, if it was moved."""
        return {} if self._threshold == 0.5 else {"threshold": torch.tensor(self._threshold, dtype=torch.float64)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take it back."""
        self.set_threshold(float(state.get("threshold", 0.5)))

    def set_threshold(self, threshold: float) -> None:
        """Labels, guard and confidence follow it; the density does not."""
        self._threshold = threshold

    @torch.no_grad()
    def targets(self, crops: TargetCrops, generator: torch.Generator) -> PseudoTargets:
        """Pseudo-targets of plain target crops; see `SelfTraining.targets`."""
        s = self.settings
        self.teacher.eval()
        probability, density = self._predict(crops, generator)
        points = [merge_points(g, p, s.merge) for g, p in zip(crops.points, self._peaks(density), strict=True)]
        labels = confident_labels(probability, s.weak)
        weights = torch.ones_like(probability)
        if s.strong_weight:
            weights = weights * strong_fraction(probability, s.strong)
        for index in range(len(labels)):
            if s.guard:
                labels[index] = guarded(labels[index], probability[index], points[index], s.doubt)
            labels[index] = stamp_discs(labels[index], crops.points[index], s.disc, 1)
        return PseudoTargets(labels, weights, points, None, probability)

    def _predict(self, crops: TargetCrops, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Probability and density ``(B, H, W)``, averaged over the plain crop and turned copies."""
        s, count = self.settings, len(crops.images)
        views = [v for n in range(s.views) for v in draw_views(crops.images, _TURNS if n else PLAIN, generator)]
        points = pad_points(view_points(views, crops.points * s.views)) if s.teacher_prompts else None
        # All copies in one pass: half the work of small networks is starting operations.
        output = self.teacher(view_images(views, crops.images.repeat(s.views, 1, 1, 1)), points, with_density=True)
        seen = (unview_maps(views, maps.float()) for maps in (output.probability, output.density))
        probability, density = (maps.view(s.views, count, *maps.shape[1:]).mean(dim=0) for maps in seen)
        return shift_odds(probability, self._threshold), density

    def _peaks(self, density: Tensor) -> list[Tensor]:
        s = self.settings
        limits = (s.peak * density.flatten(1).amax(dim=1)).clamp(min=s.peak_floor).tolist()
        return [find_peaks(density[i : i + 1], limit, s.peak_kernel).unpad()[0] for i, limit in enumerate(limits)]


def strong_fraction(probability: Tensor, strong: float) -> Tensor:
    """Share of all pixels that are at least ``strong`` confident, ``(B, 1, 1)`` (ReCo)."""
    sure = torch.maximum(probability, 1 - probability) >= strong
    return sure.float().mean(dim=(1, 2))[:, None, None]


def guarded(labels: Tensor, probability: Tensor, points: Tensor, doubt: float) -> Tensor:
    """Labels of one crop after filtering by detection.

    Args:
        labels: (H, W) uint8 {0, 1, 255}.
        probability: (H, W) in [0, 1].
        points: (N, 2) detected and given centres (x, y).
        doubt: radius around a centre without a component, in pixels.

    Returns:
        (H, W): components without a centre are ignored, unless they touch the border (their centre may lie outside);
        background near a centre without a component is ignored.
    """
    mask = (probability > 0.5).cpu().numpy()
    components = torch.from_numpy(label_components(mask)).long().to(labels.device)
    columns, rows = points.round().long().clamp(min=0).unbind(dim=1) if len(points) else (points[:, 0].long(),) * 2
    rows, columns = rows.clamp(max=labels.shape[0] - 1), columns.clamp(max=labels.shape[1] - 1)
    trusted = torch.zeros(int(components.max()) + 1, dtype=torch.bool, device=labels.device)
    trusted[components[rows, columns]] = True
    border = (components[0], components[-1], components[:, 0], components[:, -1])
    trusted[torch.cat(border)] = True
    trusted[0] = True
    out = labels.masked_fill(~trusted[components], IGNORE)
    near = stamp_discs(torch.zeros_like(labels), points[components[rows, columns] == 0], doubt, 1) == 1
    return out.masked_fill(near & (labels == 0), IGNORE)


@hookimpl
def register_self_training(register: Register) -> None:
    """Register ``mean-teacher``."""
    register(
        Component(
            "mean-teacher",
            MeanTeacher,
            MeanTeacherSettings,
            "A moving average of the student labels the target, batch by batch.",
            paper="Tarvainen & Valpola 2017; Prompt-DAS, MICCAI 2025, section 2",
            licence="Apache-2.0, own implementation",
            presets={
                "paper": {
                    "weak": 0.7,
                    "ramp": True,
                    "strong_weight": True,
                    "views": 1,
                    "peak_floor": 0.0,
                    "peak_kernel": 3,
                    "merge": 0.0,
                    "guard": False,
                    "disc": 0.0,
                    "doubt": 0.0,
                },
            },
        )
    )
