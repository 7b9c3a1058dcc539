"""What a stage may look at beside its batches."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from dabench.errors import ConfigError
from dabench.files.atomic import write_with
from dabench.interfaces import Desk, TrainingData, Volume
from dabench.ops.patches import cut
from dabench.training.sampling import step_seed
from dabench.types import Array, CropId


class StageData(TrainingData):
    """The target's training images, the annotation desk and a generator that is the same at every start."""

    def __init__(
        self,
        images: Volume | None,
        desk: Desk,
        device: torch.device,
        seed: int,
        stage: str,
        memory: Path | None = None,
        own: Path | None = None,
    ) -> None:
        """``images`` are float32 in [0, 1]; None for a stage that declares no use of the target.

        ``memory`` is the folder of `remember`; it belongs to the parent and to the stage's source. ``own`` is that of
        `keep`, the stage's. None keeps arrays in memory.
        """
        self._memory, self._own = memory, own
        self._arrays: dict[str, Array] = {}
        self._stage, self._images, self._desk, self._device = stage, images, desk, device
        self._rng = np.random.default_rng(step_seed(seed, f"{stage}/view", 0))

    @property
    def desk(self) -> Desk:
        return self._desk

    @property
    def device(self) -> torch.device:
        return self._device

    @property
    def rng(self) -> np.random.Generator:
        return self._rng

    def target_shape(self) -> tuple[int, int, int]:
        return self._target().shape

    def target_crop(self, crop: CropId) -> Array:
        return cut(self._target().read(crop.z), crop.window)

    def remember(self, name: str, shape: tuple[int, ...], fill: Callable[[Array], None]) -> Array:
        if self._memory is None:
            values: Array = np.empty(shape, np.float16)
            fill(values)
            return values
        path = self._memory / f"{name}.npy"
        if not path.is_file():
            write_with(path, partial(_write_array, shape, "float16", fill))
        kept: Array = np.load(path, mmap_mode="r")
        return kept

    def keep(self, name: str, shape: tuple[int, ...], dtype: str, fill: Callable[[Array], None]) -> Array:
        if self._own is None:
            values: Array = np.empty(shape, dtype)
            fill(values)
            values.setflags(write=False)
            self._arrays[name] = values
        else:
            write_with(self._own / f"{name}.npy", partial(_write_array, shape, dtype, fill))
            self._arrays.pop(name, None)
        return self.kept(name)

    def kept(self, name: str) -> Array:
        if name not in self._arrays:
            if self._own is None or not (self._own / f"{name}.npy").is_file():
                raise KeyError(f"stage {self._stage!r} kept nothing under {name!r}")
            self._arrays[name] = np.load(self._own / f"{name}.npy", mmap_mode="r")
        return self._arrays[name]

    def _target(self) -> Volume:
        if self._images is None:
            raise ConfigError(
                f"stage {self._stage!r} looks at the target, which its StageSpec does not say.",
                "Give it target crops (CropSpec.target) or name what it asks for (asks): they are part of its key.",
            )
        return self._images


def _write_array(shape: tuple[int, ...], dtype: str, fill: Callable[[Array], None], part: Path) -> None:
    """An ``.npy`` file filled through memory mapping, so that it may be larger than memory."""
    values = np.lib.format.open_memmap(part, "w+", np.dtype(dtype), shape)
    fill(values)
    values.flush()
