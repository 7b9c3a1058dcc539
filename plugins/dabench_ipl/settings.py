"""Settings of IPL: the paper's value, the release's where it differs, and ours."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import Field

from dabench.plugin import AdaptationSettings, CropSpec
from dabench_ipl.prototypes import AlignmentName

#: 1e-2 on the paper's 0-255 density maps is 1e-2 · 255² on ours.
_PAPER_DETECTION = 650.25


class IPLSettings(AdaptationSettings):
    """Detection rounds, segmentation rounds and the contrast."""

    start: str = "source-only"
    network: str = "promptable"
    backbone: str = "conv-small"
    self_training: str = Field(
        "instance-aware", description="Segmentation pseudo-labels: instance-aware, threshold or entropy (Table III)."
    )
    detection_training: str = Field("counted-points", description="Scheme of the rounds that learn detection.")
    source_iterations: int = Field(
        1000, ge=1, description="Updates on the source only, when starting from scratch (paper: not stated)."
    )
    detection_iterations: int = Field(
        200, ge=0, description="Updates of the detection rounds, 0: none (paper: 100,000 in all; release: 50,000)."
    )
    detection_rounds: int = Field(3, ge=1, description="Rounds of detection (paper: 4; release: 5).")
    iterations: int = Field(400, ge=1, description="Updates of the segmentation rounds (release: 50,000).")
    rounds: int = Field(2, ge=1, description="Rounds of segmentation (paper: 3; release: 2).")
    target_points: float = Field(
        0.5, ge=0, le=1, description="Share of target crops that hold a given point, if there are any."
    )
    detection_source: float = Field(
        30.0, ge=0, description="Weight of source detection (paper: λ1 = 1e-2 on 0-255 maps, 650; release: 3251)."
    )
    detection_target: float = Field(
        30.0, ge=0, description="Weight of target detection in the detection rounds (paper and release: 650)."
    )
    detection: float = Field(
        10.0, ge=0, description="Weight of target detection in the segmentation rounds (paper and release: 650)."
    )
    source_weight: float = Field(
        1.0, ge=0, description="Weight of the source's losses in the segmentation rounds (paper: 1; release: 0)."
    )
    contrast: float = Field(5e-3, ge=0, description="λ2, weight of the contrast (paper and release: 5e-3).")
    detection_contrast: float = Field(
        0.0, ge=0, description="The same in the detection rounds (paper: λ2; release: 0, and 1 without points)."
    )
    alignment: AlignmentName = Field(
        "foreground", description="Prototypes that queries are compared with: the rows of Table IV (paper: foreground)."
    )
    temperature: float = Field(0.5, gt=0, description="τ of the contrast (paper: 0.5; Table VII: 0.05 to 1.5).")
    queries: int = Field(1024, ge=2, description="Queries of each class, N (paper: 1024).")
    query_rule: Literal["ranked", "confidence"] = Field(
        "ranked", description="Half hard, half others by rank (release), or by confidence (paper, Eqs. 5-6)."
    )
    easy: float = Field(
        0.95, ge=0.5, le=1, description="δ_e: confidence of easy queries and of prototypes (paper: .95)."
    )
    hard: float = Field(0.8, ge=0.5, le=1, description="δ_h: confidence below which queries are hard (paper: 0.80).")
    clusters: int = Field(2, ge=1, description="Number of k-means clusters per class (paper and release: 2).")
    prototype_every: int = Field(
        50, ge=1, description="Updates between two renewals of prototypes and clusters (paper: 1000; release: 500)."
    )
    memory: int = Field(
        2048, ge=2, description="Latest features of a group from which prototypes are made (paper: not stated)."
    )
    width: int = Field(128, ge=2, description="Channels of the projection head (release: 128).")
    keep_head: bool = Field(
        False, description="Continue with the projection head of the detection rounds (release: part of the network)."
    )
    overlap: float = Field(0.0, ge=0, description="Weight of a soft-Dice term on the source (paper: 0).")

    def crops(self) -> CropSpec:
        return replace(super().crops(), target_points=self.target_points)


@dataclass(frozen=True)
class Phase:
    """What one of the stages learns: weights of its terms, its rounds and its share of the updates.

    Attributes:
        name: of the stage.
        iterations: updates.
        rounds: looks at the whole target training set, evenly spread; 0: the source alone.
        source: weight of source segmentation.
        source_detection: weight of source detection.
        target: weight of target segmentation.
        target_detection: weight of target detection.
        contrast: weight of the contrast.
        sure: whether the contrast takes only pseudo-labelled pixels that are confident as well.
    """

    name: str
    iterations: int
    rounds: int
    source: float
    source_detection: float
    target: float = 0.0
    target_detection: float = 0.0
    contrast: float = 0.0
    sure: bool = False

    @property
    def period(self) -> int:
        """Updates of a round; 0 without rounds."""
        return -(-self.iterations // self.rounds) if self.rounds else 0


_OF_CONTRAST = (
    *("alignment", "temperature", "queries", "query_rule", "easy", "hard"),
    *("clusters", "prototype_every", "memory", "width"),
)
_OF_SEGMENTATION = ("self_training", "iterations", "rounds", "detection", "source_weight", "contrast", "keep_head")
_OF_DETECTION = ("detection_training", "detection_iterations", "detection_rounds", "detection_target")


def deciding(settings: IPLSettings, phase: Phase) -> IPLSettings:
    """Settings with those reset that do not affect a phase.

    They are the key of its stage: a sweep over the temperature finds the detection rounds again.
    """
    silent = set(_OF_CONTRAST) if not phase.contrast else set()
    if not phase.target:
        silent |= {*_OF_SEGMENTATION}
    else:
        silent |= {*_OF_DETECTION, "detection_contrast"}
    if not phase.rounds:
        silent |= {*_OF_DETECTION, "detection_contrast", "target_points", "recalibrate"}
    kept = settings.model_dump(exclude=silent)
    return IPLSettings(**kept)


def source_phase(s: IPLSettings) -> Phase:
    """A source model of the published network; only where there is no shared one."""
    return Phase("ipl-source", s.source_iterations, 0, 1.0, s.detection_source)


def detection_phase(s: IPLSettings) -> Phase:
    """The rounds that learn detection on the target (Eq. 1)."""
    return Phase(
        name="ipl-detection",
        iterations=s.detection_iterations,
        rounds=s.detection_rounds,
        source=1.0,
        source_detection=s.detection_source,
        target_detection=s.detection_target,
        contrast=s.detection_contrast,
        sure=True,
    )


def segmentation_phase(s: IPLSettings) -> Phase:
    """The rounds that learn segmentation on the target (Eqs. 2, 4 and 8)."""
    return Phase(
        name="ipl",
        iterations=s.iterations,
        rounds=s.rounds,
        source=s.source_weight,
        source_detection=s.source_weight * s.detection,
        target=1.0,
        target_detection=s.detection,
        contrast=s.contrast,
    )


PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {"crop": 96, "detection_iterations": 90, "iterations": 120, "recalibrate": 20, "queries": 256},
    "small": {},
    "paper": {
        "start": "scratch",
        "network": "factorised-deep",
        "backbone": "none",
        "crop": 512,
        "batch": 1,
        "source_iterations": 50_000,
        "detection_iterations": 50_000,
        "detection_rounds": 4,
        "iterations": 50_000,
        "rounds": 3,
        "optimizer": "sgd",
        "lr": 5e-5,
        "weight_decay": 5e-4,
        "warmup": 0,
        "clip": 0.0,
        "target_points": 0.0,
        "foreground": 0.0,
        "detection_source": _PAPER_DETECTION,
        "detection_target": _PAPER_DETECTION,
        "detection": _PAPER_DETECTION,
        "detection_contrast": 5e-3,
        "query_rule": "confidence",
        "prototype_every": 1000,
        "keep_head": True,
        "recalibrate": 0,
    },
}
