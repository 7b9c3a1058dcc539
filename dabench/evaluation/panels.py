"""Pictures of one slice: what was found, missed and made up, and contours over the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dabench.errors import DataError
from dabench.files.atomic import write_with
from dabench.types import IGNORE

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

    from dabench.interfaces import Volume
    from dabench.types import Array

Colour = tuple[int, int, int]
#: Longest side of a picture of `write_slices`, in pixels: enough to judge by eye, small enough for every run to keep.
_SIDE = 640
#: Found, missed, made up: true positive, false negative, false positive.
GREEN, RED, BLUE = (0, 200, 80), (230, 40, 40), (50, 90, 255)
_LEGEND = "green: true positive   red: false negative (missed)   blue: false positive"


@dataclass(frozen=True)
class Panel:
    """One picture of a row of panels: a mask ``(H, W)`` bool with its method's name and, where known, its Dice."""

    title: str
    prediction: Array = field(repr=False)
    dice: float | None = None

    @property
    def caption(self) -> str:
        """Title with Dice in per cent."""
        return self.title if self.dice is None else f"{self.title}  (Dice {100 * self.dice:.1f})"


def grey(image: Array) -> Array:
    """``(H, W)`` float in [0, 1] or uint8 as ``(H, W, 3)`` uint8."""
    levels = image if image.dtype == np.uint8 else np.clip(np.nan_to_num(image) * 255, 0, 255).astype(np.uint8)
    return np.repeat(levels[:, :, None], 3, axis=2)


def tint(picture: Array, mask: Array, colour: Colour, strength: float = 0.45) -> Array:
    """A copy of an ``(H, W, 3)`` uint8 picture with the pixels of a mask drawn towards a colour."""
    result = picture.copy()
    mixed = picture[mask] * (1 - strength) + np.asarray(colour) * strength
    result[mask] = np.rint(mixed).astype(np.uint8)
    return result


def overlay(image: Array, prediction: Array, label: Array) -> Array:
    """True positives green, false negatives red, false positives blue, over the image.

    Args:
        image: ``(H, W)`` float in [0, 1] or uint8.
        prediction: ``(H, W)`` bool.
        label: ``(H, W)`` 0/1/255; ignored pixels stay grey.

    Returns:
        ``(H, W, 3)`` uint8.
    """
    _same_shape(image, prediction, label)
    known, truth, predicted = label != IGNORE, label == 1, prediction != 0
    picture = tint(grey(image), truth & predicted, GREEN)
    picture = tint(picture, truth & ~predicted, RED)
    return tint(picture, known & ~truth & predicted, BLUE)


def contour(mask: Array, width: int = 1) -> Array:
    """``(H, W)`` bool: the pixels of a mask that lie within ``width`` of its edge (the slice's border is no edge)."""
    inside = mask != 0
    for _ in range(width):
        framed = np.pad(inside, 1, mode="edge")
        inside = inside & framed[:-2, 1:-1] & framed[2:, 1:-1] & framed[1:-1, :-2] & framed[1:-1, 2:]
    edge: Array = (mask != 0) & ~inside
    return edge


def draw_contours(image: Array, masks: Mapping[Colour, Array], width: int = 1) -> Array:
    """The image ``(H, W)`` with each mask's contour in its colour; ``(H, W, 3)`` uint8."""
    picture = grey(image)
    for colour, mask in masks.items():
        _same_shape(image, mask)
        picture[contour(mask, width)] = colour
    return picture


def write_panels(path: Path, image: Array, label: Array, panels: Sequence[Panel], title: str = "") -> None:
    """Write one PNG, atomically: the image with the truth's contour, then one overlay a method, side by side.

    Args:
        path: where.
        image: ``(H, W)`` float in [0, 1] or uint8.
        label: ``(H, W)`` 0/1/255.
        panels: what to show, left to right.
        title: over all of them (domain and slice).

    Raises:
        DataError: image, label and predictions differ in shape.
    """
    pictures = [(draw_contours(image, {GREEN: label == 1}, 2), "image and truth")]
    pictures += [(overlay(image, panel.prediction, label), panel.caption) for panel in panels]
    figure = _row_of(pictures, title)
    write_with(path, lambda part: figure.savefig(part, format="png", dpi=110))


