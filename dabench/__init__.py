"""dabench: trains, compares and applies domain adaptive segmentation methods for electron microscopy."""

from __future__ import annotations

__version__ = "0.1.0"
