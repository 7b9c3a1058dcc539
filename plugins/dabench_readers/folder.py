"""A folder of slices: ``im0000.png, im0001.png, …``, JPEGs or single-page TIFFs, in natural order of their names."""

from __future__ import annotations

import lzma
import re
import struct
import zlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
from PIL import Image, UnidentifiedImageError

from dabench.plugin import Choice, DataError, Reader
from dabench_readers.tiff import TiffReader

if TYPE_CHECKING:
    from dabench.plugin import Volume
    from dabench.types import Array

#: Suffixes of a format; a folder holds slices of one.
_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".tif": "TIFF", ".tiff": "TIFF"}
_GET_AGAIN = "Copy or download the file again, then  dabench data verify NAME"
_DAMAGE = (
    UnidentifiedImageError,
    Image.DecompressionBombError,
    tifffile.TiffFileError,
    ValueError,
    RuntimeError,
    OSError,
    SyntaxError,
    IndexError,
    KeyError,
    EOFError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
)
#: As few pictures of another format are left out of a folder that has several slices; of more, either may be meant.
_FEW, _SEVERAL = 2, 5
#: As many files that were left out are named.
_SHOWN = 8


class FolderReader(Reader):
    """Opens a folder that holds PNG, JPEG or single-page TIFF slices (MitoEM's labels)."""

    def accepts(self, path: Path) -> bool:
        """Whether the folder holds at least one slice."""
        return path.is_dir() and any(_format(p) for p in path.iterdir())

    def open(self, path: Path) -> Volume:
        """Open the slices of a folder. Raises DataError for a mixture of formats or an unreadable first slice."""
        return self.open_choice(path, Choice())

    def open_choice(self, path: Path, choice: Choice) -> Volume:
        """The same, one channel of colour pictures. Raises DataError for any other choice, too."""
        channel = _channel(path, choice)
        files = [p for p in path.iterdir() if p.is_file() or p.is_symlink()]
        found = [p for p in files if _format(p)]
        if not found:
            raise DataError(f"{path}: the folder holds no PNG, JPEG or TIFF slice.", "Check the path in the card.")
        (kind, most), *others = Counter(map(_format, found)).most_common()
        if others and (sum(count for _, count in others) > _FEW or most < _SEVERAL):
            kinds = " and ".join(sorted({_format(p) for p in found}))
            raise DataError(f"{path}: {kinds} slices lie mixed.", "Keep one format a folder.")
        found = [p for p in found if _format(p) == kind]
        slices = sorted(found, key=natural_order)
        if _planes_of_one(slices[0]) == len(slices):
            return TiffReader().open_choice(slices[0], choice)
        first = _load(slices[0], 0, channel)
        volume = FolderVolume(slices, first.shape, first.dtype, channel, white_is_zero=_white_is_zero(slices[0]))
        if strays := sorted(p.name for p in set(files) - set(found)):
            shown = ", ".join(strays[:_SHOWN]) + (f" and {len(strays) - _SHOWN} more" if len(strays) > _SHOWN else "")
            volume.notes = (f"{path}: left out, as no {kind} slices: {shown}.",)
        return volume


class FolderVolume:
    """Slices as files; each `read` decodes one.

    ``files`` are those that count, ``names`` their names by slice, ``notes`` say what else lies there.
    """

    def __init__(
        self,
        slices: list[Path],
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        channel: int | None = None,
        *,
        white_is_zero: bool = False,
    ) -> None:
        """Files in order, size and type of the first, the channel that counts, and whether small values are bright."""
        self.white_is_zero = white_is_zero
        self.files, self.names = tuple(slices), tuple(file.name for file in slices)
        self.notes: tuple[str, ...] = ()
        self._slices, self._plane, self._dtype, self._channel = slices, (shape[0], shape[1]), dtype, channel

    @property
    def shape(self) -> tuple[int, int, int]:
        """(slices, rows, columns)."""
        return len(self._slices), *self._plane

    @property
    def dtype(self) -> np.dtype[Any]:
        """Pixel type of the first slice."""
        return self._dtype

    def read(self, z: int) -> Array:
        """Slice ``z`` as ``(H, W)``. Raises DataError naming file and slice: damaged, or another size or type."""
        if not 0 <= z < len(self._slices):
            raise IndexError(f"{self._slices[0].parent}: slice {z} of {len(self._slices)}")
        image = _load(self._slices[z], z, self._channel)
        if image.shape != self._plane:
            raise DataError(
                f"{self._slices[z]}: slice {z} has {image.shape} pixels, the first slice has {self._plane}.", _GET_AGAIN
            )
        if image.dtype != self._dtype:
            raise DataError(
                f"{self._slices[z]}: slice {z} is {image.dtype}, the first slice is {self._dtype}.",
                "A value means another grey in another depth: write all slices with one.",
            )
        return image


