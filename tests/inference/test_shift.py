"""A mask does not depend on where the grid of tiles lies: the same pixels, shifted, give nearly the same mask."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage

import dabench
from dabench.data.phantom import make_phantom
from dabench.inference import DEFAULT_PROFILE, PROFILES, TileGrid, Tiling, predict_slice
from dabench.plugin import Prediction, Predictor
from dabench.runs.config import RunConfig
from tests.benchmark_script import load

TILE = 32


class Placed(Predictor):
    """Local mean grey, zeros beyond the tile as for a network's convolutions, and a code of the place in the tile.

    With a reach of 3 pixels the plain mean agrees worse than for trained networks (benchmarks/results/shift.json).
    """

    def __init__(self, reach: int = 3) -> None:
        self.reach = reach

    def predict(self, images, points=None, *, density=False):
        del points, density
        local = F.avg_pool2d(images, 2 * self.reach + 1, stride=1, padding=self.reach)[:, 0]
        phase = torch.linspace(-np.pi, np.pi, images.shape[-1])
        code = 0.005 * (torch.sin(3 * phase)[:, None] + torch.cos(2 * phase))
        return Prediction(torch.sigmoid(60 * (local + code - 0.5)))


@pytest.fixture(scope="module")
def image():
    """Blobs of grey values around 0.5."""
    noise = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((192, 208)), 5)
    return np.clip(0.5 + noise / (5 * noise.std()), 0, 1).astype(np.float32)


def dice(profile, image, shift):
    (found,) = load("shift").Shifted(Placed(), Tiling(TILE, PROFILES[profile])).compare([image], [shift], TILE)
    return found


@pytest.mark.parametrize("shift", [(0, 8), (8, 8), (13, 0), (40, 40)])
def test_the_default_gives_the_same_mask_wherever_the_grid_lies(image, shift):
    """The plain mean of the same tiles does not: it is what the default is there for."""
    assert dice(DEFAULT_PROFILE, image, shift) >= 0.98
    assert dice("fast", image, shift) < 0.9


def test_the_comparison_is_of_the_same_pixels(image):
    """Shifted by a whole stride the grid lies as before; a predictor of single pixels agrees with itself anyway."""
    shifted = load("shift").Shifted(Placed(reach=0), Tiling(TILE, PROFILES["tiles"]))
    assert shifted.compare([image], [(16, 16)], TILE)[0] > 0.98 > dice("tiles", image, (16, 16))
    assert dice("tiles", image, (TILE, 2 * TILE)) == 1


@pytest.mark.parametrize("shape", [(4096, 4096), (768, 1024), (256, 300), (40, 50)])
def test_it_takes_as_many_passes_as_the_plain_mean(shape):
    for tile in (96, 192, 384):
        default, plain = (len(TileGrid.whole(shape, Tiling(tile, PROFILES[p]))) for p in (DEFAULT_PROFILE, "fast"))
        assert default <= 1.2 * plain


def test_the_weights_are_a_hann_window():
    """By hand for four pixels; half a tile apart two of them add up to 1."""
    low, high = (2 - 2**0.5) / 4, (2 + 2**0.5) / 4
    weights = PROFILES["hann"].weights(4)
    np.testing.assert_allclose(weights, [low, high, high, low], rtol=1e-12)
    np.testing.assert_allclose(weights[:2] + weights[2:], 1, rtol=1e-12)
    for plain in ("fast", "paper", "tiles"):
        assert (PROFILES[plain].weights(4) == 1).all()


def test_a_mean_with_weights_by_hand():
    """Two tiles of 4, two pixels apart, that say 0.25 and 0.75: where both lie their weights decide."""

    class Named(Predictor):
        def predict(self, images, points=None, *, density=False):
            return Prediction(images[:, :, 0, 0, None].expand(-1, 4, 4).clone())

    image = np.full((4, 6), 0.5, np.float32)
    image[0, 0], image[0, 2] = 0.25, 0.75
    found = predict_slice(Named(), image, Tiling(4, PROFILES["hann"])).probability
    low, high = (2 - 2**0.5) / 4, (2 + 2**0.5) / 4
    row = [0.25, 0.25, 0.25 * high + 0.75 * low, 0.25 * low + 0.75 * high, 0.75, 0.75]
    np.testing.assert_allclose(found, np.tile(row, (4, 1)), rtol=1e-6)


def test_runs_take_the_same_profiles_and_default():
    field = RunConfig.model_fields["inference"]
    assert get_args(field.annotation) == tuple(PROFILES)
    assert field.default == DEFAULT_PROFILE


@pytest.mark.slow
def test_a_trained_network_gives_the_same_mask(tmp_path):
    """The network's own padding, attention and position code; on what it was not trained on."""
    run = dabench.run(
        method="source-only",
        task="human2rat",
        data="phantom",
        preset="tiny",
        options={"source-only": {"iterations": 150}},
        tracker="none",
        workspace=tmp_path,
    )
    model = dabench.load_model(run, device="cpu", workspace=tmp_path)
    images = [plane / np.float32(255) for plane in make_phantom("phantom-rat", "test", 1, (3, 288, 288)).images]
    found = {}
    for name in (DEFAULT_PROFILE, "fast"):
        shifted = load("shift").Shifted(model.loaded.predictor, Tiling(model.card.tile, PROFILES[name]))
        (found[name],) = shifted.compare(images, [(0, 40)], 48)
    assert found[DEFAULT_PROFILE] >= 0.98
    assert found[DEFAULT_PROFILE] > found["fast"]
