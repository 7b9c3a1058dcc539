"""The objects of a file measured: a prediction, or any mask or volume of ids; a mask is labelled first."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from dabench.components.registry import Registry
from dabench.data.blocks import chunks_of, voxel_of
from dabench.data.volumes import open_volume
from dabench.errors import ConfigError
from dabench.interfaces import Volume
from dabench.interfaces.observer import Observer
from dabench.volumes.instances import (
    LabelledVolume,
    Labelling,
    LinkedVolume,
    SplitSlices,
    find_objects,
    least_voxels,
    most_voxels,
)
from dabench.volumes.instances.parts import IDS, MASK, first_slice, part_of
from dabench.volumes.instances.settings import default_chunk
from dabench.volumes.measuring.content import content_of
from dabench.volumes.measuring.filtering import OfSize
from dabench.volumes.measuring.measure import measure
from dabench.volumes.measuring.table import Measures

_Voxel = tuple[float, float, float]
#: Share of a volume that no tissue's mitochondria fill.
_TOO_FULL = 0.9


@dataclass(frozen=True)
class Measuring:
    """What of a file is an object, and which are measured.

    Args:
        content: what the file holds: ``mask``, ``ids`` or ``auto``.
        dims: 3: objects go through slices; 2: each slice on its own; None: 2 for one slice, else 3.
        split: ``watershed``: objects of a mask that touch are cut apart at necks; or ``none``.
        voxel: nm (z, y, x); None: what the file says.
        min_size: smaller objects are dropped: ``16px``, ``5e5nm3`` or, in 2-D, ``900nm2``.
        max_size: larger ones are dropped.
        values: stored value to 0, 1 or 255 (of no object); {}: as the values themselves say, where they can.

    Raises:
        ConfigError: a value that is none of these.
    """

    content: str = "auto"
    dims: int | None = None
    split: str = "none"
    voxel: _Voxel | None = None
    min_size: str | None = None
    max_size: str | None = None
    values: Mapping[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """What is wrong is said before an hour of measuring, not after."""
        if self.content not in ("auto", "mask", "ids"):
            raise ConfigError(f"--content {self.content!r}: choose one of auto, mask and ids.")
        if self.split not in ("none", "watershed"):
            raise ConfigError(f"--split {self.split!r}: choose none or watershed.")
        if self.dims not in (None, 2, 3):
            raise ConfigError(f"--dims {self.dims}: choose 2 (each slice separately) or 3.")


@dataclass(frozen=True)
class MeasuredFile:
    """The measures of a file.

    Attributes:
        measures: a row per object, a row per slice.
        path: what was measured: of an OME-Zarr the label image inside.
        content: in words what it holds and how it was made objects.
        first_slice: the slice of the scan that is slice 0 here.
    """

    measures: Measures
    path: Path
    content: str
    first_slice: int = 0

    @property
    def too_full(self) -> bool:
        """Whether there is hardly any background, as in images or a probability, which have no objects."""
        return bool(self.measures.summary()["volume_fraction"] > _TOO_FULL)


def measure_file(
    file: Path,
    how: Measuring = Measuring(),
    *,
    scratch: Path | None = None,
    observer: Observer | None = None,
) -> MeasuredFile:
    """Count and measure the objects of a file: volume, surface, length, elongation, place.

    Of an OME-Zarr of `dabench predict`, its instances are measured, or its mask where it has none or is to be split. A
    mask is labelled first, with 26 neighbours in 3-D and 8 in 2-D. The memory needed does not grow with the volume.

    Args:
        file: of any registered format.
        how: what counts as an object.
        scratch: keeps what labelling has done, to go on after an interruption.
        observer: told of the progress.

    Raises:
        ConfigError: settings that contradict each other or the file, or an unknown voxel size.
        DataError: a file that is missing, damaged, or holds neither a mask nor ids.

    Example:
        >>> import numpy as np, tifffile
        >>> tifffile.imwrite("mask.tif", np.uint8([[[1, 1, 0, 0, 1]]]))
        >>> found = measure_file(Path("mask.tif"), Measuring(voxel=(30, 8, 8)))
        >>> found.content, found.measures.count
        ('uint8 mask, labelled in 2-D', 2)
    """
    observer = observer or Observer()
    path = part_of(file, MASK) if how.split != "none" else part_of(file, IDS, MASK)
    volume = open_volume(path, Registry.load().made("reader"))
    voxel = how.voxel or voxel_of(volume)
    if voxel is None:
        raise ConfigError(f"{path}: the file does not state the voxel size.", "Add --voxel z,y,x (nm).")
    dims = how.dims or (3 if volume.shape[0] > 1 else 2)
    kind = volume.dtype
    is_mask, volume = content_of(volume, path, how.content, how.values)
    if how.split != "none" and not is_mask:
        raise ConfigError(
            f"{path}: contains ids, which are already objects; --split is for a mask.", "Leave out --split."
        )
    ids, chunk = _objects(volume, replace(how, dims=dims, voxel=voxel), is_mask, scratch, observer)
    content = f"{kind} mask, labelled in {dims}-D" if is_mask else f"{kind} ids"
    content += ", touching objects separated" if how.split != "none" else ""
    measures = measure(ids, voxel, chunk, dims, observer.progress("measuring"))
    return MeasuredFile(measures, path, content, first_slice(file) if file.is_dir() else 0)


def _objects(
    volume: Volume, how: Measuring, is_mask: bool, scratch: Path | None, observer: Observer
) -> tuple[Volume, tuple[int, int, int]]:
    """Ids of the objects that are measured, and the box that is read at once."""
    dims = how.dims or 3
    least = least_voxels(how.min_size, how.voxel, dims) if how.min_size else 0
    most = most_voxels(how.max_size, how.voxel, dims) if how.max_size else None
    if most is not None and most < least:
        raise ConfigError(f"--min-size {how.min_size}, --max-size {how.max_size}: no object fits between these sizes.")
    ids = _labelled(volume, dims, how.split, least, scratch, observer) if is_mask else volume
    chunk = default_chunk(chunks_of(ids), volume.shape)
    if most is not None or (least > 1 and not is_mask):
        ids = OfSize(ids, least, most, chunk, dims)
    return ids, chunk


def _labelled(volume: Volume, dims: int, split: str, least: int, scratch: Path | None, observer: Observer) -> Volume:
    """A mask as ids of its objects."""
    progress = observer.progress("labelling")
    if split == "watershed":
        return LinkedVolume(SplitSlices(volume), dims, least, progress)
    settings = Labelling.of(volume.shape, dims, default_chunk(chunks_of(volume), volume.shape))
    with _folder(scratch) as folder:
        return LabelledVolume(volume, find_objects(volume, settings, least, folder, progress))


@contextmanager
def _folder(scratch: Path | None) -> Iterator[Path]:
    """A temporary folder that is kept only on request, if something goes wrong."""
    if scratch is None:
        with TemporaryDirectory(prefix="dabench-") as folder:
            yield Path(folder) / "pieces"
    else:
        yield scratch / "pieces"
        shutil.rmtree(scratch / "pieces")
