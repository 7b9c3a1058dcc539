"""Imported once by the process that workers are forked from: with this in memory a job starts in a moment."""

from __future__ import annotations

import matplotlib.figure  # noqa: F401
import scipy.ndimage  # noqa: F401
import skimage.segmentation  # noqa: F401

from dabench.components.registry import Registry

#: Loading it imports every plugin; workers load their own, quickly then.
REGISTRY = Registry.load()