def _format(path: Path) -> str:
    """PNG, JPEG or TIFF; "" for anything else, and for hidden files."""
    return "" if path.name.startswith(".") else _FORMATS.get(path.suffix.lower(), "")


def natural_order(path: Path) -> list[tuple[int, int, str]]:
    """Sort key by which slice 2 comes before slice 10."""
    parts = re.split(r"(\d+)", path.name)
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]


def _planes_of_one(path: Path) -> int:
    """Planes of an OME-TIFF that lies in several files, which say the order; 0 for any other file."""
    if _format(path) != "TIFF":
        return 0
    try:
        with tifffile.TiffFile(path) as tif:
            return len(tif.series[0].pages) if tif.is_ome and tif.series[0].is_multifile else 0
    except _DAMAGE:
        return 0  # said when it is read


def _channel(path: Path, choice: Choice) -> int | None:
    """The channel that is meant, None where nothing is said."""
    asked = dict(choice.at)
    channel = asked.pop("channel", None)
    if asked or choice.axes:
        raise DataError(f"{path}: pictures in a folder have only channels, not {choice}.", f"{path}/channel=0")
    return channel


def _load(path: Path, z: int, channel: int | None) -> Array:
    try:
        image = tifffile.imread(path, is_ome=False) if _format(path) == "TIFF" else _load_picture(path)
    except _DAMAGE as error:
        raise DataError(f"{path}: slice {z} cannot be decoded: {error}.", _GET_AGAIN) from None
    return _grey(np.asarray(image), path, z, channel)


def _white_is_zero(path: Path) -> bool:
    """What a TIFF says of itself; PNG and JPEG have no such thing."""
    if _format(path) != "TIFF":
        return False
    with tifffile.TiffFile(path) as tif:
        return bool(tif.pages[0].aspage().photometric == tifffile.PHOTOMETRIC.MINISWHITE)


def _load_picture(path: Path) -> Array:
    with Image.open(path) as picture:
        picture.load()
        if picture.mode == "1":  # whose bytes in memory are 0 and 255, which is no boolean of NumPy's
            return np.array(picture.convert("L")) > 0
        if picture.mode == "P" and not _is_index_map(picture):
            return np.array(picture.convert("L"))
        return np.array(picture)


def _is_index_map(picture: Image.Image) -> bool:
    """A palette picture is a label map when its palette is not a grey ramp."""
    palette = np.array(picture.getpalette() or []).reshape(-1, 3)
    return not (palette == palette[:, :1]).all()


def _grey(image: Array, path: Path, z: int, channel: int | None) -> Array:
    """One channel: the one that is meant, else of a colour picture any, where its colours are equal."""
    channels = image.shape[2] if image.ndim == 3 else 1
    if channel is not None and channel >= channels:
        raise DataError(f"{path}: slice {z} has {channels} channels, counted from 0: there is none {channel}.")
    if image.ndim == 2:
        return image
    if channel is not None and image.ndim == 3:
        return np.ascontiguousarray(image[..., channel])
    colours = image[..., : 3 if image.shape[-1] >= 3 else 1] if image.ndim == 3 else image
    if image.ndim == 3 and image.shape[-1] <= 4 and (colours == colours[..., :1]).all():
        return np.ascontiguousarray(colours[..., 0])
    raise DataError(
        f"{path}: slice {z} is not a grey picture (shape {image.shape}).",
        f"Say which channel is meant:  {path.parent}/channel=0  or  --channel 0; or convert the pictures to grey.",
    )
