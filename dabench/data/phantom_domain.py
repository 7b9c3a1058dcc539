"""A domain without files: a procedural twin of a real one."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from dabench.data.phantom import make_phantom
from dabench.data.phantom_profiles import PROFILES
from dabench.data.volumes import ArrayVolume
from dabench.errors import UnknownNameError
from dabench.interfaces import Domain, Split, Volume

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from dabench.types import Array

_SLICES = {"train": 12, "test": 8}


def phantom_summaries() -> dict[str, str]:
    """Every phantom with one line about it."""
    return {name: profile.summary for name, profile in PROFILES.items()}


class PhantomDomain(Domain):
    """One phantom with a training and a test split, which are independent pieces of the same tissue.

    Args:
        name: one of `phantom_summaries`, as ``phantom-human``.
        seed: another seed is another piece of tissue.
        size: side of a slice in pixels.
        slices: slices of each split.
    """

    def __init__(self, name: str, seed: int = 0, size: int = 256, slices: Mapping[str, int] | None = None) -> None:
        """Check the name; makes nothing yet."""
        if name not in PROFILES:
            raise UnknownNameError("phantom", name, PROFILES)
        self.name, self._seed, self._size = name, seed, size
        self._slices = dict(slices or _SLICES)
        self.description, self.voxel = PROFILES[name].summary, PROFILES[name].voxel
        self.licence, self.redistribution = "drawn by dabench (Apache-2.0)", True

    def splits(self) -> tuple[str, ...]:
        """``train`` and ``test``."""
        return tuple(self._slices)

    def missing(self) -> list[str]:
        """Nothing: a phantom needs no file."""
        return []

    def open(self, split: str, open_volume: Callable[[Path], Volume]) -> Split:
        """Make the split (about a second, then remembered). The digest is that of its pixels."""
        del open_volume
        if split not in self._slices:
            raise UnknownNameError(f"split of domain {self.name!r}", split, self._slices)
        phantom = make_phantom(self.name, split, self._seed, (self._slices[split], self._size, self._size))
        return Split(
            domain=self.name,
            name=split,
            images=ArrayVolume(phantom.images),
            labels=ArrayVolume(phantom.labels),
            voxel=PROFILES[self.name].voxel,
            digest=_digest(phantom.images),
            label_digest=_digest(phantom.labels),
            instances=ArrayVolume(phantom.instances),
        )


def _digest(array: Array) -> str:
    digest = hashlib.sha256(repr((array.shape, str(array.dtype))).encode())
    digest.update(array.tobytes())
    return digest.hexdigest()
