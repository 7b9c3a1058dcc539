"""What the checks work with: made components, tiny volumes, a scratch folder; no real data, no pretrained weights."""

from __future__ import annotations

import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dabench.components.assembly import Assembly
from dabench.components.registry import Registered, Registry
from dabench.data.volumes import ArrayVolume
from dabench.ops.prompts import NetworkOutput, Prompts
from dabench.runs.config import RunConfig
from dabench.runs.weights import WeightsStore
from dabench.types import Array

#: Side of the synthetic slices in pixels.
SIDE = 112


class Fixtures:
    """One registry under test, with all that its checks share."""

    def __init__(self, registry: Registry) -> None:
        """Make a scratch folder that goes when the fixtures do."""
        self.registry = registry
        self._scratch = tempfile.TemporaryDirectory(prefix="dabench-conformance-")
        self.folder = Path(self._scratch.name)
        #: For checks that share an expensive step.
        self.memory: dict[str, Any] = {}

    @cached_property
    def assembly(self) -> Assembly:
        """Components with the settings of preset ``tiny``, without pretrained weights."""
        return Assembly(self.registry, self.config, WeightsStore(self.folder / "weights"))

    @cached_property
    def config(self) -> RunConfig:
        """A configuration of no run in particular."""
        small = {f"{i.kind}:{i.name}": found for i in self.registry if (found := _small(i))}
        return RunConfig(method="conformance", task="one2other", preset="tiny", options=small)

    def new_folder(self, name: str) -> Path:
        """An empty folder."""
        return Path(tempfile.mkdtemp(prefix=f"{name.replace('/', '-')}-", dir=self.folder))

    def settings(self, item: Registered) -> Any:
        """The settings of a component in preset ``tiny``."""
        return self.assembly.config(item.kind, item.name)

    def make(self, item: Registered) -> Any:
        """A component that needs nothing but its settings."""
        return item.component.factory(self.settings(item))


def _small(item: Registered) -> dict[str, Any]:
    """What keeps a check short: no pretrained weights, and two slices a split of a domain that is made to order."""
    asked = {"pretrained": "none", "train_slices": 2, "test_slices": 2}
    return {name: value for name, value in asked.items() if name in item.component.config.model_fields}


def discs(seed: int, slices: int = 2, side: int = SIDE) -> tuple[ArrayVolume, ArrayVolume]:
    """Images (float32 in [0, 1]) and labels (uint8) of dark discs on a noisy ground; one corner is unknown (255)."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side]
    labels: Array = np.zeros((slices, side, side), np.uint8)
    for z in range(slices):
        for y, x, radius in zip(
            rng.integers(10, side - 10, 6), rng.integers(10, side - 10, 6), rng.integers(4, 10, 6), strict=True
        ):
            labels[z][(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = 1
    images = np.clip(0.6 - 0.3 * labels + 0.08 * rng.standard_normal(labels.shape), 0, 1).astype(np.float32)
    labels[:, :6, :6] = 255
    return ArrayVolume(images), ArrayVolume(labels)


def noise(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    """Uniform noise in [0, 1]."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def as_logits(probability: Tensor) -> Tensor:
    """The logits ``(B, 1, H, W)`` of a network that answers with these probabilities ``(B, H, W)``, clipped to [0, 1].

    >>> as_logits(torch.tensor([[[0.5]]])).shape
    torch.Size([1, 1, 1, 1])
    """
    return probability.logit(eps=1e-7)[:, None]


class PlainBackbone(nn.Module):
    """The smallest legal backbone: one map at stride 8."""

    def __init__(self) -> None:
        """Eight channels."""
        super().__init__()
        self.channels, self.strides = (8,), (8,)
        self.convolve = nn.Conv2d(1, 8, 8, stride=8)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 1, H, W) → one map (B, 8, H / 8, W / 8)."""
        return [self.convolve(images)]


class PlainStudent(nn.Module):
    """The smallest network with the promptable signature; ``bias`` moves its probability to everywhere or nowhere."""

    def __init__(self, bias: float = 0.0) -> None:
        """One convolution, one BatchNorm."""
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2))
        self.bias = nn.Parameter(torch.tensor(bias))

    def forward(
        self,
        images: Tensor,
        prompts: Prompts | None = None,
        contrast: Tensor | None = None,
        contrast_valid: Tensor | None = None,
        with_density: bool = False,
    ) -> NetworkOutput:
        """Logits, and density where it is asked for."""
        del prompts, contrast_valid
        maps = self.body(images)
        embeddings = None if contrast is None else contrast.float()
        density = maps[:, 1].sigmoid() if with_density else None
        return NetworkOutput(maps[:, :1] + self.bias, density, None, embeddings)