def pick_slices(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Slices worth a look, by why: the worst, the median and the best Dice; fewer when there are fewer slices."""
    ranked = sorted((row["dice"], row["slice"]) for row in rows if not row.get("left_out") and "dice" in row)
    picked: dict[str, int] = {}
    for why, place in (("median", len(ranked) // 2), ("worst", 0), ("best", -1)):
        if ranked and ranked[place][1] not in picked.values():
            picked[why] = int(ranked[place][1])
    return picked


def write_comparison(
    folder: Path,
    images: Volume,
    labels: Volume | None,
    predictions: Mapping[str, Path],
    scores: Mapping[str, Sequence[Mapping[str, Any]]],
) -> list[Path]:
    """Panels of several methods side by side, for the slices that `pick_slices` takes from the last method's rows.

    Args:
        folder: where ``slice-0012-median.png`` and the like are written.
        images: ``(H, W)`` slices, float in [0, 1] or uint8.
        labels: 0/1/255; without labels nothing is written.
        predictions: TIFF stack of masks (non-zero = foreground) by method, in the order of the panels.
        scores: per-slice rows by method, with ``slice``, ``dice`` and ``left_out``.

    Returns:
        The files, the median slice first.
    """
    if labels is None or not predictions:
        return []
    dices = {name: {row["slice"]: row.get("dice") for row in scores[name]} for name in predictions}
    files = []
    for why, z in pick_slices(scores[list(predictions)[-1]]).items():
        panels = [Panel(name, _mask(path, z), dices[name].get(z)) for name, path in predictions.items()]
        files.append(folder / f"slice-{z:04d}-{why}.png")
        write_panels(files[-1], images.read(z), labels.read(z), panels, f"slice {z} ({why} Dice)")
    return files


def even_slices(depth: int, count: int = 3) -> list[int]:
    """Slices spread evenly over a split: no method has a say in them, so that all show the same ones."""
    return sorted({(2 * k + 1) * depth // (2 * count) for k in range(count)})


def write_slices(
    folder: Path, images: Volume, labels: Volume | None, prediction: Path, rows: Sequence[Mapping[str, Any]]
) -> list[Path]:
    """One picture a slice of one prediction, and one of the truth, for `even_slices`: they compare across runs.

    Args:
        folder: where ``slice-0012.jpg`` (overlay) and ``truth-0012.jpg`` (image and the truth's contour) are written.
        images: ``(H, W)`` slices, float in [0, 1] or uint8.
        labels: 0/1/255; without labels nothing is written.
        prediction: TIFF stack of masks (non-zero = foreground).
        rows: per-slice rows with ``slice``, ``dice`` and ``left_out``; the Dice becomes the file's comment.
    """
    if labels is None:
        return []
    dices = {row["slice"]: row["dice"] for row in rows if not row.get("left_out") and "dice" in row}
    files = []
    for z in even_slices(images.shape[0]):
        image, label = images.read(z), labels.read(z)
        dice = f"Dice {100 * dices[z]:.1f}" if z in dices else ""
        files += [folder / f"slice-{z:04d}.jpg", folder / f"truth-{z:04d}.jpg"]
        _write_jpeg(files[-2], overlay(image, _mask(prediction, z), label), dice)
        width = max(1, max(image.shape) // 256)  # still seen when the picture is small
        _write_jpeg(files[-1], draw_contours(image, {GREEN: label == 1}, width), "")
    return files


def _write_jpeg(path: Path, picture: Array, comment: str) -> None:
    from PIL import Image

    small = Image.fromarray(picture)
    small.thumbnail((_SIDE, _SIDE))
    write_with(path, lambda part: small.save(part, "JPEG", quality=80, comment=comment.encode()))


def _mask(path: Path, z: int) -> Array:
    import tifffile

    mask: Array = tifffile.imread(path, key=z) != 0
    return mask


def _row_of(pictures: Sequence[tuple[Array, str]], title: str) -> Figure:
    """A figure without pyplot, so that no window system and no global state is touched."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height, width = pictures[0][0].shape[:2]
    figure = Figure(figsize=(4.5 * len(pictures), 4.5 * height / width + 0.9), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (picture, caption) in zip(figure.subplots(1, len(pictures), squeeze=False)[0], pictures, strict=True):
        axes.imshow(picture)
        axes.set_title(caption, fontsize=10)
        axes.set_axis_off()
    figure.suptitle(title, fontsize=11)
    figure.supxlabel(_LEGEND, fontsize=9)
    return figure


def _same_shape(image: Array, *others: Array) -> None:
    for other in others:
        if other.shape != image.shape:
            raise DataError(f"the image has shape {image.shape}, a mask over it {other.shape}.")
