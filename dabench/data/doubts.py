"""What is strange about a split that opens without an error: said by ``data add``, ``data verify`` and plans."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dabench.data.blocks import voxel_of
from dabench.data.origin import absent_of, blank_slices, names_of, need_seen, need_stored, notes_of, spread
from dabench.data.pairing import Numbering, shift
from dabench.errors import DataError

if TYPE_CHECKING:
    from dabench.interfaces import Split, Volume

#: Share by which two voxel sizes may differ without a word.
_TOLERANCE = 0.01
Voxel = tuple[float, float, float]


def doubts(split: Split) -> list[str]:
    """Files that were left out, chunks that are not stored, gaps in numbers of slices, another voxel of the labels.

    Opens and decodes nothing.
    """
    said = [*notes_of(split.images), *_numbers("images", split.images, neighbours=split.neighbours)]
    if (absent := absent_of(split.images)).missing:
        said.append(f"images: {absent}.")
    if split.labels is not None:
        said += [*notes_of(split.labels), *_numbers("labels", split.labels, neighbours=split.neighbours)]
        if by := shift(names_of(split.images), names_of(split.labels)):
            said.append(f"labels: the numbers in their file names are shifted by {by:+d} from those of the images.")
        if other := _other_voxel(split.labels, split.voxel):
            said.append(
                f"labels: their file states a voxel size of {shown(other)} nm, "
                f"but the images have {shown(split.voxel)} nm."
            )
    return list(dict.fromkeys(said))


def image_notes(images: Volume, name: str, most_blank: float, *, neighbours: bool = True) -> list[str]:
    """What of images is not stored, blank or left out, for a plan; 16 slices are looked at.

    Without ``neighbours`` slices are not meant to lie next to each other, and numbers may have gaps.

    Raises:
        DataError: more than a share of them is blank or not stored; names the flag that allows it.
    """
    absent = need_stored(images, name, most_blank, "--blank")
    said = [*notes_of(images), *_numbers("images", images, neighbours=neighbours)]
    said += [f"images: {absent}."] if absent.missing else []
    looked_at = spread(images.shape[0])
    if blank := blank_slices(images, looked_at):
        need_seen(len(blank), len(looked_at), name, most_blank, "--blank")
        said.append(f"images: {len(blank)} of {len(looked_at)} slices that were looked at hold one value only.")
    return said


def same_voxel(one: Voxel, other: Voxel) -> bool:
    """Whether two voxel sizes differ by at most 1 % along each axis."""
    return all(abs(a - b) <= _TOLERANCE * b for a, b in zip(one, other, strict=True))


def shown(voxel: Voxel) -> str:
    """A voxel size as ``--voxel`` takes it."""
    return ",".join(f"{size:g}" for size in voxel)


def _numbers(what: str, volume: Volume, *, neighbours: bool) -> list[str]:
    said = Numbering.of(names_of(volume)).doubts()
    return [f"{what}: {text}." for text in said if neighbours or not text.startswith("no slice")]


def _other_voxel(labels: Volume, voxel: Voxel) -> Voxel | None:
    try:
        said = voxel_of(labels)
    except DataError:
        return None  # a size that means nothing says nothing
    return None if said is None or same_voxel(said, voxel) else said
