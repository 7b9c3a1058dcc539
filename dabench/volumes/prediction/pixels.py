"""Whether a volume is brought to the pixel size that a model knows, and what is said of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dabench.ops.resampling import TOLERANCE, Resampling
from dabench.runs.pixels import FAR, far, nm

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dabench.models import ModelCard
    from dabench.types import Array
    from dabench.volumes.prediction.request import PixelSize, Voxel


def matching(
    asked: PixelSize, plane: tuple[int, int], voxel: Voxel | None, card: ModelCard
) -> tuple[Resampling | None, tuple[str, ...]]:
    """What brings slices to the pixels of a model, None where they are seen as they are; and what a user should know.

    Args:
        asked: ``match`` or ``native``.
        plane: (rows, columns) of a slice.
        voxel: nm (z, y, x) from the file or the user; None if not known.
        card: the model's.
    """
    known, size = card.pixel_size, voxel and voxel[1:]
    if known is None or size is None:
        whose = (
            f"the model was trained on pixels of {nm(known)}, but the pixel size of the images is unknown"
            if known
            else _NO_CARD
        )
        return None, (f"{whose}: sizes are not matched; {_GIVE if known else _TRAIN}",) if asked == "match" else ()
    sizes = f"pixels of {nm(size)}, but the model was trained on {nm(known)}"
    found = Resampling.between(plane, size, known) if asked == "match" else None
    notes = []
    if found is not None:
        notes.append(f"{sizes}: slices are resampled to that size, and results back (--pixel-size native: not)")
    elif far(size, known) > 1 + TOLERANCE:
        notes.append(f"{sizes}, and nothing is resampled (--pixel-size {asked})")
    if far(size, known) > FAR:
        notes.append(
            f"{sizes}: {far(size, known):.1f} times apart, so the images differ much from what the model was trained on"
        )
    return found, tuple(notes)


_NO_CARD = "the model's card does not state its pixel size"
_GIVE = "give it: --voxel z,y,x (nm), in Python voxel=(z, y, x)"
_TRAIN = "a run of this version records it (dabench models show)"


def seen_points(points: Mapping[int, Array] | None, resampling: Resampling | None) -> Mapping[int, Array] | None:
    """Prompts by slice, on the pixels that the model sees."""
    if points is None or resampling is None:
        return points
    return {z: resampling.points(xy) for z, xy in points.items()}
