"""Exports for other programs: the predictor's numbers on any number of tiles, or no file at all."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn

from dabench.errors import ConfigError, WeightsError
from dabench.interfaces import Predictor
from dabench.models import load_model
from dabench.models.exports import CARD, TOLERANCE, export
from dabench.models.tiles import image_tiles
from dabench.types import Prediction
from tests.models.forged_runs import forge, seen, settings, tile


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    from dabench.files.workspace import Workspace

    return Workspace(tmp_path_factory.mktemp("exports"))


@pytest.fixture(scope="module")
def single(registry, place):
    """A network whose code asks for ``len(images)``: its trace runs tile by tile."""
    return load_model(forge(settings(), registry, place), registry, place)


@pytest.fixture(scope="module")
def pairs(registry, place):
    return load_model(forge(settings("source-pairs"), registry, place), registry, place)


@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.parametrize("which", ["single", "pairs"])
def test_torchscript_gives_the_same(request, tmp_path, which):
    model, extra = request.getfixturevalue(which), {CARD: ""}
    done = export(model, tmp_path / "m.pt", "torchscript")
    loaded = torch.jit.load(str(done.path), _extra_files=extra)
    for count in (1, 4):
        images = tile(model.channels, count)
        assert (loaded(images) - seen(model, images)).abs().max() <= TOLERANCE["torchscript"]
    assert json.loads(extra[CARD])["tile"] == 32
    assert any("one tile at a time" in note for note in done.notes) == (which == "single")


@pytest.mark.parametrize("which", ["single", "pairs"])
def test_onnx_gives_the_same(request, tmp_path, which):
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    model = request.getfixturevalue(which)
    done = export(model, tmp_path / "m.onnx", "onnx", [tile(model.channels, 1)])
    session = runtime.InferenceSession(str(done.path))
    for count in (1, 4):
        images = tile(model.channels, count)
        (found,) = session.run(["probability"], {"images": images.numpy()})
        assert abs(found - seen(model, images).numpy()).max() <= TOLERANCE["onnx"]
    assert done.difference <= TOLERANCE["onnx"]
    assert json.loads(onnx.load(str(done.path)).metadata_props[0].value)["cell_id"] == model.card.cell_id


def test_a_model_file_is_an_export_too(single, registry, empty, tmp_path):
    export(single, tmp_path / "m.safetensors", "safetensors")
    assert load_model(tmp_path / "m.safetensors", registry, empty).card == single.card


class Moody(Predictor):
    """Does what its ``mood`` does to the images."""

    def __init__(self, mood) -> None:
        self.mood, self.network = mood, nn.Conv2d(1, 1, 1)

    def predict(self, images, points=None, *, density=False):
        return Prediction(self.mood(images)[:, 0])

    def finish(self, mask):
        return ~mask


def refusal(model, mood, tmp_path, error, real=()):
    """What an export is refused with; it leaves no file."""
    with pytest.raises(error) as raised:
        export(replace(model, predictor=Moody(mood)), tmp_path / "m.pt", "torchscript", real)
    assert list(tmp_path.iterdir()) == []
    return str(raised.value)


def test_a_choice_by_the_image_is_found_on_real_tiles(single, tmp_path):
    dark = torch.full((1, 1, 32, 32), 0.1)

    def choose(images):
        return images if images.mean() > 0.25 else images / 2

    export(replace(single, predictor=Moody(choose)), tmp_path / "bright.pt", "torchscript")
    (tmp_path / "bright.pt").unlink()
    assert "differ from the predictor's by 0.05" in refusal(single, choose, tmp_path, WeightsError, [dark])


def test_an_answer_that_changes(single, tmp_path):
    assert "its output differs from call to call" in refusal(single, torch.rand_like, tmp_path, ConfigError)


def test_an_answer_of_nan(single, tmp_path):
    assert "differs from call to call" in refusal(single, lambda images: images / 0 * 0, tmp_path, ConfigError)


def test_what_cannot_be_traced(single, tmp_path):
    def leave(images):
        return torch.from_numpy(images.numpy()) if not torch.jit.is_tracing() else "nothing"

    assert "cannot be traced, TypeError" in refusal(single, leave, tmp_path, ConfigError)


def test_the_last_step_on_a_mask_is_said_to_be_missing(single, tmp_path):
    done = export(replace(single, predictor=Moody(torch.sqrt)), tmp_path / "m.pt", "torchscript")
    assert "post-processing of the mask" in done.notes[-1]


def test_onnx_that_is_not_installed(single, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r"needs the package onnxruntime.*\n.*dabench\[export\]"):
        export(single, tmp_path / "m.onnx", "onnx")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_format(single, tmp_path):
    with pytest.raises(ConfigError, match="one of safetensors, torchscript, onnx"):
        export(single, tmp_path / "m.h5", "keras")


# ---------------------------------------------------------------- tiles of images
def test_tiles_are_of_the_target_where_it_is_here(trained, registry):
    tiles, name = image_tiles(trained.model.card, registry, trained.workspace)
    assert name == "phantom-stem"
    assert tiles.shape == (3, 1, 64, 64)
    assert 0 <= tiles.min() < tiles.max() <= 1


def test_tiles_of_a_phantom_stand_in(pairs, registry, empty):
    tiles, name = image_tiles(pairs.card, registry, empty)
    assert name == "phantom-human"
    assert tiles.shape == (1, 2, 32, 32)
    assert not torch.equal(tiles[:, 0], tiles[:, 1])
