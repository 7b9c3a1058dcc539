"""Procedural EM-like volumes with labels: deterministic from a seed, consistent in 3-D, made in seconds."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from dabench.data import phantom_render as render
from dabench.data.phantom_geometry import Cells, Grid, Organelles, add_tube, make_cells, make_tube, smooth_noise
from dabench.data.phantom_profiles import PROFILES
from dabench.errors import UnknownNameError

if TYPE_CHECKING:
    from dabench.data.phantom_profiles import Profile
    from dabench.types import Array

Shape = tuple[int, int, int]
#: Volume in cubic pixels to which a profile's counts refer.
_UNIT_VOLUME = 256 * 256 * 48
#: Pixels of the smallest 2-D component that is labelled.
_SPECK = 20
#: Times that an organelle which finds no room is tried elsewhere.
_TRIES = 6


@dataclass(frozen=True)
class Phantom:
    """images ``(Z, H, W)`` uint8; labels ``(Z, H, W)`` uint8 {0, 1}; instances ``(Z, H, W)`` int32, 0 = background."""

    images: Array
    labels: Array
    instances: Array


@lru_cache(maxsize=16)
def make_phantom(name: str, part: str, seed: int, shape: Shape) -> Phantom:
    """The phantom ``name``; ``part`` ("train", "test") and ``seed`` choose an independent piece of the same tissue.

    The same arguments give the same volume, in another process too (with the same numpy and scipy). Read-only arrays.

    Raises:
        UnknownNameError: there is no such phantom.
    """
    if name not in PROFILES:
        raise UnknownNameError("phantom", name, PROFILES)
    rng = np.random.default_rng([seed, zlib.crc32(name.encode()), zlib.crc32(part.encode())])
    profile = PROFILES[name]
    fine = (shape[0], shape[1] * profile.binning, shape[2] * profile.binning)
    phantom = _binned(_make(profile, fine, rng), profile.binning)
    for array in (phantom.images, phantom.labels, phantom.instances):
        array.setflags(write=False)
    return phantom


def _make(profile: Profile, shape: Shape, rng: np.random.Generator) -> Phantom:
    grid = Grid(shape, profile.voxel[0] / profile.voxel[1] * profile.binning)
    cells = make_cells(grid, profile.cell, rng)
    both = Organelles.none(shape)
    mitos = _populate(grid, cells, both, profile.mito_radius, profile.mito_length, profile.mito_count, profile, rng)
    radii = 0.75 * profile.mito_radius[0], 0.8 * profile.mito_radius[1]
    bodies = _populate(grid, cells, both, radii, (1.2, 1.8), profile.bodies, profile, rng)
    image = render.paint_cells(grid, cells, profile, rng)
    render.paint_vesicles(image, grid, cells, both.distance, profile, rng)
    render.paint_bodies(image, bodies, profile, grid, rng)
    render.paint_mitochondria(image, mitos, profile, grid, rng)
    labels = _without_specks(mitos.distance < profile.boundary)
    return Phantom(render.expose(image, profile, rng), labels.astype(np.uint8), np.where(labels, mitos.ids, 0))


def _binned(phantom: Phantom, side: int) -> Phantom:
    """Squares of pixels as one: the mean grey, and the label and the id of the middle one."""
    if side == 1:
        return phantom
    depth, height, width = phantom.images.shape
    squares = phantom.images.reshape(depth, height // side, side, width // side, side)
    images = np.round(squares.mean((2, 4))).astype(np.uint8)
    labels, ids = (a[:, side // 2 :: side, side // 2 :: side].copy() for a in (phantom.labels, phantom.instances))
    return Phantom(images, labels, ids)


def _without_specks(mask: Array) -> Array:
    """Without 2-D components of fewer than 20 pixels, which no annotator draws (caps of mitochondria)."""
    flat = np.zeros((3, 3, 3), int)
    flat[1] = 1
    parts, _ = ndimage.label(mask, flat)
    large = np.bincount(parts.ravel()) >= _SPECK
    large[0] = False
    result: Array = large[parts]
    return result


def _populate(
    grid: Grid,
    cells: Cells,
    both: Organelles,
    radii: tuple[float, float],
    lengths: tuple[float, float],
    density: float,
    profile: Profile,
    rng: np.random.Generator,
) -> Organelles:
    """Place organelles of one kind; ``both`` holds all kinds so far, and they never overlap."""
    own = Organelles.none(grid.shape)
    warp = 0.9 * smooth_noise(grid, 12, rng)
    gap = 1.5 * profile.membrane if profile.gap is None else profile.gap
    wanted = max(1, round(density * float(np.prod(grid.size)) / _UNIT_VOLUME))
    for label in range(1, wanted + 1):
        for _ in range(_TRIES):
            radius = rng.uniform(*radii)
            start = _place(grid, cells, both, radius, rng)
            tube = make_tube(start, radius, rng.uniform(*lengths), rng)
            if add_tube(tube, grid, cells, warp, both, own, gap, label):
                break
    return own


def _place(grid: Grid, cells: Cells, both: Organelles, radius: float, rng: np.random.Generator) -> Array:
    """Of some random points, the first that has room for ``radius``, else the roomiest; ``(3,)`` pixels."""
    index = rng.integers(0, grid.shape, (40, 3))
    z, y, x = index.T
    room = np.minimum(cells.distance[z, y, x], both.distance[z, y, x])
    best = int(np.minimum(room, 0.95 * radius).argmax())
    start: Array = index[best] * np.array([grid.step, 1, 1], np.float32)
    return start
