"""Tiles, blending, test-time rotations and prediction of whole stacks, or of chunks of them."""

from dabench.inference.chunks import Sections, SlicePrediction, predict_chunk
from dabench.inference.tile_grid import TileGrid, Tiling
from dabench.inference.tiles import DEFAULT_PROFILE, PROFILES, Profile, profile_named
from dabench.inference.volume import predict_slice, predict_slices

__all__ = [
    "DEFAULT_PROFILE",
    "PROFILES",
    "TileGrid",
    "Profile",
    "Sections",
    "SlicePrediction",
    "Tiling",
    "predict_chunk",
    "predict_slice",
    "predict_slices",
    "profile_named",
]
