"""Tiles, blending, test-time rotations and prediction of whole stacks."""

from dabench.inference.tiles import PROFILES, Profile, profile_named
from dabench.inference.volume import SlicePrediction, Tiling, predict_slice, predict_slices

__all__ = ["PROFILES", "Profile", "SlicePrediction", "Tiling", "predict_slice", "predict_slices", "profile_named"]
