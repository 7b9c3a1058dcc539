"""Volumes at another pixel size: images and labels, resampled within their slices while they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dabench.data.blocks import check_inside, chunks_of, read_block
from dabench.data.labels import known_slices
from dabench.data.volumes import Wrapper
from dabench.types import IGNORE, Block, Window

if TYPE_CHECKING:
    from dabench.data.volumes import Shape
    from dabench.interfaces import Volume
    from dabench.ops.resampling import Resampling
    from dabench.types import Array


class ResampledVolume(Wrapper):
    """Images (float32 in [0, 1]) at another pixel size. A box costs reading the box that it is made of; z is as it was.

    Grey values are found before (`dabench.data.intensity`), so that they do not depend on the pixel size.
    """

    def __init__(self, volume: Volume, resampling: Resampling) -> None:
        """Wrap without reading; ``resampling`` begins at the slices of the volume."""
        super().__init__(volume)
        assert volume.shape[1:] == resampling.source
        self.resampling = resampling

    @property
    def shape(self) -> Shape:
        """(slices, rows, columns) that are read."""
        return self.volume.shape[0], *self.resampling.target

    @property
    def chunks(self) -> Shape:
        """About what is stored together, on these pixels."""
        depth, *plane = chunks_of(self.volume)
        sides = zip(plane, self.resampling.source, self.resampling.target, strict=True)
        y, x = (max(1, round(side * after / before)) for side, before, after in sides)
        return depth, y, x

    @property
    def voxel(self) -> None:
        """Not what the file says."""
        return

    def read(self, z: int) -> Array:
        """Slice ``z``."""
        return self._resampled(self.volume.read(z), Window(0, 0, *self.resampling.target))

    def read_block(self, block: Block) -> Array:
        """A box of the same. Raises IndexError beyond the volume."""
        check_inside(block, self.shape)
        seen = self.resampling.needed(block.window)
        stored = read_block(self.volume, Block(block.z, seen.y, seen.x, block.depth, seen.height, seen.width))
        return np.stack([self._resampled(plane, block.window) for plane in stored])

    def _resampled(self, plane: Array, window: Window) -> Array:
        return self.resampling.apply(plane, window)


class ResampledLabels(ResampledVolume):
    """Labels 0, 1, 255 at another pixel size: what most of a pixel is; 255 where most of it is unknown."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Always uint8."""
        return np.dtype(np.uint8)

    @property
    def known(self) -> range:
        """The labelled slices."""
        return known_slices(self.volume)

    def _resampled(self, plane: Array, window: Window) -> Array:
        foreground = self.resampling.apply(plane == 1, window)
        known = self.resampling.apply(plane != IGNORE, window)
        labels = (2 * foreground >= known).astype(np.uint8)
        labels[known < 0.5] = IGNORE
        return labels
