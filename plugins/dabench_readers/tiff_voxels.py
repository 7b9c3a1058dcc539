"""Voxel size of a TIFF stack, from ImageJ's or OME's metadata; the resolution tags of other files are for print."""

from __future__ import annotations

from xml.etree import ElementTree

import tifffile

from dabench_readers.voxels import Voxel


def voxel_of(tif: tifffile.TiffFile, number: int = 0) -> Voxel:
    """What the file says of the size of a voxel of a series."""
    if tif.ome_metadata:
        return _from_ome(tif.ome_metadata, number)
    return _from_imagej(tif) if tif.is_imagej else Voxel()


def _from_ome(text: str, number: int) -> Voxel:
    """PhysicalSizeZ, Y, X of an image; their unit is micrometre where it is left out."""
    try:
        pixels = [node for node in ElementTree.fromstring(text).iter() if node.tag.rpartition("}")[2] == "Pixels"][
            number
        ]
    except (ElementTree.ParseError, IndexError):
        return Voxel()
    sizes = tuple(pixels.get(f"PhysicalSize{axis}") for axis in "ZYX")
    if None in sizes:
        return Voxel()
    units = tuple(pixels.get(f"PhysicalSize{axis}Unit") or "µm" for axis in "ZYX")
    return Voxel(sizes, units, "its OME-XML")


def _from_imagej(tif: tifffile.TiffFile) -> Voxel:
    """``spacing`` is along z; along y and x the resolution tags hold pixels a unit."""
    about = tif.imagej_metadata or {}
    tags = tif.pages.first.tags
    pixels = [tags[name].value if name in tags else None for name in ("YResolution", "XResolution")]
    if "spacing" not in about or "unit" not in about or None in pixels:
        return Voxel()
    y, x = (below / above if above else 0.0 for above, below in pixels)  # type: ignore[misc]
    return Voxel((about["spacing"], y, x), (str(about["unit"]),), "its ImageJ metadata")
