"""Settings of WDA-Net, with the values of the paper and of its release."""

from __future__ import annotations

from pydantic import Field

from dabench.plugin import AdaptationSettings, AdversarialSettings, CropSpec


class WDANetSettings(AdversarialSettings, AdaptationSettings):
    """Counting network, segmenter with a detection head, adversary, pseudo-labels."""

    start: str = "source-only"
    network: str = "promptable"
    backbone: str = "conv-small"
    self_training: str = Field("entropy", description="Scheme of the second stage's pseudo-labels (release: entropy).")
    iterations: int = Field(300, ge=1, description="Updates of each of the two stages.")
    target_points: float = Field(
        0.5, ge=0, le=1, description="Share of target crops that hold a given point, if there are any (release: 0)."
    )
    detection_source: float = Field(
        10.0, ge=0, description="Weight of detection on the source in stage 1 (release: 0.01 on 0-255, that is 650)."
    )
    detection: float = Field(
        30.0,
        ge=0,
        description="Weight of detection on the target, and on the source in stage 2 (release: 0.1, that is 6,502).",
    )
    background: float = Field(
        0.1,
        ge=0,
        le=0.5,
        description="Foreground probability below which a target pixel is not near a centre (release: 0.1).",
    )
    counting: float = Field(
        0.1,
        ge=0,
        description="Weight of the count constraint in the first update, falling to 0 in the last (release: 1).",
    )
    margin: float = Field(
        0.5, ge=0, description="Objects per crop by which the detected count may be wrong (release: 3, on 512 pixels)."
    )
    adversarial: float = Field(1e-3, ge=0, description="Weight of the adversarial loss (release: 1e-3).")
    discriminator_lr: float = Field(2e-4, gt=0, description="Learning rate of the discriminator (Adam).")
    discriminator_groups: int = Field(
        8, ge=0, description="Groups of the discriminator's GroupNorm, 0: no norm (release: 32)."
    )
    paste: float = Field(
        0.5, gt=0, le=1, description="Side of a pasted window as a share of the crop's (release: 0.5)."
    )
    cut_paste: tuple[float, float] = Field(
        (0.9, 0.5), description="Probability of cut-and-paste in each stage (IPL's release: 0.9 and 0.5)."
    )
    elastic: float = Field(0.25, ge=0, le=1, description="Probability of elastic deformation of the target in stage 2.")
    zoom: float = Field(
        0.0, ge=0, le=1, description="Probability that stage 2 enlarges .25 to .8 of a target crop's area (release)."
    )
    keep_discriminator: bool = Field(
        False, description="Stage 2 continues with the discriminator of stage 1 (paper and release: not known)."
    )
    pseudo: float = Field(1.0, ge=0, description="Weight of the pseudo-labels in stage 2 (release: 1).")
    rounds: int = Field(1, ge=1, description="Times that stage 2 renews its pseudo-labels (release: 1).")
    counter: str = Field("conv", description="Counting network: conv, or a network's name (release: factorised).")
    counter_widths: tuple[int, ...] = Field((16, 32, 64), description="Channels of conv, each divisible by 4.")
    counter_batch: int = Field(4, ge=1, description="Source crops per update of the counting network (release: 1).")
    counter_iterations: int = Field(300, ge=1, description="Updates of the counting network (release: 50,000).")
    counter_lr: float = Field(1e-3, gt=0, description="Learning rate of the counting network, Adam (release: 1e-3).")
    counter_density: float = Field(
        10.0,
        ge=0,
        description="Weight of the counting network's density error (release: 0.01 on 0-255 maps, that is 650).",
    )

    def crops(self) -> CropSpec:
        """Half of the target crops are there to be pasted from."""
        return CropSpec(self.crop, self.batch, 2 * self.batch, self.foreground, self.target_points)
