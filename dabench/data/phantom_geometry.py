"""Geometry of a phantom: smooth noise, cells and tubes, all as fields on the volume's grid, consistent in 3-D."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage, sparse
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    from dabench.types import Array

Shape = tuple[int, int, int]
_FAR = np.float32(1e3)
#: Pixels around an organelle in which its distance is kept: enough to draw its membrane.
_REACH = 6
#: Radius, roughly, of the corners where an organelle leans on a membrane.
_ROUNDING = 5.0


@dataclass(frozen=True)
class Grid:
    """A volume of ``shape`` (z, y, x) whose slices lie ``step`` pixels apart."""

    shape: Shape
    step: float

    @property
    def size(self) -> Array:
        """Extent in pixels, ``(3,)``."""
        z, y, x = self.shape
        return np.array([z * self.step, y, x], np.float32)

    def axes(self) -> tuple[Array, Array, Array]:
        """Coordinates in pixels along z, y and x."""
        z, y, x = self.shape
        return (
            np.arange(z, dtype=np.float32) * np.float32(self.step),
            np.arange(y, dtype=np.float32),
            np.arange(x, dtype=np.float32),
        )


@dataclass(frozen=True)
class Cells:
    """Cell id ``(Z, H, W)`` int32 and distance to the nearest cell membrane in pixels, float32."""

    ids: Array
    distance: Array


@dataclass(frozen=True)
class Tube:
    """A bent tube: centre line ``(N, 3)`` and radius ``(N,)`` in pixels, squeezed by ``flat`` (3, 3)."""

    line: Array
    radius: Array
    flat: Array


@dataclass
class Organelles:
    """Signed distance ``(Z, H, W)`` to the outer face of the nearest organelle (negative inside) and its id >= 1."""

    distance: Array
    ids: Array

    @classmethod
    def none(cls, shape: Shape) -> Organelles:
        """No organelle yet."""
        return cls(np.full(shape, _FAR), np.zeros(shape, np.int32))


def smooth_noise(grid: Grid, scale: float, rng: np.random.Generator) -> Array:
    """Gaussian noise with correlation length ``scale`` pixels in 3-D, about unit variance; ``(Z, H, W)`` float32."""
    weights = [_interpolation(axis, scale) for axis in grid.axes()]
    field: Array = rng.standard_normal([w.shape[1] for w in weights]).astype(np.float32)
    for axis, matrix in enumerate(weights):
        rest = np.moveaxis(field, axis, 0)
        made = (matrix @ rest.reshape(len(rest), -1)).reshape(-1, *rest.shape[1:])
        field = np.moveaxis(made, 0, axis)
    return np.ascontiguousarray(field)


def _interpolation(axis: Array, scale: float) -> sparse.csr_array:
    """Weights ``(len(axis), knots)`` of a Gaussian interpolation, rows of unit length.

    Sparse: a tenth of the work, one thread, and so the same bits however many threads numpy has.
    """
    knots = np.arange(axis[0] - 2 * scale, axis[-1] + 2.01 * scale, scale, dtype=np.float32)
    away = np.abs(axis[:, None] - knots[None]) / (0.6 * scale)
    weights = np.where(away < 3.2, np.exp(-0.5 * away**2), 0)
    return sparse.csr_array((weights / np.linalg.norm(weights, axis=1, keepdims=True)).astype(np.float32))


def make_cells(grid: Grid, radius: float, rng: np.random.Generator) -> Cells:
    """Cells as a warped Voronoi tessellation whose neighbours are partly merged into longer, bent processes.

    Computed on every second pixel and enlarged; the membranes hide the seam.
    """
    coarse = _coarse_points(grid, radius, rng)
    margin = 2 * radius
    extent = grid.size + 2 * margin
    count = max(8, int(1.6 * np.prod(extent) / (4 / 3 * np.pi * radius**3)))
    seeds = rng.uniform(-margin, extent - margin, (count, 3)).astype(np.float32)
    seeds = seeds[rng.random(count) < _crowding(seeds, radius, rng)]
    group = _merge(seeds, rng)
    shape = (grid.shape[0], -(-grid.shape[1] // 2), -(-grid.shape[2] // 2))
    distances, nearest = cKDTree(seeds).query(coarse, k=5)
    own = group[nearest[:, 0]]
    other = group[nearest] != own[:, None]
    first = np.where(other.any(1), other.argmax(1), 4)
    rows = np.arange(len(coarse))
    gap = distances[rows, first] ** 2 - distances[:, 0] ** 2
    apart = np.linalg.norm(seeds[nearest[rows, first]] - seeds[nearest[:, 0]], axis=1)
    membrane = (gap / (2 * np.maximum(apart, 1.0))).astype(np.float32).reshape(shape)
    return Cells(_double(own.astype(np.int32).reshape(shape), grid.shape), _double_linear(membrane, grid.shape))


def _coarse_points(grid: Grid, radius: float, rng: np.random.Generator) -> Array:
    """Warped coordinates of every second pixel, ``(N, 3)``."""
    z, y, x = grid.axes()
    points = np.stack(np.meshgrid(z, y[::2], x[::2], indexing="ij"), -1)
    for axis in range(3):
        for scale, amount in ((radius * 1.1, 0.38 * radius), (radius * 0.4, 0.10 * radius)):
            points[..., axis] += amount * smooth_noise(grid, scale, rng)[:, ::2, ::2]
    return points.reshape(-1, 3)


def _crowding(seeds: Array, radius: float, rng: np.random.Generator) -> Array:
    """Chance that a seed stays, ``(N,)``: regions of thin processes beside regions of wide cells."""
    waves = rng.standard_normal((4, 3)) / (2.2 * radius)
    field = np.sin(seeds @ waves.T + rng.uniform(0, 2 * np.pi, 4)).sum(1)
    chance: Array = np.where(field > 0.3, 1.0, 0.22)
    return chance


def _merge(seeds: Array, rng: np.random.Generator) -> Array:
    """Cell of each seed: half of the seeds join a neighbour's cell."""
    group = np.arange(len(seeds))
    _, nearest = cKDTree(seeds).query(seeds, k=3)
    for seed in np.flatnonzero(rng.random(len(seeds)) < 0.5):
        group[seed] = group[nearest[seed, rng.integers(1, 3)]]
    return group


