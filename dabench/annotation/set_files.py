"""The files of a preference data set, in a folder or one zip; pictures as PNG in zips, which anything opens."""

from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from dabench.errors import ConfigError, DataError
from dabench.files.atomic import atomic
from dabench.files.litter import is_litter
from dabench.types import Array


class SetFiles:
    """Reads files by name, whether they lie in a folder or in a zip (straight in it, or in one folder of it)."""

    def __init__(self, path: Path, marker: str) -> None:
        """``marker`` is the file that every set has. Raises DataError where there is no set."""
        self.path = path
        self._zip: zipfile.ZipFile | None = None
        self._prefix = ""
        if path.is_file():
            self._zip = _open_zip(path, path)
            homes = [name.removesuffix(marker) for name in self._zip.namelist() if name.split("/")[-1] == marker]
            if len(homes) != 1:
                raise DataError(f"{path}: holds {len(homes)} files {marker}, a preference data set has one.")
            self._prefix = homes[0]
        elif not (path / marker).is_file():
            raise DataError(
                f"{path}: no preference data set: there is no {marker}.", "docs/annotation.md has the format."
            )

    @property
    def is_folder(self) -> bool:
        """Whether answers can be appended."""
        return self._zip is None

    def names(self) -> list[str]:
        """Files of the set's own folder, sorted."""
        if self._zip is None:
            return sorted(p.name for p in self.path.iterdir() if p.is_file() and not is_litter(p.name))
        inside = [n.removeprefix(self._prefix) for n in self._zip.namelist() if n.startswith(self._prefix)]
        return sorted(name for name in inside if name and "/" not in name and not is_litter(name))

    def read(self, name: str) -> bytes:
        """Content of a file. Raises DataError with its name."""
        try:
            return (self.path / name).read_bytes() if self._zip is None else self._zip.read(self._prefix + name)
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            raise DataError(f"{self.path / name}: cannot be read: {error}") from None

    def text(self, name: str) -> str:
        """Content of a UTF-8 file. Raises DataError with its name."""
        try:
            return self.read(name).decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{self.path / name}: is not UTF-8: {error}") from None

    def archive(self, name: str) -> zipfile.ZipFile:
        """A zip among the files. Raises DataError with its name."""
        if self._zip is None:
            return _open_zip(self.path / name, self.path / name)
        return _open_zip(self.path / name, io.BytesIO(self.read(name)))


def _open_zip(path: Path, content: Path | io.BytesIO) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(content)
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: cannot be read as a zip: {error}") from None


# ------------------------------------------------------------------------------------------------------------ pictures
def png_of(values: Array) -> bytes:
    """``(H, W)`` bool as a PNG of one bit per pixel, uint8 as grey values."""
    from PIL import Image

    buffer = io.BytesIO()
    # Grey noise hardly gets smaller with more effort, masks do.
    Image.fromarray(values).save(buffer, "PNG", compress_level=6 if values.dtype == bool else 1)
    return buffer.getvalue()


def read_png(where: str, content: bytes, shape: tuple[int, int]) -> Array:
    """Values of a PNG of this shape. Raises DataError for another one, or a damaged one; ``where`` names it."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as picture:
            seen = (picture.height, picture.width)
            values = np.asarray(picture) if seen == shape else None
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError) as error:
        raise DataError(f"{where}: damaged picture: {error}") from None
    if values is None:
        raise DataError(f"{where}: {seen[0]} x {seen[1]} pixels, expected {shape[0]} x {shape[1]}.")
    return values


# ------------------------------------------------------------------------------------------------------------- writing
@contextmanager
def new_set(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Give a folder to write; it takes the name ``path``, as a folder or (suffix ``.zip``) one zip, when all is well.

    Raises:
        ConfigError: ``path`` is there and may not be replaced.
    """
    if path.exists() and not replace:
        raise ConfigError(f"{path}: is there already.", "Answers are never written over: choose another name.")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.folder")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        yield part
        if path.suffix == ".zip":
            with atomic(path) as packed, zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
                for file in sorted(part.iterdir()):
                    archive.write(file, file.name, _compression(file))
            return
        for file in part.iterdir():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
        if path.exists():
            shutil.rmtree(path)
        part.rename(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _compression(file: Path) -> int:
    return zipfile.ZIP_STORED if file.suffix == ".zip" else zipfile.ZIP_DEFLATED


def write_lines(path: Path, records: list[dict[str, Any]]) -> None:
    """JSON, one record per line."""
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


@contextmanager
def picture_zip(path: Path) -> Iterator[Callable[[str, Array], None]]:
    """A zip of PNGs; gives the function that adds one by name. Equal content gives equal bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:

        def add(name: str, values: Array) -> None:
            archive.writestr(zipfile.ZipInfo(f"{name}.png", (1980, 1, 1, 0, 0, 0)), png_of(values))

        yield add
