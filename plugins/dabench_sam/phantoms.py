"""Crops of phantoms, dabench's own drawings of tissue, beside those of the labelled source."""

from __future__ import annotations

from typing import NoReturn

import numpy as np
import torch
from torch import Tensor

from dabench.plugin import IGNORE, PhantomDomain, SourceCrops, phantom_summaries

#: Slices of each phantom, of 256 px.
_SLICES = 4


class PhantomCrops:
    """A few slices of every phantom, standardised as volumes are."""

    def __init__(self) -> None:
        """Draw them (a second each); the same at every start."""
        images, labels = [], []
        for name in sorted(phantom_summaries()):
            split = PhantomDomain(name, slices={"train": _SLICES}).open("train", _no_files)
            assert split.labels is not None
            grey = np.stack([split.images.read(z) for z in range(_SLICES)]).astype(np.float32)
            images.append(np.clip((grey - grey.mean()) / (6 * grey.std()) + 0.5, 0, 1))
            labels.append(np.stack([split.labels.read(z) for z in range(_SLICES)]))
        self.images, self.labels = torch.from_numpy(np.concatenate(images)), torch.from_numpy(np.concatenate(labels))

    def draw(self, count: int, size: int, generator: torch.Generator) -> SourceCrops:
        """``count`` crops of ``size`` px at random places; beyond a slice the image is black and its label unknown."""
        spare = max(0, size - self.images.shape[-1])
        images = torch.nn.functional.pad(self.images, (0, spare, 0, spare))
        labels = torch.nn.functional.pad(self.labels, (0, spare, 0, spare), value=IGNORE)
        places = [self._place(images, size, generator) for _ in range(count)]
        found = [(images[z, y : y + size, x : x + size], labels[z, y : y + size, x : x + size]) for z, y, x in places]
        return SourceCrops(
            torch.stack([image for image, _ in found])[:, None],
            torch.stack([label for _, label in found]),
            [torch.zeros(0, 2)] * count,
        )

    @staticmethod
    def _place(images: Tensor, size: int, generator: torch.Generator) -> tuple[int, ...]:
        ends = (len(images), *(side - size + 1 for side in images.shape[1:]))
        return tuple(int(torch.randint(end, (1,), generator=generator)) for end in ends)


def mixed(source: SourceCrops, phantoms: SourceCrops) -> SourceCrops:
    """The crops of the source, the last ones replaced by those of phantoms."""
    kept = len(source.images) - len(phantoms.images)
    drawn = phantoms.to(source.images.device)
    return SourceCrops(
        torch.cat([source.images[:kept], drawn.images]),
        torch.cat([source.labels[:kept], drawn.labels.to(source.labels.dtype)]),
        [*source.points[:kept], *drawn.points],
    )


def _no_files(path: object) -> NoReturn:
    raise AssertionError(f"a phantom asks for {path}, and has no files")
