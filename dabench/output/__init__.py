"""Volumes written by block: OME-Zarr, and TIFF or HDF5 made from it."""

from dabench.output.blocks import ZarrBlocks
from dabench.output.convert import format_of, write_hdf5, write_tiff
from dabench.output.omezarr import OmeZarr
from dabench.output.pyramid import build_pyramid
from dabench.output.sink import BlockSink

__all__ = ["BlockSink", "OmeZarr", "ZarrBlocks", "build_pyramid", "format_of", "write_hdf5", "write_tiff"]
