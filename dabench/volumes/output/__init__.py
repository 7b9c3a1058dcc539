"""Volumes written by block: OME-Zarr, and TIFF or HDF5 made from it."""

from dabench.volumes.output.blocks import ZarrBlocks
from dabench.volumes.output.convert import format_of, write_as
from dabench.volumes.output.omezarr import OmeZarr
from dabench.volumes.output.pyramid import build_pyramid
from dabench.volumes.output.sink import BlockSink

__all__ = ["BlockSink", "OmeZarr", "ZarrBlocks", "build_pyramid", "format_of", "write_as"]
