"""Settings of the zero-shot models, and of the narrow one that learns the source."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from dabench.ops.prompted import PromptedWeights
from dabench.plugin import Settings, TrainingSettings


class ZeroShotSettings(Settings):
    """How an untuned model is asked without points: SAM's automatic masks (defaults: its release's)."""

    network: str = Field(description="Network that brings the weights.")
    crop: int = Field(1024, ge=16, description="Side of a tile in pixels (release: the encoder's).")
    points_per_side: int = Field(32, ge=1, description="Points along a side of a tile (release: 32).")
    quality: float = Field(0.88, ge=0, le=1, description="Least IoU that the model expects of a mask (release: 0.88).")
    stability: float = Field(0.95, ge=0, le=1, description="Least IoU of the masks at logits +1 and -1 (release: .95).")
    box_overlap: float = Field(0.7, ge=0, le=1, description="IoU of boxes above which one mask goes (release: 0.7).")
    filter: Literal["none", "area-filtered"] = Field(
        "none", description="Keep all of these masks (release), or those that cover no more than `largest`."
    )
    largest: float = Field(0.25, gt=0, le=1, description="Share of a tile above which a mask is no object, if asked.")

    def rule(self) -> dict[str, Any]:
        """What the network's predictor is told of its grid."""
        return {
            "side": self.points_per_side,
            "quality": self.quality,
            "stability": self.stability,
            "overlap": self.box_overlap,
            "largest": self.largest if self.filter == "area-filtered" else 1.0,
        }


class SamMethodSettings(ZeroShotSettings):
    """SAM."""

    network: str = "sam-vit"


class SamMed2DMethodSettings(ZeroShotSettings):
    """SAM-Med2D, which looks at 256 px."""

    network: str = "sam-med2d-vit"
    crop: int = 256
    points_per_side: int = 16


class SourcePromptableSettings(TrainingSettings):
    """How the labelled source is learnt, prompt by prompt."""

    network: str = Field("promptable-vit", description="Network with a decoder for single prompts.")
    trained: Literal["all", "decoder"] = Field(
        "all", description="What learns: everything, or prompt encoder and decoder of a pretrained network."
    )
    also_on: Literal["none", "phantoms"] = Field(
        "none", description="phantoms: half of an update's crops are of dabench's own drawings, which the row says."
    )
    batch: int = 4
    iterations: int = 1000
    lr: float = 1e-3
    warmup: int = 50
    prompts: int = Field(6, ge=1, description="Most objects of a crop with a point of their own an update.")
    background: int = Field(
        0, ge=0, description="Points on the background of each crop, whose mask is empty (SAM: none)."
    )
    focal: float = Field(1.0, ge=0, description="Weight of a mask's focal loss (SAM: 20 to a Dice loss of 1).")
    quality: float = Field(1.0, ge=0, description="Weight of the error of the expected IoU (SAM: 1).")
    whole: float = Field(1.0, ge=0, description="Weight of the segmentation without a prompt (SAM: none).")

    def weights(self) -> PromptedWeights:
        """What is asked of a crop."""
        return PromptedWeights(self.prompts, self.background, self.focal, self.quality, self.whole, self.overlap)
