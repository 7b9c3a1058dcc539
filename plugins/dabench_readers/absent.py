"""Chunks of zarr arrays that are not stored: counted from the names of the files, nothing is decoded."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from dabench.plugin import DataError

_METADATA = {"zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata"}
#: How the name of a chunk begins, whatever the metadata say: ``0.0.0``, ``0``, ``c``, ``c.0.0.0``.
_KEY = re.compile(r"c|(c\.)?\d+(\.\d+)*")
#: Chunks that are looked for one by one; of larger grids the files are counted.
_MOST = 2**20


def absent_chunks(path: Path, array: Any, grid: Sequence[range]) -> tuple[int, int]:
    """(chunks that are not stored, all chunks) of a part of an array in a folder; shards count as chunks.

    Args:
        path: folder of the array.
        array: the opened zarr array.
        grid: numbers of the chunks that are wanted, along each axis.
    """
    total = math.prod(map(len, grid))
    files = set(_files(str(path)))
    if total > _MOST:
        return total - min(len(files), total), total
    keys = {array.metadata.encode_chunk_key(place) for place in product(*grid)}
    return len(keys - files), total


def need_keys(path: Path, array: Any) -> None:
    """Raises DataError where files of chunks lie in a folder under keys that the metadata do not name."""
    name = str(array.metadata.encode_chunk_key((0,) * array.ndim))
    first = name.split("/")[0]
    expected = re.compile(re.sub(r"\d+", r"\\d+", re.escape(first)))
    with os.scandir(path) as entries:
        found = next((entry.name for entry in entries if _KEY.fullmatch(entry.name)), first)
    if not expected.fullmatch(found):
        raise DataError(
            f"{path}: its metadata name chunks like {name!r}, and there is {found!r}: the separator between numbers "
            "(`dimension_separator`, or `chunk_key_encoding`) is another one.",
            "Mend the metadata, or copy the store again.",
        )


def _files(root: str, below: str = "") -> Iterator[str]:
    """Every file below a folder but metadata, by relative name; a link that leads nowhere is no file."""
    with os.scandir(f"{root}/{below}") as entries:
        for entry in entries:
            name = f"{below}/{entry.name}" if below else entry.name
            if entry.is_dir():
                yield from _files(root, name)
            elif entry.name not in _METADATA and entry.is_file():
                yield name
