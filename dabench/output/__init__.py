"""Volumes written by block: OME-Zarr, and TIFF or HDF5 made from it."""
