"""Images of any number type as float32 in [0, 1]: by type range, standardised by volume, or stretched by slice."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dabench.data.blocks import block_grid, read_block, white_is_zero
from dabench.data.volumes import Converted
from dabench.errors import DataError
from dabench.ops.padding import SIDE, padding
from dabench.types import Block

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dabench.interfaces import Volume
    from dabench.types import Array

Mode = Literal["range", "volume", "slice"]
#: Standard deviations of a volume that fill [0, 1].
_SPREAD = 6.0
#: Most slices that the statistics of a volume look at.
_SAMPLED_SLICES = 32
#: Pixels of a slice above which it is measured in bands of rows, and pixels of a band.
_LARGE_SLICE, _BAND = 2**24, 2**22


class RescaledVolume(Converted):
    """Float32 in which the values ``low`` and ``high`` of another volume are 0 and 1; values beyond are clipped.

    Where the file says that 0 is white, ``low`` is 1 and ``high`` is 0: both are values as they are stored.
    """

    def __init__(self, volume: Volume, low: float, high: float) -> None:
        """Wrap without reading."""
        super().__init__(volume)
        self._low, self._high = low, high

    @property
    def dtype(self) -> np.dtype[Any]:
        """Always float32."""
        return np.dtype(np.float32)

    @property
    def white_is_zero(self) -> bool:
        """Not any more."""
        return False

    def convert(self, raw: Array, block: Block) -> Array:
        """Float32 in [0, 1]; NaN stays NaN."""
        del block
        image = raw.astype(np.float32)
        scaled: Array = np.clip((image - self._low) / (self._high - self._low), 0, 1).astype(np.float32)
        return 1 - scaled if white_is_zero(self.volume) else scaled


class UnitVolume(Converted):
    """Any volume as float32 in [0, 1], with padding (`dabench.ops.padding`) at the mean grey of the tissue.

    Args:
        volume: stored images.
        mode: "range" divides by the range of the number type (floats must lie in [0, 1] already);
            "volume" maps the volume's mean to 0.5 and its standard deviation to 1/6, clipped, from at most 32 evenly
            spaced slices and no label; "slice" stretches each slice from its minimum to its maximum.
        name: named in errors, usually the file.
        statistics: mean and standard deviation for mode "volume", where they are known; measured otherwise.
    """

    def __init__(
        self,
        volume: Volume,
        mode: Mode = "range",
        name: str = "volume",
        statistics: tuple[float, float] | None = None,
    ) -> None:
        """Wrap without reading; statistics are taken at the first read that needs them."""
        if mode not in ("range", "volume", "slice"):
            raise DataError(f"intensity mode {mode!r}: one of range, volume, slice.")
        super().__init__(volume)
        self.mode, self._name = mode, name
        self._statistics = statistics
        #: What padding is looked for in: once values are clipped to a range, tissue may have one grey as well.
        self._stored = volume.volume if isinstance(volume, RescaledVolume) else volume
        self._extents: dict[int, tuple[np.float32, np.float32]] = {}
        self._lock = threading.Lock()

    @property
    def dtype(self) -> np.dtype[Any]:
        """Always float32."""
        return np.dtype(np.float32)

    def read(self, z: int) -> Array:
        """Slice ``z``; its padding is the mean grey of the tissue, as a black frame looks like mitochondria to many."""
        plane: Array = self._seen(Block(z, 0, 0, 1, *self.shape[1:]), self.volume.read(z)[None])[0]
        return plane

    def read_block(self, block: Block) -> Array:
        """A box of the same."""
        wide = _on_grid(block, self.shape)
        y, x = block.y - wide.y, block.x - wide.x
        return self._seen(wide, read_block(self.volume, wide))[:, y : y + block.height, x : x + block.width]

    def _seen(self, block: Block, raw: Array) -> Array:
        """A box that lies on the grid of padding, converted and filled."""
        stored = raw if self._stored is self.volume else read_block(self._stored, block)
        frames = list(self._frames(block, stored))
        if self.mode == "slice" and block.shape[1:] == self.shape[1:]:
            for i, (plane, frame) in enumerate(zip(raw, frames, strict=True)):
                self._extents.setdefault(block.z + i, _extent(_tissue(plane, frame)))
        image = self.convert(raw, block)
        for i, frame in enumerate(frames):
            if frame is not None:
                image[i][frame] = self._mean(block.z + i)
        return image

    def _frames(self, block: Block, stored: Array) -> Iterator[Array | None]:
        _, height, width = self.shape
        ends = block.y == 0, block.y + block.height == height, block.x == 0, block.x + block.width == width
        return (padding(plane, ends) for plane in stored)

    def _frame(self, block: Block, plane: Array) -> Array | None:
        """Padding of a box of one slice, whose pixels are ``plane``; what lies around it is read where it matters."""
        wide = _on_grid(block, self.shape)
        known = wide == block and self._stored is self.volume
        (frame,) = self._frames(wide, plane[None] if known else read_block(self._stored, wide))
        y, x = block.y - wide.y, block.x - wide.x
        return None if frame is None else frame[y : y + block.height, x : x + block.width]

    def _mean(self, z: int) -> float:
        """What the mean grey of the tissue becomes on a slice."""
        if self.mode == "slice":
            return float(_stretch(np.array(self.statistics()[0], np.float32), *self._extent(z)).clip(0, 1))
        if self.mode == "volume":
            return 0.5
        low, high = (0, 1) if self.volume.dtype.kind in "bf" else _limits(self.volume.dtype)
        return min(max((self.statistics()[0] - low) / (high - low), 0.0), 1.0)

    def convert(self, raw: Array, block: Block) -> Array:
        """Float32 in [0, 1].

        Raises:
            DataError: NaN or infinite pixels, or (mode "range") floats outside [0, 1]; names file, slice and value.
        """
        self._need_finite(raw, block)
        if self.mode == "slice":
            extents = [self._extent(block.z + i) for i in range(len(raw))]
            return np.stack([_stretch(plane, *extent) for plane, extent in zip(raw, extents, strict=True)])
        if self.mode == "volume":
            return _standardise(raw, *self.statistics())
        return self._by_range(raw, block)

    def statistics(self) -> tuple[float, float]:
        """Mean and standard deviation over at most 32 evenly spaced slices; computed once, in bounded memory.

        Padding (`dabench.ops.padding`) is ignored, unless there is nothing else.
        """
        with self._lock:
            if self._statistics is None:
                self._statistics = self._measure()
            return self._statistics

    def _measure(self) -> tuple[float, float]:
        depth = self.shape[0]
        chosen = np.unique(np.linspace(0, depth - 1, min(depth, _SAMPLED_SLICES)).round().astype(int))
        tissue, everything = np.zeros(3), np.zeros(3)
        for block, band in (found for z in chosen for found in self._bands(int(z))):
            tissue += _sums(band if (frame := self._frame(block, band)) is None else band[~frame])
            everything += _sums(band)
        count, total, squares = tissue if tissue[0] else everything
        mean = total / count
        return float(mean), float(np.sqrt(max(squares / count - mean**2, 0.0)))

    def _extent(self, z: int) -> tuple[np.float32, np.float32]:
        """Least and greatest value of the tissue of a whole slice, remembered."""
        if z not in self._extents:
            tissue, everything = list[tuple[np.float32, np.float32]](), list[tuple[np.float32, np.float32]]()
            for block, band in self._bands(z):
                frame = self._frame(block, band)
                everything.append(_extent(band))
                if frame is None or not frame.all():
                    tissue.append(_extent(_tissue(band, frame)))
            lows, highs = zip(*(tissue or everything), strict=True)
            self._extents[z] = min(lows), max(highs)
        return self._extents[z]

    def _bands(self, z: int) -> Iterator[tuple[Block, Array]]:
        """Slice ``z`` as stored: at once, or a large one in bands of rows, which begin on the grid of padding."""
        _, height, width = self.shape
        if height * width <= _LARGE_SLICE:
            raw = self.volume.read(z)
            whole = Block(z, 0, 0, 1, height, width)
            self._need_finite(raw[None], whole)
            yield whole, raw
            return
        for band in block_grid((1, height, width), (1, max(1, _BAND // width // SIDE) * SIDE, width)):
            block = replace(band, z=z)
            raw = read_block(self.volume, block)
            self._need_finite(raw, block)
            yield block, raw[0]

    def _need_finite(self, raw: Array, block: Block) -> None:
        if raw.dtype.kind != "f" or np.isfinite(raw).all():
            return
        z, y, x = np.argwhere(~np.isfinite(raw))[0]
        count = int((~np.isfinite(raw[z])).sum())
        raise DataError(
            f"{self._name}: slice {block.z + z}: {count} pixels are NaN or infinite, {raw[z, y, x]} at row "
            f"{block.y + y}, column {block.x + x}.",
            "Write the volume again without NaN (0 is fine for missing tissue), then  dabench data verify NAME",
        )

    def _by_range(self, raw: Array, block: Block) -> Array:
        if raw.dtype == bool:
            return raw.astype(np.float32)
        if raw.dtype.kind in "ui":
            info = np.iinfo(raw.dtype)
            scale = 1.0 / (float(info.max) - float(info.min))
            return ((raw.astype(np.float32) - np.float32(info.min)) * np.float32(scale)).clip(0, 1)
        low, high = float(raw.min()), float(raw.max())
        if low < 0 or high > 1:
            place = f"slice {block.z}" if block.depth == 1 else f"slices {block.z} to {block.z + block.depth - 1}"
            raise DataError(
                f"{self._name}: {place}: floating-point pixels from {low:g} to {high:g}, expected 0 to 1.",
                "Say what becomes 0 and 1 in the card:  intensity: [low, high]",
            )
        return raw.astype(np.float32)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())


def _sums(image: Array) -> tuple[float, float, float]:
    """Number of pixels, their sum and that of their squares."""
    exact = image.astype(np.float64)
    return exact.size, exact.sum(), np.square(exact).sum()


def _tissue(plane: Array, frame: Array | None) -> Array:
    """Pixels outside of padding; all where there is nothing else."""
    pixels: Array = plane if frame is None or frame.all() else plane[~frame]
    return pixels


def _on_grid(block: Block, shape: tuple[int, int, int]) -> Block:
    """The box, grown to whole patches of the grid of padding and by the one around them, within the slice."""
    (y, bottom), (x, right) = (
        (max(0, (at // SIDE - 1) * SIDE), min(length, (-(-(at + size) // SIDE) + 1) * SIDE))
        for at, size, length in ((block.y, block.height, shape[1]), (block.x, block.width, shape[2]))
    )
    return Block(block.z, y, x, block.depth, bottom - y, right - x)


def _limits(dtype: np.dtype[Any]) -> tuple[int, int]:
    info = np.iinfo(dtype)
    return info.min, info.max


def _extent(raw: Array) -> tuple[np.float32, np.float32]:
    return np.float32(raw.min()), np.float32(raw.max())


def _stretch(raw: Array, low: np.float32, high: np.float32) -> Array:
    image = raw.astype(np.float32)
    if high <= low:
        return np.full(image.shape, 0.5, np.float32)
    stretched: Array = (image - low) / (high - low)
    return stretched


def _standardise(raw: Array, mean: float, sd: float) -> Array:
    if sd == 0:
        return np.full(raw.shape, 0.5, np.float32)
    scaled: Array = (raw.astype(np.float32) - np.float32(mean)) * np.float32(1 / (_SPREAD * sd)) + np.float32(0.5)
    return scaled.clip(0, 1)
