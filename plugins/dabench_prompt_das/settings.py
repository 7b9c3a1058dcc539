"""Settings of Prompt-DAS: ours, the paper's values, and the release's where it differs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from pydantic import Field

from dabench.ops.losses import DETECTION_WEIGHT
from dabench.plugin import CropSpec, SchemeSettings


class PromptDASSettings(SchemeSettings):
    """Stage 1 of Prefer-DAS."""

    self_training: str = "mean-teacher"
    overlap: float = 0.0
    refresh_every: int = Field(
        100,
        ge=1,
        description="Updates between two passes over the target's training set: rankings, rounds of a scheme.",
    )
    target_points: float = Field(
        0.5, ge=0, le=1, description="Share of target crops that hold a given point, if there are any."
    )
    detection: float = Field(30.0, ge=0, description="λ1 on 0-1 maps (paper: 1e-3 on 0-255, that is 65).")
    contrast: float = Field(1e-3, ge=0, description="λ2, weight of the contrast (paper: 1e-3).")
    point_weight: float = Field(0.2, ge=0, description="Weight of the loss on discs at given points (paper: 0).")
    point_radius: float = Field(5.0, ge=0, description="Radius of those discs in pixels.")
    pseudo_points: bool = Field(
        True, description="Without given points, use confident points of the source model instead (paper: yes)."
    )
    point_rule: Literal["cautious", "release"] = Field(
        "cautious",
        description="Peaks that count as confident: whole objects of high probability (cautious), or all above 125 "
        "of 255 (release, at test; papers: not stated).",
    )
    point_decay: bool = Field(
        True, description="Those points are proposals: crops get them with a probability that falls to 0 (paper: no)."
    )
    trusted: float = Field(
        0.5,
        ge=0,
        description="Share of the implied count that is foreground, most probable components first; 0: off (paper).",
    )
    possible: float = Field(
        1.0, ge=0, description="Components past this share of the implied count are background (with trusted > 0)."
    )
    calibrate: bool = Field(
        True,
        description="Lower the threshold of pseudo-labels where the given points agree better with it (papers: no).",
    )
    rank_slices: int = Field(12, ge=1, description="Most slices that a ranking uses.")
    target_weight: float = Field(1.0, ge=0, description="Weight of the target's segmentation loss (release: 1).")
    detection_pseudo: bool = Field(True, description="Learn detection on the target (Table II, Detect.).")
    segmentation_pseudo: bool = Field(True, description="Learn segmentation on the target (Table II, Segment.).")
    prompts: bool = Field(True, description="Give points as prompts while training (Table II, Training Prompts).")
    fg_confidence: float = Field(
        0.9, ge=0.5, le=1, description="Probability above which pixels are queries of the contrast, δ_f (paper: 0.9)."
    )
    bg_confidence: float = Field(
        0.1, ge=0, le=0.5, description="Probability below which pixels are negatives of the contrast, δ_b (paper: 0.1)."
    )
    queries: int = Field(64, ge=1, description="Most queries per crop (release: 256).")
    negatives: int = Field(64, ge=1, description="Negatives per crop, N^n (paper: 256).")
    temperature: float = Field(0.5, gt=0, description="τ of the contrast (paper: 0.5).")
    frozen_keys: bool = Field(False, description="No gradient through the contrast's keys (release: yes).")
    contrast_points: Literal["given", "detected"] = Field(
        "given", description="Points whose mean is the foreground key: the given ones (paper), or detected ones too."
    )
    motion_blur: float = Field(0.0, ge=0, le=1, description="Probability of motion blur (release: for Lucchi).")
    elastic: float = Field(0.0, ge=0, le=1, description="Probability of elastic deformation (Prompt-DAS: 0.3).")

    def crops(self) -> CropSpec:
        return replace(super().crops(), target_points=self.target_points)


PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {"crop": 96, "iterations": 200, "recalibrate": 20},
    "small": {"iterations": 1200},
    "paper": {
        "crop": 384,
        "iterations": 16_000,
        "lr": 1e-5,
        "warmup": 0,
        "floor": 0.1,
        "clip": 0.0,
        "detection": DETECTION_WEIGHT,
        "point_weight": 0.0,
        "trusted": 0.0,
        "calibrate": False,
        "target_points": 0.7,
        "queries": 256,
        "negatives": 256,
        "frozen_keys": True,
        "point_rule": "release",
        "point_decay": False,
        "recalibrate": 0,
    },
}
