"""Does DRLSE bring a biased mask nearer to the truth? A table, and a picture of initial and refined contours.

    python benchmarks/levelset_picture.py --data DATA --slices 4 --picture docs/images/upo_contours.png

The initial masks are the labels eroded or dilated by a disc of 2 or 4 px or shifted by 3 px: the bias that UPO
(Prefer-DAS, IV.F) is meant to mend, since source and target annotators drew the boundary at different membranes.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from scipy import ndimage

from dabench.evaluation.panels import row_of
from dabench.ops.levelset import LevelSetSettings, Refined, refine_masks
from dabench.ops.pictures import BLUE, GREEN, RED, draw_contours

Array = np.ndarray[Any, np.dtype[Any]]
STACKS = {"lucchi": ("lucchi/train", slice(0, 33)), "vnc": ("vnc/stack1", slice(0, 12))}
CHANGES = ("-4", "-2", "0", "+2", "+4", "shift 3")
PANELS = {"lucchi": (slice(250, 390), slice(730, 950)), "vnc": (slice(565, 735), slice(290, 500))}


def load(data: Path, domain: str, slices: int) -> tuple[Array, Array]:
    """Evenly spread slices of a training stack: images float32 [0, 1], labels bool."""
    stem, part = STACKS[domain]
    images = tifffile.imread(data / f"{stem}_images.tif")[part]
    labels = tifffile.imread(data / f"{stem}_labels.tif")[part]
    z = np.linspace(0, len(images) - 1, slices).round().astype(int)
    return (images[z] / 255.0).astype(np.float32), labels[z] > 0


def biased(labels: Array, change: str) -> Array:
    """Labels eroded, dilated or shifted, slice by slice."""
    if change.startswith("shift"):
        return np.roll(labels, (3, 3), axis=(1, 2))
    radius = int(change)
    if radius == 0:
        return labels.copy()
    y, x = np.mgrid[-abs(radius) : abs(radius) + 1, -abs(radius) : abs(radius) + 1]
    disc = x * x + y * y <= radius * radius
    morph = ndimage.binary_dilation if radius > 0 else ndimage.binary_erosion
    return np.stack([morph(label, disc) for label in labels])


def dice(a: Array, b: Array) -> float:
    """Dice over the whole stack."""
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def refine(images: Array, masks: Array, balloon: Any) -> Refined:
    """Refine with the reference numbers."""
    return refine_masks(torch.from_numpy(images), torch.from_numpy(masks), LevelSetSettings(balloon=balloon))


def table(data: Path, slices: int) -> None:
    """Print Dice to truth before and after, per domain, bias and direction of the area term."""
    print("domain  mask     initial  " + "".join(f"{b:>22}" for b in ("expand", "shrink", "none")))
    for domain in STACKS:
        images, labels = load(data, domain, slices)
        for change in CHANGES:
            masks, cells = biased(labels, change), []
            started = time.process_time()
            for balloon in ("expand", "shrink", "none"):
                out = refine(images, masks, balloon)
                kept = f"{int(out.rejected.sum())}/{int(out.components.sum())} kept"
                cells.append(f"{dice(out.masks.numpy(), labels):.3f} ({kept})")
            seconds = (time.process_time() - started) / 3 / slices
            line = "".join(f"{cell:>22}" for cell in cells)
            print(f"{domain:7} {change:8} {dice(masks, labels):.3f}   {line}   {seconds:.1f} CPU s a slice", flush=True)


def picture(data: Path, path: Path) -> None:
    """Draw truth, an eroded mask's contour and the refined contour; and the same for a dilated one."""
    cases = (("-4", "expand", "eroded 4 px, expands"), ("+4", "shrink", "dilated 4 px, shrinks"))
    pictures = []
    for domain in STACKS:
        images, labels = load(data, domain, 3)
        rows, columns = PANELS[domain]
        image, label = images[1:2, rows, columns], labels[1:2, rows, columns]
        for change, balloon, title in cases:
            initial = biased(labels[1:2], change)[:, rows, columns]
            refined = refine(image, initial, balloon).masks.numpy()
            shown = draw_contours(image[0], {GREEN: label[0], RED: initial[0], BLUE: refined[0]})
            scores = f"Dice to truth {dice(initial, label):.3f} → {dice(refined, label):.3f}"
            pictures.append((shown, f"{domain}: labels {title}\n{scores}"))
    figure = row_of(pictures, "", "DRLSE: initial (red), refined (blue), truth (green)")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80, pil_kwargs={"optimize": True})


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("DABENCH_DATA", "data")))
    parser.add_argument("--slices", type=int, default=4, help="slices a domain for the table; 0 leaves the table out")
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    if options.picture:
        picture(options.data, options.picture)
    if options.slices:
        table(options.data, options.slices)


if __name__ == "__main__":
    main()
