"""Grey values of a phantom: cytoplasm, membranes, mitochondria, look-alikes and vesicles, then the microscope."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from dabench.data.phantom_geometry import Cells, Grid, Organelles, smooth_noise

if TYPE_CHECKING:
    from dabench.data.phantom_profiles import Profile
    from dabench.types import Array

#: Grey of the cytoplasm before the microscope's grey curve.
CYTOPLASM = 0.64
#: Distance from the outer face of a mitochondrion to the middle of its inner membrane, in membrane half widths.
_INNER = 3.2


def paint_cells(grid: Grid, cells: Cells, profile: Profile, rng: np.random.Generator) -> Array:
    """Cytoplasm with its own grey for each cell, texture, and dark membranes; ``(Z, H, W)`` float32."""
    tone = rng.normal(0, 0.035, cells.ids.max() + 1)
    tone[rng.random(len(tone)) < 0.06] -= 0.10  # dark cells
    image: Array = tone.astype(np.float32)[cells.ids] + np.float32(CYTOPLASM)
    image += _cytoplasm(grid, profile, rng)
    thickness = 1 + 0.18 * smooth_noise(grid, 16, rng)
    image -= profile.darkness * _line(cells.distance, profile.membrane * thickness)
    density = np.clip(smooth_noise(grid, 20, rng) - 1.4, 0, 1)  # synaptic densities
    image -= 0.35 * density * np.exp(-((cells.distance / (2.6 * profile.membrane)) ** 2))
    return image


def _cytoplasm(grid: Grid, profile: Profile, rng: np.random.Generator) -> Array:
    """Texture, dark granules and patches of endoplasmic reticulum (bent thin lines)."""
    texture = profile.texture * (0.6 * smooth_noise(grid, 3.0, rng) + 0.6 * smooth_noise(grid, 9.0, rng))
    granules = np.clip(smooth_noise(grid, 2.4 * profile.membrane / 1.3, rng) - 1.3, 0, 1)
    sheets = _line(smooth_noise(grid, 13, rng), 0.13) * np.clip(1.5 * smooth_noise(grid, 24, rng) - 0.9, 0, 1)
    result: Array = texture - profile.darkness * (0.45 * granules + 0.55 * sheets)
    return result


def paint_mitochondria(image: Array, mitos: Organelles, profile: Profile, grid: Grid, rng: np.random.Generator) -> None:
    """Draw matrix, cristae and the double membrane into ``image``."""
    inside = -mitos.distance
    width = profile.membrane
    fill = np.clip(inside / width, 0, 1)
    tone = rng.normal(0, 0.03, mitos.ids.max() + 1).astype(np.float32)
    matrix = profile.matrix + tone[mitos.ids] + 0.5 * profile.texture * smooth_noise(grid, 3.5, rng)
    core = np.clip((inside - _INNER * width) / width, 0, 1)
    matrix -= core * profile.cristae * _cristae(mitos, profile, grid, rng)
    image += fill * (matrix - image)
    outer = _line(inside - 0.8 * width, 0.8 * width)
    inner = _line(inside - _INNER * width, 0.8 * width)
    between = _line(inside - 2.0 * width, 0.6 * width)
    image -= 0.75 * profile.darkness * (0.9 * outer + 0.7 * inner) - 0.10 * between


def _cristae(mitos: Organelles, profile: Profile, grid: Grid, rng: np.random.Generator) -> Array:
    """Sheets in a direction of its own for each mitochondrion, bent and interrupted; 0 to 1."""
    count = mitos.ids.max() + 1
    wave = rng.standard_normal((count, 3)) * [0.35, 1, 1]
    wave *= 2 * np.pi / (profile.cristae_period * np.linalg.norm(wave, axis=1, keepdims=True))
    z, y, x = grid.axes()
    k = wave.astype(np.float32)[mitos.ids]
    phase = k[..., 0] * z[:, None, None] + k[..., 1] * y[None, :, None] + k[..., 2] * x[None, None, :]
    phase += 1.6 * smooth_noise(grid, 11, rng)
    sheets = np.clip(2.2 * np.cos(phase) - 1.0, 0, 1)
    broken = np.clip(0.65 + 0.8 * smooth_noise(grid, 7, rng), 0, 1)
    result: Array = sheets * broken
    return result


def paint_bodies(image: Array, bodies: Organelles, profile: Profile, grid: Grid, rng: np.random.Generator) -> None:
    """Draw what looks a little like mitochondria: dense, pale and multivesicular bodies, with one membrane each."""
    inside = -bodies.distance
    kinds = rng.integers(0, 3, bodies.ids.max() + 1)
    tones = np.array([profile.matrix - 0.05, CYTOPLASM + 0.10, CYTOPLASM - 0.05], np.float32)
    tone = tones[kinds][bodies.ids] + 0.06 * smooth_noise(grid, 4.5, rng)
    spots = np.clip(2 * smooth_noise(grid, 4.0, rng) - 1, 0, 1) * (kinds == 2)[bodies.ids]
    fill = np.clip(inside / profile.membrane, 0, 1)
    image += fill * (tone - 0.22 * spots - image)
    image -= 0.7 * profile.darkness * _line(inside - 0.5 * profile.membrane, profile.membrane)


def paint_vesicles(
    image: Array, grid: Grid, cells: Cells, taken: Array, profile: Profile, rng: np.random.Generator
) -> None:
    """Draw clusters of small vesicles, away from membranes and organelles (``taken``: distance to the nearest)."""
    volume = np.prod(grid.size) / (256 * 256 * 48)
    clusters = rng.uniform(0, 1, (max(1, round(profile.vesicles * volume)), 3)) * grid.size
    radius = 1.9 * profile.membrane
    for centre in clusters:
        for _ in range(rng.integers(40, 140)):
            _vesicle(image, grid, cells, taken, centre + rng.normal(0, 12, 3), radius * rng.uniform(0.8, 1.2), profile)


def _vesicle(
    image: Array, grid: Grid, cells: Cells, taken: Array, centre: Array, radius: float, profile: Profile
) -> None:
    reach = int(np.ceil(radius + 3))
    z0, y, x = np.round(centre / [grid.step, 1, 1]).astype(int)
    if not (0 <= z0 < grid.shape[0] and reach <= y < grid.shape[1] - reach and reach <= x < grid.shape[2] - reach):
        return
    if cells.distance[z0, y, x] < radius + 2 or taken[z0, y, x] < radius + 2:
        return
    depth = max(0, int(reach / grid.step))
    window = np.s_[max(0, z0 - depth) : z0 + depth + 1, y - reach : y + reach + 1, x - reach : x + reach + 1]
    zs, ys, xs = (axis[part] - c for axis, part, c in zip(grid.axes(), window, centre, strict=True))
    away = np.sqrt(zs[:, None, None] ** 2 + ys[None, :, None] ** 2 + xs[None, None, :] ** 2)
    shell = _line(away - radius, 0.8 * profile.membrane)
    image[window] = np.minimum(image[window], CYTOPLASM + 0.08 - 0.8 * profile.darkness * shell)


def expose(image: Array, profile: Profile, rng: np.random.Generator) -> Array:
    """What the microscope makes of it: blur, shading, grey curve, noise and flicker; ``(Z, H, W)`` uint8."""
    depth, height, width = image.shape
    blurred = ndimage.gaussian_filter(image, (0, profile.blur, profile.blur))
    flat = Grid((1, height, width), 1.0)
    noise = np.asarray(rng.standard_normal(image.shape), np.float32)
    noise = ndimage.gaussian_filter(noise, (0, profile.grain, profile.grain))
    noise *= profile.noise / noise.std()
    for z in range(depth):
        blurred[z] += profile.shading * smooth_noise(flat, 90, rng)[0] + rng.normal(0, profile.flicker)
    curve = np.clip(0.5 + profile.contrast * (blurred - 0.5) + profile.brightness, 0.01, 1) ** profile.gamma
    result: Array = np.clip(np.round(255 * (curve + noise * np.sqrt(curve / 0.5))), 0, 255).astype(np.uint8)
    return result


def _line(distance: Array, width: Array | float) -> Array:
    """A soft line of half width ``width`` where ``distance`` is 0; 1 in the middle."""
    result: Array = np.exp(-np.square(distance / width))
    return result
