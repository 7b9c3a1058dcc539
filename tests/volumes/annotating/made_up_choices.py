"""Preference data sets: a small one of squares, and one of a phantom whose candidates a person could judge."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import ndimage

from dabench.annotation.preference_set import Manifest, PreferenceSet, Question
from dabench.data.phantom import make_phantom
from dabench.ops.choice import candidate_digests
from dabench.types import Array, Window


def squares(path: Path, count: int = 12, candidates: int = 3, *, images: bool = True, side: int = 8) -> PreferenceSet:
    """Questions of ``side``² pixels with that much around; candidate k of question q is a square that both decide."""
    window, context = Window(side, side, side, side), Window(0, 0, 3 * side, 3 * side)
    shape = (max(count, 2), 3 * side, 3 * side)

    def made() -> list[tuple[Question, Array, dict[int, Array]]]:
        found = []
        for q in range(count):
            masks = np.zeros((candidates, side, side), bool)
            for k in range(candidates):
                masks[k, q % 2 : 2 + k, 1:5] = True
            pictures = (
                {dz: np.full((3 * side, 3 * side), 40 + 20 * dz + q, np.uint8) for dz in (-1, 0, 1)} if images else {}
            )
            found.append((_question(f"q{q}", q, window, context, masks), masks, pictures))
        return found

    return PreferenceSet.write(path, Manifest(domain="squares", shape=shape, voxel=(8.0, 8.0, 8.0)), made())


def phantom_choices(path: Path, count: int, side: int = 64) -> PreferenceSet:
    """Patches of a phantom that hold an object."""
    phantom = make_phantom("phantom-human", "train", 0, (6, 192, 192))
    return choices_of(path, "phantom-human", phantom.images, phantom.labels == 1, count, side)


def choices_of(path: Path, domain: str, images: Array, labels: Array, count: int, side: int) -> PreferenceSet:
    """The same of any labelled volume ``(Z, H, W)``: at most ``count`` patches, spread over it."""
    depth, height, width = images.shape
    rng, made = np.random.default_rng(0), []
    corners = [
        (z, y, x)
        for z in range(depth)
        for y in range(0, height - side + 1, side // 2)
        for x in range(0, width - side + 1, side // 2)
        if labels[z, y : y + side, x : x + side].mean() > 0.05
    ]
    for z, y, x in corners[:: max(1, len(corners) // count)][:count]:
        window = Window(y, x, side, side)
        masks = plausible(labels[z][window.slices], rng)
        top, left = max(0, y - side // 2), max(0, x - side // 2)
        bottom, right = min(height, y + 3 * side // 2), min(width, x + 3 * side // 2)
        context = Window(top, left, bottom - top, right - left)
        pictures = {dz: images[z + dz][context.slices] for dz in (-1, 0, 1) if 0 <= z + dz < depth}
        made.append((_question(f"q{len(made):04d}", z, window, context, masks), masks, pictures))
    return PreferenceSet.write(path, Manifest(domain=domain, shape=images.shape, voxel=(8.0, 8.0, 8.0)), made)


def plausible(truth: Array, rng: np.random.Generator) -> Array:
    """Two to five different masks in a random order: edges further out and in, an object missed, one made up."""
    objects, number = ndimage.label(truth)
    missed = truth & (objects != 1 + rng.integers(number))
    rows, columns = np.indices(truth.shape)
    y, x = rng.integers(12, len(truth) - 12, 2)
    added = truth | ((rows - y) ** 2 + (columns - x) ** 2 < 64)
    grown, shrunk = ndimage.binary_dilation(truth, iterations=3), ndimage.binary_erosion(truth, iterations=3)
    found = {mask.tobytes(): mask for mask in (truth, grown, shrunk, missed, added)}
    masks = [list(found.values())[i] for i in rng.permutation(len(found))]
    return np.asarray(masks[: max(2, int(rng.integers(2, 6)))], bool)


def _question(name: str, z: int, window: Window, context: Window, masks: Array) -> Question:
    return Question(id=name, z=z, window=window, context=context, tile=window, digests=candidate_digests(masks))
