"""Readers of the two formats that EM labs hand around: TIFF stacks and folders of slices (PNG or single TIFFs)."""

from __future__ import annotations

from dabench import Component, Register, hookimpl
from dabench_readers.folder import FolderReader
from dabench_readers.tiff import TiffReader


@hookimpl
def register_readers(register: Register) -> None:
    """Register ``tiff`` and ``png-folder``."""
    register(
        Component(
            "tiff",
            lambda config: TiffReader(),  # noqa: ARG005
            summary="Multi-page TIFF, plain, compressed or ImageJ hyperstack, read a page at a time",
            licence="tifffile (BSD-3-Clause), imagecodecs (BSD-3-Clause)",
        )
    )
    register(
        Component(
            "png-folder",
            lambda config: FolderReader(),  # noqa: ARG005
            summary="Folder of PNG or single-page TIFF slices, in natural order of their names",
            licence="Pillow (MIT-CMU)",
        )
    )
