"""Every reader of the plugin, and files opened by whichever takes them."""

from __future__ import annotations

from pathlib import Path

import dabench_readers
import numpy as np

from dabench.components.registry import PluginStatus, Registry
from dabench.data.volumes import open_volume


def _readers():
    registry = Registry()
    registry.add(dabench_readers, PluginStatus("readers", "dabench"))
    return [item.component.factory(item.component.config()) for item in registry.of_kind("reader")]


READERS = _readers()
#: A stack without a 0 in it: what is not stored reads as 0.
STACK = np.random.default_rng(0).integers(1, 255, (6, 40, 52), np.uint8)


def open_cached(path: Path):
    """As dabench opens it."""
    return open_volume(path, READERS)


def open_any(path: Path):
    """What the reader made, without the cache around it."""
    return open_cached(path).volume
