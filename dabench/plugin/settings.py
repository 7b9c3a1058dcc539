"""Settings that methods have in common: crops, updates, optimizer, and where an adaptation starts.

A method's own settings inherit these and redefine a field where its default or range differs; what a paper used is
the method's preset ``paper``. Of several parents the first one's fields win, also those that it only inherits: no class
here redefines a field that another one could bring along.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dabench.components.hookspecs import Settings
from dabench.interfaces import CropSpec, OptimizerSpec


class OptimizerSettings(Settings):
    """How many updates a network gets, and of which size.

    >>> OptimizerSettings(lr=1e-3).optimizer_spec().lr
    0.001
    """

    iterations: int = Field(400, ge=1, description="Updates.")
    optimizer: Literal["adamw", "adam", "sgd"] = Field("adamw", description="Optimizer of the network.")
    lr: float = Field(3e-4, gt=0, description="Learning rate of the network.")
    weight_decay: float = Field(0.01, ge=0, description="Weight decay of the network.")
    warmup: int = Field(20, ge=0, description="Updates of linear warm-up.")
    floor: float = Field(0.0, ge=0, le=1, description="Lowest share of the learning rate, reached at the end.")
    clip: float = Field(1.0, ge=0, description="Largest norm of the network's gradient; 0: no limit.")

    def optimizer_spec(self) -> OptimizerSpec:
        """Optimizer and schedule of the network."""
        return OptimizerSpec(self.lr, self.optimizer, self.weight_decay, self.warmup, floor=self.floor, clip=self.clip)


class TrainingSettings(OptimizerSettings):
    """The same, for a network that learns from random crops."""

    crop: int = Field(192, ge=16, description="Side of a crop in pixels.")
    batch: int = Field(2, ge=1, description="Crops of each domain per update.")
    foreground: float = Field(0.7, ge=0, le=1, description="Share of labelled crops that must hold foreground.")
    overlap: float = Field(1.0, ge=0, description="Weight of the soft-Dice term on labelled crops.")

    def crops(self) -> CropSpec:
        """Labelled crops alone."""
        return CropSpec(self.crop, self.batch, foreground=self.foreground)


class FineTuningSettings(TrainingSettings):
    """The same, for a stage that goes on with a trained network."""

    start: str = Field(description="Method whose network is the starting point.")


class TargetSettings(TrainingSettings):
    """The same, for a stage that sees the target too."""

    recalibrate: int = Field(
        60,
        ge=0,
        description="Target batches of which BatchNorm statistics are mixed with the source's first (with "
        "discriminators also last); 0: none.",
    )

    def crops(self) -> CropSpec:
        """As many crops of the target as of the source."""
        return CropSpec(self.crop, self.batch, self.batch, self.foreground)


class AdaptationSettings(TargetSettings):
    """The same, with a starting point to choose."""

    start: str = Field(description="Method whose network is the starting point; scratch: a new network.")
    network: str = Field(description="Network when starting from scratch.")
    backbone: str = Field(description="Encoder of the network; none: it has its own.")


class PairsSettings(AdaptationSettings):
    """The same, for networks that see a section and one nearby."""

    neighbour: float = Field(40.0, gt=0, description="nm from a section to its partner.")

    def crops(self) -> CropSpec:
        """Pairs of both domains."""
        return CropSpec(self.crop, self.batch, self.batch, self.foreground, neighbour=self.neighbour)


class SchemeSettings(TargetSettings):
    """For a stage that learns from a self-training scheme's labels."""

    self_training: str = Field(description="Scheme that makes target pseudo-labels.")
    refresh_every: int = Field(100, ge=1, description="Updates between two rounds of a scheme that works in rounds.")
    outcome: Literal["student", "teacher"] = Field("student", description="Network that is scored and passed on.")


class AdversarialSettings(TargetSettings):
    """For a stage with discriminators."""

    # A discriminator of five convolutions halves a crop five times: of a smaller one nothing would be left.
    crop: int = Field(192, ge=32, description="Side of a crop in pixels.")
    discriminator_lr: float = Field(1e-4, gt=0, description="Learning rate of the discriminators (Adam).")
    discriminator_widths: tuple[int, ...] = Field(
        (16, 32, 64, 128), description="Channels of their convolutions before the last."
    )

    def discriminator_spec(self) -> OptimizerSpec:
        """Adam with the betas of AdaptSegNet's release, which all that came after it kept."""
        return OptimizerSpec(self.discriminator_lr, name="adam", weight_decay=0.0, betas=(0.9, 0.99))
