"""Labels and predictions brought to the orientation of their images, where both files say how they lie in space."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dabench.data.blocks import check_inside, placement_of, read_block
from dabench.data.placement import against, moved, need_one_place, turned
from dabench.data.volumes import Wrapper
from dabench.types import Block

if TYPE_CHECKING:
    from dabench.interfaces import Placement, Volume
    from dabench.types import Array


class Mirrored(Wrapper):
    """Another volume, some axes of which are read backwards."""

    def __init__(self, volume: Volume, axes: tuple[int, ...]) -> None:
        """Wrap without reading; axes are 0 (z), 1 (y), 2 (x)."""
        super().__init__(volume)
        self._axes = axes

    @property
    def placement(self) -> Placement | None:
        """Where it lies in space: nothing moves."""
        found = super().placement
        return None if found is None else turned(found, self._axes, self.shape)

    @property
    def layout(self) -> str:
        """How the stored axes were understood, in words."""
        return f"{super().layout}, {' and '.join('zyx'[axis] for axis in self._axes)} turned to the images"

    def read(self, z: int) -> Array:
        """Slice ``z``, counted from the other end where z is read backwards."""
        depth = self.shape[0]
        if not 0 <= z < depth:
            raise IndexError(f"slice {z} of a volume with {depth} slices")
        image: Array = self._flip(self.volume.read(depth - 1 - z if 0 in self._axes else z)[None])[0]
        return image

    def read_block(self, block: Block) -> Array:
        """A box. Raises IndexError beyond the volume."""
        check_inside(block, self.shape)
        z, y, x = (
            length - at - size if axis in self._axes else at
            for axis, (length, at, size) in enumerate(
                zip(self.shape, (block.z, block.y, block.x), block.shape, strict=True)
            )
        )
        return self._flip(read_block(self.volume, Block(z, y, x, *block.shape)))

    def _flip(self, values: Array) -> Array:
        flipped: Array = np.flip(values, self._axes)
        return flipped


def turned_to(volume: Volume, images: Volume) -> Volume:
    """A whole volume in the direction of its images; as it is where one of the two does not say how it lies in space.

    Example: labels whose x runs to the left, and images whose x runs to the right.
    """
    here, there = placement_of(volume), placement_of(images)
    if here is None or there is None:
        return volume
    axes = against(here, there)
    return Mirrored(volume, axes) if axes else volume


def check_same_place(volume: Volume, images: Volume, name: str, image_name: str, *, skip: int = 0) -> None:
    """Compare where a volume and its images lie, after `turned_to`.

    Args:
        volume: labels or a prediction.
        images: what they are of.
        name: of the volume's file.
        image_name: of the images'.
        skip: slices of the images before the volume's first.

    Raises:
        DataError: both files say where they lie, and it is not one place.
    """
    here, there = placement_of(volume), placement_of(images)
    if here is not None and there is not None:
        need_one_place(here, moved(there, skip), name, image_name)


def laid_over(volume: Volume, images: Volume, name: str, image_name: str) -> Volume:
    """A volume turned to its images, which it must cover. Raises DataError as `check_same_place`."""
    found = turned_to(volume, images)
    check_same_place(found, images, name, image_name)
    return found
