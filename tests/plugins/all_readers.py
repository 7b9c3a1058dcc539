"""Every reader of the plugin, and files opened by whichever takes them."""

from __future__ import annotations

from pathlib import Path

import dabench_readers

from dabench.components.registry import PluginStatus, Registry
from dabench.data.volumes import open_volume


def _readers():
    registry = Registry()
    registry.add(dabench_readers, PluginStatus("readers", "dabench"))
    return [item.component.factory(item.component.config()) for item in registry.of_kind("reader")]


READERS = _readers()


def open_any(path: Path):
    return open_volume(path, READERS).volume
