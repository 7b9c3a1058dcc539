"""Connected components of a volume of any size, equal to those of the whole volume labelled at once."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dabench.data.blocks import block_grid, read_block
from dabench.data.volumes import Wrapper
from dabench.errors import DataError
from dabench.interfaces.observer import Progress
from dabench.ops.joining import groups
from dabench.types import Array, Block
from dabench.volumes.instances.pieces import PieceStore, binary_box, checksum, contacts, label_box, pieces_of
from dabench.volumes.instances.settings import Labelling, Shape

if TYPE_CHECKING:
    from dabench.interfaces import Volume
    from dabench.volumes.output.sink import BlockSink

#: Faces of boxes that are held in memory while joining.
_FACES = 64


@dataclass(frozen=True)
class Objects:
    """All objects of a volume: what each box's pieces are called.

    Args:
        settings: how they were found.
        count: objects that are kept; their ids are 1..count in raster order of their first voxels.
        names: ``(P,)`` the id of each piece of all boxes in turn, 0 where its object was too small.
        offsets: ``(boxes + 1,)`` where each box's pieces begin in ``names``.
        checks: ``(boxes,)`` CRC of each box's mask.
    """

    settings: Labelling
    count: int
    names: Array = field(repr=False)
    offsets: Array = field(repr=False)
    checks: Array = field(repr=False)


class LabelledVolume(Wrapper):
    """A mask seen as ids: each box is labelled again when it is read, so that ids need no room on disk."""

    def __init__(self, mask: Volume, objects: Objects) -> None:
        """``mask`` must be what ``objects`` were found in."""
        super().__init__(mask)
        self.objects = objects

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint32, or uint64 past four billion objects."""
        return self.objects.names.dtype

    @property
    def chunks(self) -> Shape:
        """The boxes in which it is labelled; reading a part of one costs as much as all of it."""
        return self.objects.settings.chunk

    def read(self, z: int) -> Array:
        """Slice ``z``; costs a whole layer of boxes."""
        slice_: Array = self.read_block(Block(z, 0, 0, 1, *self.shape[1:]))[0]
        return slice_

    def read_block(self, block: Block) -> Array:
        """Ids of any box. Raises DataError if the mask is not the one that was labelled."""
        spans = [
            range(at // step, -(-(at + length) // step))
            for at, length, step in zip((block.z, block.y, block.x), block.shape, self.chunks, strict=True)
        ]
        result = np.zeros(block.shape, self.dtype)
        for place in product(*spans):
            own = self._block(place)
            here, there = _overlap(block, own)
            result[here] = self._label(place, own)[there]
        return result

    def _block(self, place: tuple[int, ...]) -> Block:
        starts = [at * step for at, step in zip(place, self.chunks, strict=True)]
        sizes = [min(step, n - at) for at, step, n in zip(starts, self.chunks, self.shape, strict=True)]
        return Block(*starts, *sizes)

    def _label(self, place: tuple[int, ...], block: Block) -> Array:
        box = int(np.ravel_multi_index(place, self.objects.settings.grid))
        binary = binary_box(read_block(self.volume, block), block)
        if checksum(binary) != self.objects.checks[box]:
            raise DataError(
                f"the mask changed since it was labelled, or the scratch folder belongs to another mask (at {block}).",
                "Start the labelling again, with an empty scratch folder.",
            )
        begin, end = self.objects.offsets[box : box + 2]
        if begin == end:  # no piece in this box
            return np.zeros(block.shape, self.dtype)
        names: Array = np.concatenate([np.zeros(1, self.dtype), self.objects.names[begin:end]])
        ids: Array = names[label_box(binary, self.objects.settings)]
        return ids


def find_objects(
    mask: Volume, settings: Labelling, min_voxels: int, scratch: Path, progress: Progress | None = None
) -> Objects:
    """Find the objects of a volume, one box in memory at a time.

    Every box is labelled on its own; what is kept of it (sizes, first voxels, the ids on its six sides) goes to
    ``scratch``, which a run that was killed finds again. Pieces that touch across planes, edges and corners of boxes
    are joined by one graph over all pieces.

    Args:
        mask: not 0 is foreground.
        settings: dimensions, neighbours, boxes.
        min_voxels: objects with fewer voxels than this are dropped (0 and 1 keep all).
        scratch: a folder for intermediate results; they are left there.
        progress: called with (boxes done, boxes in all).

    Raises:
        DataError: the mask is not of whole numbers, or ``scratch`` holds another labelling.
    """
    store = PieceStore(scratch, settings)
    blocks = list(block_grid(settings.shape, settings.chunk))
    for box, block in enumerate(blocks):
        if not store.has(box):
            store.save(box, pieces_of(binary_box(read_block(mask, block), block), block, settings))
        if progress:
            progress(box + 1, len(blocks))
    return _join(store, settings, len(blocks), min_voxels)


def label_volume(
    mask: Volume,
    sink: BlockSink,
    dims: int,
    min_voxels: int,
    chunk: Shape,
    scratch: Path,
    connectivity: int | None = None,
    progress: Progress | None = None,
) -> int:
    """Write the ids of all objects of a volume, as if it had been labelled at once.

    Args:
        mask: not 0 is foreground.
        sink: takes uint32 boxes (uint64 past four billion objects) of size ``chunk``, in z, y, x order.
        dims: 3: objects go through slices; 2: every slice on its own.
        min_voxels: objects with fewer voxels than this are dropped; 16 in 2-D is the published rule (15 and fewer go).
        chunk: box that is in memory at once; the ids do not depend on it.
        scratch: a folder for intermediate results, one a labelling; removed when all is written. A run that was killed
            goes on with the boxes it finds there; writing starts again from the first box.
        connectivity: 26 (default), 18 or 6 neighbours in 3-D, 8 (default) or 4 in 2-D.
        progress: called with (boxes done, boxes in all); every box counts twice, found and written.

    Returns:
        The number of objects; their ids are 1..N in raster order (z, y, x) of their first voxels.

    Raises:
        DataError: the mask is not of whole numbers or changed meanwhile, or ``scratch`` holds another labelling.
        ConfigError: dimensions or neighbours that do not exist.
    """
    settings = Labelling.of(mask.shape, dims, chunk, connectivity)
    found: Progress | None = (lambda done, count: progress(done, 2 * count)) if progress else None
    objects = find_objects(mask, settings, min_voxels, scratch, found)
    labelled = LabelledVolume(mask, objects)
    count = objects.checks.size
    for box, block in enumerate(block_grid(settings.shape, settings.chunk)):
        sink.write_block(block, labelled.read_block(block))
        if progress:
            progress(count + box + 1, 2 * count)
    shutil.rmtree(scratch, ignore_errors=True)
    return objects.count


def _join(store: PieceStore, settings: Labelling, boxes: int, min_voxels: int) -> Objects:
    sizes = [store.read(box, "sizes") for box in range(boxes)]
    first = np.concatenate([store.read(box, "first") for box in range(boxes)])
    checks = np.array([store.read(box, "check") for box in range(boxes)], np.uint32)
    offsets = np.cumsum([0, *(s.size for s in sizes)])
    group = groups(first.size, _all_contacts(store, settings, offsets))
    whole = np.bincount(group, np.concatenate(sizes)).astype(np.int64)
    begin = np.full(whole.size, np.iinfo(np.int64).max)
    np.minimum.at(begin, group, first)
    order = np.argsort(begin)
    kept = order[whole[order] >= min_voxels]
    ids = np.zeros(whole.size, np.uint32 if kept.size < 2**32 else np.uint64)
    ids[kept] = np.arange(1, kept.size + 1)
    return Objects(settings, kept.size, ids[group], offsets, checks)


def _all_contacts(store: PieceStore, settings: Labelling, offsets: Array) -> Array:
    """Pairs of pieces, counted over all boxes from 0, that touch across a border."""
    face = lru_cache(_FACES)(store.read)
    found = [np.zeros((0, 2), np.int64)]
    grid, directions = settings.grid, settings.directions()
    for one, place in enumerate(np.ndindex(*grid)):
        for direction in directions:
            beside = [at + step for at, step in zip(place, direction, strict=True)]
            if not all(0 <= at < count for at, count in zip(beside, grid, strict=True)):
                continue
            other = int(np.ravel_multi_index(beside, grid))
            if offsets[one] == offsets[one + 1] or offsets[other] == offsets[other + 1]:
                continue
            found.append(contacts(face, one, other, direction, settings) - 1 + [offsets[one], offsets[other]])
    return np.concatenate(found)


def _overlap(asked: Block, own: Block) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Where a box's part of ``own`` lies, in ``asked`` and in ``own``."""
    here, there = [], []
    for wanted, found in zip(asked.slices, own.slices, strict=True):
        begin, end = max(wanted.start, found.start), min(wanted.stop, found.stop)
        here.append(slice(begin - wanted.start, end - wanted.start))
        there.append(slice(begin - found.start, end - found.start))
    return tuple(here), tuple(there)
