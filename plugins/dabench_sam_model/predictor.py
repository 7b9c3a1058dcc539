"""SAM seen from outside: objects at clicks, or without any, at a grid of points or asked once for the whole tile."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torchvision.ops import masks_to_boxes, nms

from dabench.ops.components import label_components
from dabench.ops.prompted import InstanceNetwork
from dabench.plugin import Prediction, Predictor

#: Prompts whose masks are enlarged together.
_TOGETHER = 16


class TileNetwork(InstanceNetwork, Protocol):
    """What the predictor needs beside `InstanceNetwork`: it is a module."""

    training: bool

    def train(self, mode: bool = True) -> nn.Module:
        """As `torch.nn.Module`."""


class Canvas:
    """Objects of one tile: an earlier one keeps its pixels."""

    def __init__(self, size: tuple[int, int], device: torch.device) -> None:
        """Start empty."""
        self.ids = torch.zeros(size, dtype=torch.int32, device=device)
        self.probability = torch.zeros(size, device=device)
        self._count = 0

    def add(self, logits: Tensor) -> None:
        """Objects ``(N, H, W)`` of which pixels above logit 0 are taken, one after the other."""
        for one in logits:
            self._count += 1
            self.ids[(self.ids == 0) & (one > 0)] = self._count
        if len(logits):
            self.probability = torch.maximum(self.probability, logits.amax(dim=0).sigmoid())


class Automatic(ABC):
    """What is done with a tile without clicks."""

    @abstractmethod
    def segment(self, network: TileNetwork, embedding: Tensor, size: tuple[int, int]) -> Canvas:
        """The objects of one tile from its embedding ``(1, C, g, g)``."""


class Whole(Automatic):
    """Asked once, without a prompt: its mask is the union of all objects, of which each component is one."""

    def segment(self, network: TileNetwork, embedding: Tensor, size: tuple[int, int]) -> Canvas:
        logits = network.enlarge(network.whole(embedding).logits, size)[0, 0]
        canvas = Canvas(size, embedding.device)
        canvas.probability = logits.sigmoid()
        components = label_components((canvas.probability >= 0.5).cpu().numpy())
        canvas.ids = torch.from_numpy(components).to(embedding.device)
        return canvas


@dataclass(frozen=True)
class Grid(Automatic):
    """SAM's automatic masks: a grid of points, three masks each, of which those are kept that the network is sure of.

    Args:
        side: points along a side of the tile.
        quality: least IoU that the network expects of a mask.
        stability: least IoU of the masks at logits +1 and -1.
        overlap: IoU of two masks' boxes above which the less expected one goes.
        largest: share of the tile above which a mask goes; 1: none does.
    """

    side: int = 32
    quality: float = 0.88
    stability: float = 0.95
    overlap: float = 0.7
    largest: float = 1.0

    def points(self, size: tuple[int, int]) -> Tensor:
        """The grid, ``(side², 2)`` (x, y), row by row: the middles of equal cells, at pixel centres from 0."""
        steps = (torch.arange(self.side) + 0.5) / self.side
        rows, columns = torch.meshgrid(steps * size[0], steps * size[1], indexing="ij")
        return torch.stack([columns, rows], dim=-1).reshape(-1, 2)

    def segment(self, network: TileNetwork, embedding: Tensor, size: tuple[int, int]) -> Canvas:
        kept, expected = self.masks(network, embedding, size)
        canvas = Canvas(size, embedding.device)
        del expected
        for mask in kept[kept.flatten(1).sum(dim=1) <= self.largest * size[0] * size[1]]:
            canvas.add(torch.where(mask, torch.inf, -torch.inf)[None])
        return canvas

    def masks(self, network: TileNetwork, embedding: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Masks ``(N, H, W)`` bool that are kept, the most expected first, and the IoU expected of each."""
        found, expected = [torch.zeros((0, *size), dtype=torch.bool, device=embedding.device)], [embedding.new_zeros(0)]
        for points in torch.split(self.points(size).to(embedding.device), _TOGETHER):
            of = torch.zeros(len(points), dtype=torch.long, device=embedding.device)
            masks = network.decode(embedding, points[:, None], of, size)
            sure = masks.quality > self.quality
            logits = network.enlarge(masks.logits[sure][:, None], size)[:, 0]
            stable = stability(logits) > self.stability
            found.append(logits[stable] > 0)
            expected.append(masks.quality[sure][stable])
        together, quality = torch.cat(found), torch.cat(expected)
        something = together.flatten(1).any(dim=1)
        together, quality = together[something], quality[something]
        order = nms(masks_to_boxes(together), quality.float(), self.overlap) if len(together) else quality.long()
        return together[order], quality[order]


def stability(logits: Tensor, offset: float = 1.0) -> Tensor:
    """IoU ``(N,)`` of masks ``(N, H, W)`` cut at +offset and -offset; 0 of an empty one."""
    inner, outer = (logits > offset).sum((-2, -1)), (logits > -offset).sum((-2, -1))
    return inner / outer.clamp(min=1)


class PromptPredictor(Predictor):
    """One object per click, in the order of the clicks, the best of three masks; without clicks by a rule of its own.

    Where points are given, everything else is background: a tile without points is empty.
    """

    gives_instances = True

    def __init__(self, network: nn.Module, automatic: Automatic) -> None:
        """Take a network, and what is done with a tile that has no points."""
        self.network, self.automatic = network, automatic

    @torch.no_grad()
    def predict(self, images: Tensor, points: Sequence[Tensor] | None = None, *, density: bool = False) -> Prediction:
        """Segment tiles ``(B, 1, H, W)``; see `Predictor.predict`."""
        del density
        training = self.network.training
        self.network.eval()
        try:
            tiles = self._tiles(cast(TileNetwork, self.network), images, points)
        finally:
            self.network.train(training)
        probability = torch.stack([tile.probability for tile in tiles]).float()
        return Prediction(probability, instances=torch.stack([tile.ids for tile in tiles]))

    def _tiles(self, network: TileNetwork, images: Tensor, points: Sequence[Tensor] | None) -> list[Canvas]:
        embeddings, size = network.encode(images), (images.shape[-2], images.shape[-1])
        if points is None:
            return [self.automatic.segment(network, one[None], size) for one in embeddings]
        canvases = [Canvas(size, images.device) for _ in images]
        together = torch.cat(list(points)).to(images.device)
        of = torch.repeat_interleave(torch.tensor([len(p) for p in points])).to(images.device)
        for some, which in zip(torch.split(together, _TOGETHER), torch.split(of, _TOGETHER), strict=True):
            if len(some):
                best, _ = network.decode(embeddings, some[:, None], which, size).best()
                for mask, row in zip(network.enlarge(best[:, None], size)[:, 0], which.tolist(), strict=True):
                    canvases[row].add(mask[None])
        return canvases