def _double(field: Array, shape: Shape) -> Array:
    return field.repeat(2, 1).repeat(2, 2)[:, : shape[1], : shape[2]]


def _double_linear(field: Array, shape: Shape) -> Array:
    for axis in (1, 2):
        following = np.concatenate(
            [np.take(field, range(1, field.shape[axis]), axis), np.take(field, [-1], axis)], axis
        )
        pair = np.stack([field, (field + following) / 2], axis + 1)
        field = pair.reshape(*field.shape[:axis], -1, *field.shape[axis + 1 :])
    return field[:, : shape[1], : shape[2]]


def make_tube(start: Array, radius: float, length: float, rng: np.random.Generator) -> Tube:
    """A tube that grows both ways from ``start`` along a slowly turning path; its radius swells and thins."""
    steps = max(2, int(length * radius / 2.5))
    direction = _unit(rng.standard_normal(3) * [0.6, 1, 1])
    turn = rng.standard_normal((steps, 3)).cumsum(0)
    turn *= 0.45 / np.sqrt(np.arange(1, steps + 1))[:, None]
    path = np.cumsum(_unit(direction + turn) * 2.5, 0)
    path += start - path[len(path) // 2]
    t = np.linspace(0, 1, steps)
    swell = 1 + 0.22 * np.sin(2 * np.pi * (rng.uniform(0.5, 2) * t + rng.random()))
    ends = 1 - 0.35 * np.abs(2 * t - 1) ** 4
    squeeze = _unit(rng.standard_normal(3))
    flat = np.eye(3) + rng.uniform(0.0, 0.5) * np.outer(squeeze, squeeze)
    return Tube(path.astype(np.float32), (radius * swell * ends).astype(np.float32), flat.astype(np.float32))


def add_tube(
    tube: Tube, grid: Grid, cells: Cells, warp: Array, both: Organelles, own: Organelles, gap: float, label: int
) -> bool:
    """Add a tube inside the cell of its middle, ``gap`` pixels away from membranes and from all earlier organelles.

    ``warp`` ``(Z, H, W)`` roughens its surface. ``both`` has all earlier organelles, ``own`` those of its kind: it
    becomes part of the two. False, and nothing added, when too little of it would be left.
    """
    box = _box(tube, grid)
    if box is None:
        return False
    free = _distance_to_line(tube, grid, box) + warp[box]
    cell = _cell_at(tube.line[len(tube.line) // 2], grid, cells)
    inside = np.where(cells.ids[box] == cell, cells.distance[box], -cells.distance[box])
    distance = _soft_max(free, gap - np.minimum(inside, both.distance[box]))
    kept = _largest_part(distance < 0)
    if kept.sum() < max(30, 0.55 * (free < 0).sum()):
        return False
    halo = ndimage.grey_dilation(kept, size=(1, 2 * _REACH + 1, 2 * _REACH + 1)).astype(bool)
    closer = halo & (distance < both.distance[box]) & ((distance >= 0) | kept)
    for into in (both, own):
        into.distance[box][closer] = distance[closer]
        into.ids[box][closer] = label
    return True


def _distance_to_line(tube: Tube, grid: Grid, box: tuple[slice, slice, slice]) -> Array:
    """Signed distance to the free tube, computed on every second pixel of the box and enlarged."""
    z, y, x = (axis[part] for axis, part in zip(grid.axes(), box, strict=True))
    points = np.stack(np.meshgrid(z, y[::2], x[::2], indexing="ij"), -1)
    found, index = cKDTree(tube.line @ tube.flat).query(points.reshape(-1, 3) @ tube.flat)
    coarse = (found.astype(np.float32) - tube.radius[index]).reshape(points.shape[:3])
    return _double_linear(coarse, (len(z), len(y), len(x)))


def _soft_max(a: Array, b: Array) -> Array:
    """The larger of two distances, with the corner between them rounded."""
    result: Array = 0.5 * (a + b + np.sqrt((a - b) ** 2 + _ROUNDING**2))
    return result


def _largest_part(mask: Array) -> Array:
    """The largest 3-D component of a mask."""
    parts, count = ndimage.label(mask)
    if count <= 1:
        return mask
    largest: Array = parts == 1 + np.bincount(parts.ravel())[1:].argmax()
    return largest


def _box(tube: Tube, grid: Grid) -> tuple[slice, slice, slice] | None:
    """Part of the volume that holds the tube and its surroundings, from even pixels on; None when it is outside."""
    margin = tube.radius.max() + _REACH + 3
    scale = np.array([grid.step, 1, 1])
    low = np.maximum(np.floor((tube.line.min(0) - margin) / scale), 0).astype(int)
    low[1:] -= low[1:] % 2
    high = np.minimum(np.ceil((tube.line.max(0) + margin) / scale) + 1, grid.shape).astype(int)
    if (high <= low).any():
        return None
    return slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2])


def _cell_at(point: Array, grid: Grid, cells: Cells) -> int:
    index = np.clip(np.round(point / [grid.step, 1, 1]).astype(int), 0, np.array(grid.shape) - 1)
    return int(cells.ids[tuple(index)])


def _unit(vectors: Array) -> Array:
    result: Array = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-6)
    return result
