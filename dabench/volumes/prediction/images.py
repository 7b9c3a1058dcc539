"""The images of a prediction, said so that any process on any machine opens the same ones."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from dabench.data.intensity import Mode, RescaledVolume, UnitVolume
from dabench.data.resampled import ResampledVolume
from dabench.data.volumes import Upright, open_volume
from dabench.errors import ConfigError
from dabench.files.digests import digest_of
from dabench.files.litter import is_litter
from dabench.ops.resampling import Resampling

if TYPE_CHECKING:
    from dabench.components.registry import Registry
    from dabench.interfaces import Volume


@dataclass(frozen=True)
class ImageSource:
    """Images with the rule that makes them float32 in [0, 1].

    Attributes:
        path: of the file or folder.
        intensity: ``range``, ``volume``, ``slice``, or ``LOW,HIGH``.
        statistics: mean and standard deviation for ``volume``; measured where they are not given.
        resampling: what brings slices to the pixels that the model sees; None where those are the same.
        linked: all files that hold values of the images, where the path links to others.
    """

    path: Path
    intensity: str
    statistics: tuple[float, float] | None = None
    resampling: Resampling | None = None
    linked: tuple[Path, ...] = ()

    def stored(self, registry: Registry) -> Volume:
        """The images as they are in the file. Raises MissingDataError or DataError."""
        return open_volume(self.path, registry.made("reader"))

    def unit(self, registry: Registry) -> UnitVolume:
        """The images as float32 in [0, 1]. Raises DataError, or ConfigError for an invalid intensity."""
        return unit_volume(self.stored(registry), self.intensity, str(self.path), self.statistics)

    def open(self, registry: Registry) -> Volume:
        """The same on the pixels that the model sees."""
        unit = self.unit(registry)
        return unit if self.resampling is None else ResampledVolume(unit, self.resampling)

    def measured(self, registry: Registry) -> ImageSource:
        """The same with its statistics known, so that all who read it need not look at the whole volume."""
        return replace(self, statistics=self.unit(registry).statistics()) if self.intensity == "volume" else self

    def fingerprint(self) -> str:
        """Digest of names, sizes and times of all files: another one means that the images may have changed."""
        path = self.path
        while not path.exists():  # a volume inside a file: scan.h5/raw
            path = path.parent
        state = [(str(f.relative_to(path)), s.st_size, s.st_mtime_ns) for f, s in _files(path)]
        linked = [(f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in self.linked]
        return digest_of([state, linked] if linked else state)


def unit_volume(volume: Volume, intensity: str, name: str, statistics: tuple[float, float] | None = None) -> UnitVolume:
    """Stored images as float32 in [0, 1] by a rule of `ImageSource`; ``name`` is what errors call them."""
    for mode in get_args(Mode):
        if intensity == mode:
            return UnitVolume(Upright.of(volume), mode, name, statistics)
    return UnitVolume(RescaledVolume(volume, *low_and_high(intensity)), "range", name)


def low_and_high(text: str) -> tuple[float, float]:
    """``0,4095`` as two numbers. Raises ConfigError."""
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        low = high = 0.0
    if not -math.inf < low < high < math.inf:
        raise ConfigError(
            f"--intensity {text!r}: neither {', '.join(get_args(Mode))} nor LOW,HIGH.",
            "For example  --intensity 0,4095: these values become 0 and 1.",
        )
    return low, high


def _files(path: Path) -> list[tuple[Path, os.stat_result]]:
    files = sorted(f for f in path.rglob("*") if f.is_file() and not is_litter(f.name)) if path.is_dir() else [path]
    return [(f, f.stat()) for f in files]
