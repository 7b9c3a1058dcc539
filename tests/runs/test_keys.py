"""Keys of stages: what makes a stage train again, and what does not."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
import torch

from dabench.components.registry import PluginStatus, Registry
from dabench.files import source
from dabench.files.workspace import Workspace
from dabench.plugin import Component, Domain, Split, Volume, hookimpl
from dabench.runs.plan import make_plan
from dabench.runs.runner import run_cell
from tests.conftest import few

READER = '''
import numpy as np

from dabench.plugin import Component, Reader, hookimpl


class Stack:
    shape, dtype = (3, 96, 96), np.dtype(np.uint8)

    def __init__(self, seed):
        self.seed = seed

    def read(self, z):
        return np.random.default_rng([self.seed, z]).integers(0, 250, (96, 96), dtype=np.uint8)GAIN


class Noise(Reader):
    """Opens ``.noise``: a seed."""

    def accepts(self, path):
        return path.suffix == ".noise"

    def open(self, path):
        return Stack(int(path.read_text()))


@hookimpl
def register_readers(register):
    register(Component("a-noise", lambda settings: Noise()))
'''


class Noisy(Domain):
    """A target of noise whose file, and so its digest, never changes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def splits(self) -> tuple[str, ...]:
        return ("train",)

    def missing(self) -> list[str]:
        return []

    def open(self, split: str, open_volume: Callable[[Path], Volume]) -> Split:
        return Split("phantom-noisy", split, open_volume(self.path), None, (30, 8, 8), "the same digest")


@pytest.fixture
def version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Registry]:
    """All plugins, a domain of noise, and a version of the plugin that reads it."""
    seed = tmp_path / "image.noise"
    seed.write_text("5")

    class Domains:
        @hookimpl
        def register_domains(self, register: Callable[[Component], None]) -> None:
            register(Component("phantom-noisy", lambda settings: Noisy(seed)))

    def load(gain: str) -> Registry:
        folder = tmp_path / f"version{gain or '-first'}".replace(" ", "").replace("/", "-")
        folder.mkdir()
        (folder / "noise_reader.py").write_text(READER.replace("GAIN", gain))
        monkeypatch.syspath_prepend(folder)
        monkeypatch.delitem(sys.modules, "noise_reader", raising=False)
        source._file_of.cache_clear()
        source._origin.cache_clear()
        registry = Registry.load()
        registry.add(Domains(), PluginStatus("noisy", "tests"))
        registry.add(import_module("noise_reader"), PluginStatus("noise-reader", "tests"))
        assert registry.failures() == []
        return registry

    return load


def test_an_edited_reader_trains_again_what_read_through_it(
    version: Callable[[str], Registry], workspace: Workspace
) -> None:
    config = few("prompt-das", task="human2noisy", budget={"points": 0.0})
    first = version("")
    run_cell(config, first, workspace)
    assert [s.state for s in make_plan(config, first, workspace).stages] == ["cached", "cached"]
    edited = version(" // 2")
    # The source model read phantoms, which have no reader; the second stage read the target.
    assert [s.state for s in make_plan(config, edited, workspace).stages] == ["cached", "new"]


@pytest.mark.parametrize("hardware", [True, False])
def test_threads_and_what_precision_auto_is_here_are_part_of_a_key(
    hardware: bool, registry: Registry, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dabench.runs.device.multiplies_bfloat16", lambda device: hardware)

    def keys(threads: int | None = None, **changes: str) -> list[str]:
        return [s.key for s in make_plan(few(**changes), registry, workspace, threads=threads).stages]

    resolved, other = ("bfloat16", "float32") if hardware else ("float32", "bfloat16")
    assert keys() == keys(threads=torch.get_num_threads()) == keys(precision=resolved)
    for changed in (keys(threads=torch.get_num_threads() + 1), keys(precision=other)):
        assert not set(keys()) & set(changed)


def test_stages_of_one_method_on_one_domain_have_one_key_whatever_the_target(
    registry: Registry, workspace: Workspace
) -> None:
    one, two = (make_plan(few(task=task), registry, workspace).stages for task in ("human2stem", "human2rat"))
    assert one[0].key == two[0].key
    assert one[1].key != two[1].key
