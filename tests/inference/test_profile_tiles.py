"""The profile ``tiles``: every pixel is predicted exactly once, whole or in parts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dabench.inference import PROFILES, Sections, TileGrid, Tiling, predict_chunk, predict_slice
from dabench.plugin import Prediction, Predictor, Window


class Numbered(Predictor):
    """Says the number of its call on every pixel of a tile."""

    def __init__(self) -> None:
        self.calls = 0

    def predict(self, images, points=None, *, density=False):
        del points, density
        self.calls += len(images)
        numbers = torch.arange(self.calls - len(images), self.calls) + 1
        return Prediction(numbers[:, None, None].expand(-1, *images.shape[-2:]) / 64)


@pytest.mark.parametrize("shape", [(16, 16), (40, 50), (32, 48), (17, 31), (9, 40)])
def test_every_pixel_is_predicted_exactly_once(shape):
    tiling = Tiling(16, PROFILES["tiles"])
    grid = TileGrid.whole(shape, tiling)
    count = np.zeros(shape, int)
    for window in (w for group in grid.groups() for w in group):
        owned = grid.owned(window)
        assert window.y <= owned.y
        assert window.x <= owned.x
        count[owned.slices] += 1
    assert (count == 1).all()
    image = np.random.default_rng(0).random(shape, np.float32)
    seen = predict_slice(Numbered(), image, tiling).probability * 64
    assert len(np.unique(seen)) == len(grid) == -(-shape[0] // 16) * -(-shape[1] // 16)
    assert (seen == np.rint(seen)).all()  # of one tile each, never a mean


def test_a_part_is_what_the_whole_slice_has_there():
    class Grey(Predictor):
        def predict(self, images, points=None, *, density=False):
            return Prediction(images[:, 0] * images[:, 0].mean(dim=(1, 2), keepdim=True))

    tiling, image = Tiling(16, PROFILES["tiles"]), np.random.default_rng(0).random((40, 50), np.float32)
    whole = predict_slice(Grey(), image, tiling).probability
    window = Window(20, 30, 18, 19)
    grid = TileGrid(image.shape, window, tiling)
    sections = Sections(image[None][:, grid.seen.slices[0], grid.seen.slices[1]], [(0,)])
    (part,) = predict_chunk(Grey(), sections, grid)
    assert np.array_equal(part.probability, whole[window.slices])
