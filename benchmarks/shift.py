"""How much a mask depends on where the grid of tiles lies: profiles, and windows and overlaps beside them.

A slice is predicted, and the same slice without its first rows and columns; the masks are compared (Dice, pixels of all
slices together) where both see tissue all around. Beside that the passes and the Dice to the labels.

    dabench run --method source-only --task human2rat --data phantom --preset tiny
    dabench run --method source-only --task lucchi2vnc --preset tiny
    python benchmarks/shift.py RUN RUN --output benchmarks/results/shift.json
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from numpy.typing import NDArray

from dabench.components.registry import Registry
from dabench.data.intensity import UnitVolume
from dabench.data.phantom import make_phantom
from dabench.data.volumes import ArrayVolume
from dabench.files.workspace import Workspace
from dabench.inference import PROFILES, Profile, TileGrid, Tiling, predict_slice
from dabench.interfaces import Predictor
from dabench.models import load_model
from dabench.tracking.environment import capture

Pixels = NDArray[Any]
SHIFTS = ((0, 40), (40, 40), (24, 24))
#: Side of the slices, and which are taken of the phantom and of each stack: part, (first row, first column), slices.
SIDE, SLICES = 384, (1, 3, 5)
STACKS = {"lucchi": ("test", (100, 300), (3, 13, 23)), "vnc": ("stack1", (200, 200), (3, 10, 16))}


@dataclass(frozen=True)
class Candidate(Profile):
    """Any window and overlap. Windows: ``flat``; ``hann``; ``gauss``, standard deviation an eighth of a tile;
    ``core``, the middle half alone."""

    window: str = "flat"
    overlap_share: float = 0.5

    def step(self, tile: int) -> int:
        return round(tile * (1 - self.overlap_share))

    def weights(self, tile: int) -> Pixels:
        place = (np.arange(tile) + 0.5) / tile - 0.5
        windows = {
            "flat": np.ones(tile),
            "hann": np.cos(np.pi * place) ** 2,
            "gauss": np.exp(-0.5 * (8 * place) ** 2),
            "core": np.where(np.abs(place) < 0.25, 1, 1e-6),
        }
        weights: Pixels = windows[self.window]
        return weights


CANDIDATES = [
    Candidate(f"{window}, overlap {share}", 0, (0,), window=window, overlap_share=value)
    for share, value in (("1/4", 1 / 4), ("1/3", 1 / 3), ("1/2", 1 / 2), ("2/3", 2 / 3))
    for window in ("flat", "hann", "gauss", "core")[: 4 if value == 1 / 2 else 3]
    if (window, value) not in {("flat", 1 / 2), ("hann", 1 / 2)}  # the profiles ``fast`` and ``hann``
]


@dataclass(frozen=True)
class Shifted:
    """A predictor and how slices are cut for it."""

    predictor: Predictor
    tiling: Tiling

    def mask(self, image: Pixels) -> Pixels:
        """``(H, W)`` bool."""
        return predict_slice(self.predictor, image, self.tiling).mask()

    def compare(self, images: Sequence[Pixels], shifts: Sequence[tuple[int, int]], margin: int) -> list[float]:
        """For each shift (y, x) the Dice of two masks, ``margin`` from the rim: of slices, and without their first rows
        and columns."""
        whole, inner = [self.mask(image) for image in images], np.s_[margin:-margin, margin:-margin]
        return [
            dice([(mask[y:, x:][inner], self.mask(i[y:, x:])[inner]) for mask, i in zip(whole, images, strict=True)])
            for y, x in shifts
        ]


def dice(pairs: Sequence[tuple[Pixels, Pixels]]) -> float:
    """Of all pixels of pairs of masks together."""
    both, either = sum((a & b).sum() for a, b in pairs), sum(a.sum() + b.sum() for a, b in pairs)
    return float(2 * both / max(1, either))


def stacks() -> dict[str, tuple[list[Pixels], list[Pixels]]]:
    """Slices in [0, 1] with their labels: of the phantom, and of real stacks where they are at hand."""
    phantom = make_phantom("phantom-rat", "test", 0, (6, SIDE, SIDE))
    found = {"phantom-rat": (unit(phantom.images, SLICES, (0, 0)), [phantom.labels[z] > 0 for z in SLICES])}
    for name, (part, corner, slices) in STACKS.items():
        images, labels = (Workspace.find().data / name / f"{part}_{what}.tif" for what in ("images", "labels"))
        if images.is_file():
            cut = [plane > 0 for plane in cropped(tifffile.imread(labels), slices, corner)]
            found[name] = unit(tifffile.imread(images), slices, corner), cut
    return found


def unit(volume: Pixels, slices: Sequence[int], corner: tuple[int, int]) -> list[Pixels]:
    """Grey values as runs see them."""
    images = UnitVolume(ArrayVolume(volume), "volume")
    return cropped({z: images.read(z) for z in slices}, slices, corner)


def cropped(planes: Any, slices: Sequence[int], corner: tuple[int, int]) -> list[Pixels]:
    y, x = corner
    return [planes[z][y : y + SIDE, x : x + SIDE] for z in slices]


def measure(predictor: Predictor, tile: int, images: list[Pixels], labels: list[Pixels]) -> list[dict[str, Any]]:
    """One row for each profile and candidate; passes are those of a slice of 4096 x 4096 pixels, beside ``fast``."""
    rows = []
    plain = passes(Tiling(tile, PROFILES["fast"]))
    for profile in [*PROFILES.values(), *CANDIDATES]:
        shifted = Shifted(predictor, Tiling(tile, profile))
        found = shifted.compare(images, SHIFTS, tile // 2)
        agreement = {f"{y},{x}": value for (y, x), value in zip(SHIFTS, found, strict=True)}
        score = dice([(shifted.mask(image), label) for image, label in zip(images, labels, strict=True)])
        ratio = passes(shifted.tiling) / plain
        rows.append({"profile": profile.name, "passes": ratio, "agreement": agreement, "dice": score})
        print(rows[-1], flush=True)
    return rows


def passes(tiling: Tiling) -> int:
    return len(TileGrid.whole((4096, 4096), tiling)) * len(tiling.profile.turns)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="runs or model files")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    registry, found = Registry.load(), dict[str, Any]()
    for reference in options.models:
        model = load_model(reference, registry, Workspace.find())
        for name, (images, labels) in stacks().items():
            print(model.card.name, name)
            rows = measure(model.predictor, model.card.tile, images, labels)
            found.setdefault(model.card.name, {"tile": model.card.tile, "stacks": {}})["stacks"][name] = rows
    command = " ".join(["python benchmarks/shift.py", *options.models])
    about = {"command": command, "side": SIDE, "stacks": {"phantom-rat": ("test", (0, 0), SLICES), **STACKS}}
    report = {"about": about, "environment": capture(), "models": found}
    text = json.dumps(report, indent=1)
    if options.output:
        options.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
