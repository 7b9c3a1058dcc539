"""The layers that napari is given, without napari: it slices arrays, so slices are what is tested."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from made_up_data import DEPTH, HEIGHT, WIDTH, arrays, view_data

from dabench.data.volumes import ArrayVolume
from dabench.errors import ConfigError
from dabench.testing.toys import WatchedVolume
from dabench.volumes.viewer.napari import LazyStack, open_napari


class Viewer:
    """Keeps what it is given."""

    def __init__(self, title: str) -> None:
        self.title, self.layers = title, {}
        self.scale_bar = SimpleNamespace(visible=None)

    def _add(self, data, name, **how):
        self.layers[name] = (data, how)

    add_image = add_labels = add_points = _add


@pytest.fixture
def napari(monkeypatch) -> ModuleType:
    module = ModuleType("napari")
    module.__spec__ = ModuleSpec("napari", None)
    module.Viewer, module.run = Viewer, lambda: None
    monkeypatch.setitem(sys.modules, "napari", module)
    return module


def test_all_layers_have_the_voxel_size_as_scale(napari):
    viewer = open_napari(view_data())
    assert list(viewer.layers) == ["images", "probability", "truth", "prediction", "instances", "points"]
    assert {how["scale"] for _, how in viewer.layers.values()} == {(30.0, 8.0, 8.0)}
    assert viewer.layers["points"][0].tolist() == [[1, 7, 8], [1, 23, 31]]
    assert {how["units"] for _, how in viewer.layers.values()} == {("nm", "nm", "nm")}
    assert viewer.scale_bar.visible
    assert (np.asarray(viewer.layers["truth"][0]) == arrays()["truth"]).all()


def test_only_what_is_there_is_added(napari):
    gone = dict.fromkeys(("prediction", "instances", "probability", "truth"))
    viewer = open_napari(view_data(**gone, points={}, voxel=None))
    assert list(viewer.layers) == ["images"]
    assert "scale" not in viewer.layers["images"][1]
    assert viewer.scale_bar.visible is False


def test_without_napari_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "napari", None)
    monkeypatch.setattr("dabench.volumes.viewer.napari.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="pip install"):
        open_napari(view_data())


@pytest.mark.parametrize(
    "key",
    [
        0,
        -1,
        slice(None),
        slice(1, 3),
        (2, slice(4, 9)),
        (slice(None), 3, slice(None)),
        (1, 2, 3),
        (slice(0, 4, 2), ...),
    ],
)
def test_any_part_is_that_of_the_array(key):
    values = arrays()["images"]
    stack = LazyStack(ArrayVolume(values))
    assert (np.asarray(stack[key]) == values[key]).all()
    assert (len(stack), stack.ndim, stack.shape) == (DEPTH, 3, (DEPTH, HEIGHT, WIDTH))


def test_only_the_slices_that_are_looked_at_are_read():
    volume = WatchedVolume(arrays()["images"])
    assert LazyStack(volume)[2].shape == (HEIGHT, WIDTH)
    assert volume.reads == [2]
