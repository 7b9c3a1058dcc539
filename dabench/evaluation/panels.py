"""Pictures of one slice: what was found, missed and made up, and contours over the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dabench.files.atomic import atomic, write_with
from dabench.ops.pictures import GREEN, captioned_row, draw_contours, jpeg, overlay

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

    from dabench.interfaces import Volume
    from dabench.types import Array

#: Longest side of a picture of `write_slices`, in pixels: enough to judge by eye, small enough for every run to keep.
_SIDE = 640
#: What the colours of an overlay mean.
LEGEND = "green: true positive   red: false negative (missed)   blue: false positive"
#: Strips of noise and contours: smaller than a PNG, and contours of full colour.
_JPEG = {"quality": 85, "optimize": True, "subsampling": 0}


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


def write_panels(path: Path, image: Array, label: Array, panels: Sequence[Panel], title: str = "") -> None:
    """Write one picture, atomically: the image with the truth's contour, then one overlay per method, side by side.

    Args:
        path: where; its suffix says which kind, ``.jpg`` or ``.png``.
        image: ``(H, W)`` float in [0, 1] or uint8.
        label: ``(H, W)`` 0/1/255.
        panels: what to show, left to right.
        title: over all of them (domain and slice).

    Raises:
        DataError: image, label and predictions differ in shape.
    """
    pictures = [(draw_contours(image, {GREEN: label == 1}, 2), "image and truth")]
    pictures += [(overlay(image, panel.prediction, label), panel.caption) for panel in panels]
    row = captioned_row(pictures, title, LEGEND)
    kind, options = ("JPEG", _JPEG) if path.suffix == ".jpg" else ("PNG", {})
    write_with(path, lambda part: row.save(part, kind, **options))


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
        folder: where ``slice-0012-median.jpg`` and the like are written.
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
        files.append(folder / f"slice-{z:04d}-{why}.jpg")
        write_panels(files[-1], images.read(z), labels.read(z), panels, f"slice {z} ({why} Dice)")
    return files


def even_slices(depth: int, count: int = 3) -> list[int]:
    """Slices spread evenly over a split: they do not depend on the method, so that all show the same ones."""
    return sorted({(2 * k + 1) * depth // (2 * count) for k in range(count)})


def write_slices(
    folder: Path, images: Volume, labels: Volume | None, prediction: Path, rows: Sequence[Mapping[str, Any]]
) -> list[Path]:
    """One picture per slice of one prediction, and one of the truth, for `even_slices`: comparable across runs.

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
        _write(files[-2], jpeg(overlay(image, _mask(prediction, z), label), side=_SIDE, comment=dice))
        width = max(1, max(image.shape) // 256)  # still seen when the picture is small
        _write(files[-1], jpeg(draw_contours(image, {GREEN: label == 1}, width), side=_SIDE))
    return files


def _write(path: Path, data: bytes) -> None:
    with atomic(path) as part:
        part.write_bytes(data)


def _mask(path: Path, z: int) -> Array:
    import tifffile

    mask: Array = tifffile.imread(path, key=z) != 0
    return mask


def grid_of(rows: Sequence[Sequence[tuple[Array, str]]], title: str, legend: str) -> Figure:
    """Pictures ``(H, W, 3)`` uint8 with captions, in rows of equal length, for print.

    A figure without pyplot, so that no window system and no global state is touched.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = len(rows[0])
    heights = [row[0][0].shape[0] / row[0][0].shape[1] for row in rows]
    figure = Figure(figsize=(4.5 * columns, sum(4.5 * height + 0.3 for height in heights) + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(rows), columns, squeeze=False, gridspec_kw={"height_ratios": heights})
    for line, row in zip(grid, rows, strict=True):
        for axes, (picture, caption) in zip(line, row, strict=True):
            axes.imshow(picture)
            axes.set_title(caption, fontsize=10)
            axes.set_axis_off()
    figure.suptitle(title, fontsize=11)
    figure.supxlabel(legend, fontsize=9)
    return figure
