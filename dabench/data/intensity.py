"""Images of any number type as float32 in [0, 1]: by type range, standardised by volume, or stretched by slice."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dabench.errors import DataError

if TYPE_CHECKING:
    from dabench.interfaces import Volume
    from dabench.types import Array

Mode = Literal["range", "volume", "slice"]
#: Standard deviations of a volume that fill [0, 1].
_SPREAD = 6.0
#: Most slices that the statistics of a volume look at.
_SAMPLED_SLICES = 32


class RescaledVolume:
    """Float32 in which the values ``low`` and ``high`` of another volume are 0 and 1; values beyond are clipped."""

    def __init__(self, volume: Volume, low: float, high: float) -> None:
        """Wrap without reading."""
        self.volume, self._low, self._high = volume, low, high

    @property
    def shape(self) -> tuple[int, int, int]:
        """(slices, rows, columns)."""
        return self.volume.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Always float32."""
        return np.dtype(np.float32)

    def read(self, z: int) -> Array:
        """Slice ``z`` as ``(H, W)`` float32 in [0, 1]; NaN stays NaN."""
        image = self.volume.read(z).astype(np.float32)
        scaled: Array = np.clip((image - self._low) / (self._high - self._low), 0, 1).astype(np.float32)
        return scaled


class UnitVolume:
    """Any volume as float32 in [0, 1].

    Args:
        volume: stored images.
        mode: "range" divides by the range of the number type (floats must lie in [0, 1] already);
            "volume" maps the volume's mean to 0.5 and its standard deviation to 1/6, clipped, from at most 32 evenly
            spaced slices and no label; "slice" stretches each slice from its minimum to its maximum.
        name: named in errors, usually the file.
    """

    def __init__(self, volume: Volume, mode: Mode = "range", name: str = "volume") -> None:
        """Wrap without reading; statistics are taken at the first read that needs them."""
        if mode not in ("range", "volume", "slice"):
            raise DataError(f"intensity mode {mode!r}: one of range, volume, slice.")
        self.volume, self.mode, self._name = volume, mode, name
        self._statistics: tuple[float, float] | None = None
        self._lock = threading.Lock()

    @property
    def shape(self) -> tuple[int, int, int]:
        """(slices, rows, columns)."""
        return self.volume.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Always float32."""
        return np.dtype(np.float32)

    def read(self, z: int) -> Array:
        """Slice ``z`` as ``(H, W)`` float32 in [0, 1].

        Raises:
            DataError: NaN or infinite pixels, or (mode "range") floats outside [0, 1]; names file, slice and value.
        """
        raw = self._finite(z)
        if self.mode == "slice":
            return _stretch(raw)
        if self.mode == "volume":
            mean, sd = self.statistics()
            return _standardise(raw, mean, sd)
        return self._by_range(raw, z)

    def statistics(self) -> tuple[float, float]:
        """Mean and standard deviation over at most 32 evenly spaced slices; computed once."""
        with self._lock:
            if self._statistics is None:
                self._statistics = self._measure()
            return self._statistics

    def _measure(self) -> tuple[float, float]:
        count = self.shape[0]
        chosen = np.unique(np.linspace(0, count - 1, min(count, _SAMPLED_SLICES)).round().astype(int))
        sums = np.zeros(3)
        for z in chosen:
            image = self._finite(int(z)).astype(np.float64)
            sums += image.size, image.sum(), np.square(image).sum()
        mean = sums[1] / sums[0]
        return float(mean), float(np.sqrt(max(sums[2] / sums[0] - mean**2, 0.0)))

    def _finite(self, z: int) -> Array:
        raw = self.volume.read(z)
        if raw.dtype.kind == "f" and not np.isfinite(raw).all():
            bad = np.argwhere(~np.isfinite(raw))
            y, x = bad[0]
            raise DataError(
                f"{self._name}: slice {z}: {len(bad)} pixels are NaN or infinite, {raw[y, x]} at row {y}, column {x}.",
                "Write the volume again without NaN (0 is fine for missing tissue), then  dabench data verify NAME",
            )
        return raw

    def _by_range(self, raw: Array, z: int) -> Array:
        if raw.dtype == bool:
            return raw.astype(np.float32)
        if raw.dtype.kind in "ui":
            info = np.iinfo(raw.dtype)
            scale = 1.0 / (float(info.max) - float(info.min))
            return ((raw.astype(np.float32) - np.float32(info.min)) * np.float32(scale)).clip(0, 1)
        low, high = float(raw.min()), float(raw.max())
        if low < 0 or high > 1:
            raise DataError(
                f"{self._name}: slice {z}: floating-point pixels from {low:g} to {high:g}, expected 0 to 1.",
                "Say what becomes 0 and 1 in the card:  intensity: [low, high]",
            )
        return raw.astype(np.float32)


def _stretch(raw: Array) -> Array:
    image = raw.astype(np.float32)
    low, high = image.min(), image.max()
    if high <= low:
        return np.full(image.shape, 0.5, np.float32)
    stretched: Array = (image - low) / (high - low)
    return stretched


def _standardise(raw: Array, mean: float, sd: float) -> Array:
    if sd == 0:
        return np.full(raw.shape, 0.5, np.float32)
    scaled: Array = (raw.astype(np.float32) - np.float32(mean)) * np.float32(1 / (_SPREAD * sd)) + np.float32(0.5)
    return scaled.clip(0, 1)
