"""The same layers in napari, where it is installed."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from dabench.errors import ConfigError

if TYPE_CHECKING:
    from dabench.interfaces import Volume
    from dabench.types import Array
    from dabench.volumes.viewer.view_data import ViewData


class LazyStack:
    """A volume as an array that napari slices: only the slices that are looked at are read."""

    def __init__(self, volume: Volume, dtype: Any = None) -> None:
        """Wrap without reading; ``dtype`` is what slices are given as (the stored type)."""
        self._volume = volume
        self.shape, self.dtype = volume.shape, np.dtype(dtype or volume.dtype)
        self.ndim, self.size = 3, int(np.prod(volume.shape))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Array:
        first, *rest = key if isinstance(key, tuple) else (key,)
        inside = tuple(rest)
        if isinstance(first, slice):
            return np.stack([self._slice(z)[inside] for z in range(*first.indices(self.shape[0]))])
        found: Array = self._slice(range(self.shape[0])[int(first)])[inside]
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        del copy
        return np.asarray(self[:], dtype)

    def _slice(self, z: int) -> Array:
        return self._volume.read(z).astype(self.dtype, copy=False)


def open_napari(view_data: ViewData, *, wait: bool = True) -> Any:
    """Open a view in napari: whole slices at full size, the voxel size as scale.

    Args:
        view_data: what to show.
        wait: return when its window is closed.

    Returns:
        The ``napari.Viewer``.

    Raises:
        ConfigError: napari is not installed.
    """
    if find_spec("napari") is None:
        raise ConfigError(
            "napari is not installed.", 'pip install "napari[all]>=0.6"; or leave out --napari for a page.'
        )
    napari = import_module("napari")
    viewer = napari.Viewer(title=view_data.title)
    add_layers(viewer, view_data)
    if wait:
        napari.run()
    return viewer


def add_layers(viewer: Any, view_data: ViewData) -> None:
    """Give a viewer the images, probability, labels and points of a view, each with its voxel size in nm."""
    place = {"scale": view_data.voxel, "units": ("nm", "nm", "nm")} if view_data.voxel else {}
    viewer.add_image(LazyStack(view_data.images), name="images", colormap="gray", multiscale=False, **place)
    if view_data.probability is not None:
        viewer.add_image(
            LazyStack(view_data.probability), name="probability", colormap="magma", opacity=0.4, visible=False,
            multiscale=False, **place,
        )  # fmt: skip
    for name in ("truth", "prediction", "instances"):
        volume = view_data.layers().get(name)
        if volume is not None:
            # napari's labels layer takes whole numbers only.
            stored = LazyStack(volume, "uint8" if volume.dtype == bool else None)
            viewer.add_labels(stored, name=name, opacity=0.4, multiscale=False, **place)
    if view_data.points:
        places = [(z, y, x) for z, points in sorted(view_data.points.items()) for x, y in points]
        viewer.add_points(np.asarray(places, float).reshape(-1, 3), name="points", size=8, **place)
    viewer.scale_bar.visible = view_data.voxel is not None
