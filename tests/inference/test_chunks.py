"""A part of a slice is predicted as the whole slice would be: same tiles, same order, same bits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dabench.inference import PROFILES, Sections, TileGrid, Tiling, predict_chunk, predict_slice, profile_named
from dabench.inference.predictor import FlippedPredictor
from dabench.inference.tiles import windows
from dabench.inference.wrapped import AutocastPredictor, needs_whole_slices
from dabench.interfaces import Predictor
from dabench.types import Prediction, Window
from tests.volumes.prediction.fakes import Deterministic, Finishing


def overlaps(tile: Window, window: Window) -> bool:
    rows = max(tile.y, window.y) < min(tile.y + tile.height, window.y + window.height)
    return rows and max(tile.x, window.x) < min(tile.x + tile.width, window.x + window.width)


@st.composite
def covers(draw):
    """A window of a slice, and how the slice is cut."""
    shape = draw(st.tuples(st.integers(3, 40), st.integers(3, 40)))
    y, x = (draw(st.integers(0, n - 1)) for n in shape)
    height, width = draw(st.integers(1, shape[0] - y)), draw(st.integers(1, shape[1] - x))
    tiling = Tiling(
        draw(st.integers(7, 20)),
        profile_named(draw(st.sampled_from(["hann", "fast", "paper"]))),
        draw(st.integers(1, 5)),
    )
    return TileGrid(shape, Window(y, x, height, width), tiling)


@settings(max_examples=60, deadline=None)
@given(covers())
def test_a_cover_is_the_tiles_of_the_whole_slice_that_touch(grid):
    tile, step = grid.tiling.tile, grid.tiling.profile.step(grid.tiling.tile)
    padded = (max(tile, grid.shape[0]), max(tile, grid.shape[1]))
    expected = [w for w in windows(padded, tile, step) if overlaps(w, grid.window)]
    assert [w for group in grid.groups() for w in group] == expected
    assert len(grid) == len(expected)
    assert all(len(group) <= grid.tiling.batch_size for group in grid.groups())
    seen = grid.seen
    assert (seen.y, seen.x) == (min(w.y for w in expected), min(w.x for w in expected))
    assert seen.y + seen.height == min(grid.shape[0], max(w.y + tile for w in expected))
    assert seen.x + seen.width == min(grid.shape[1], max(w.x + tile for w in expected))


@settings(max_examples=30, deadline=None)
@given(covers(), st.integers(1, 2), st.booleans(), st.booleans(), st.integers(0, 2**16))
def test_a_chunk_is_its_part_of_the_whole(grid, depth, prompted, pairs, seed):
    rng, window, predictor = np.random.default_rng(seed), grid.window, Deterministic()
    images = rng.random((depth + pairs, *grid.shape), dtype=np.float32)
    channels = [(z, z + 1) if pairs else (z,) for z in range(depth)]
    size = np.array(grid.shape[::-1])
    points = [(rng.random((4, 2)) * size - 0.5).astype(np.float32) for _ in range(depth)] if prompted else None
    seen = np.ascontiguousarray(images[:, *grid.seen.slices])
    found = list(predict_chunk(predictor, Sections(seen, channels, points), grid, density=True))
    assert len(found) == depth
    for z, own in enumerate(channels):
        image = images[list(own)] if pairs else images[z]
        whole = predict_slice(predictor, image, grid.tiling, points[z] if points else None, density=True)
        np.testing.assert_array_equal(found[z].probability, whole.probability[window.slices])
        np.testing.assert_array_equal(found[z].density, whole.density[window.slices])


@pytest.mark.parametrize("axis", [0, 1])
def test_a_point_on_the_border_of_two_chunks_reaches_both(axis):
    """The tiles that hold it belong to both chunks; the pixels that it changes are changed in each."""
    shape, cut = (32, 32), 16
    image = np.zeros(shape, np.float32)
    tiling = Tiling(16, profile_named("fast"))
    for at in (15.4, 15.5, 16.0):
        point = np.array([[at, 8.0] if axis else [8.0, at]], np.float32)
        whole = predict_slice(Deterministic(), image, tiling, point).probability
        parts = []
        for first in (0, cut):
            window = Window(0, first, 32, cut) if axis else Window(first, 0, cut, 32)
            grid = TileGrid(shape, window, tiling)
            sections = Sections(image[None][:, *grid.seen.slices], [(0,)], [point])
            (found,) = predict_chunk(Deterministic(), sections, grid)
            parts.append(found.probability)
        np.testing.assert_array_equal(np.concatenate(parts, axis), whole)
        assert whole[round(at), 8] if not axis else whole[8, round(at)]


# ---------------------------------------------------------------- predictors around predictors
class Counting(Deterministic):
    """Notes how many tiles it was shown."""

    def __init__(self):
        super().__init__()
        self.seen = 0

    def predict(self, images, points=None, *, density=False):
        self.seen += len(images)
        return super().predict(images, points, density=density)


def test_blank_tiles_are_zero_and_no_network_is_asked():
    image = np.zeros((64, 64), np.float32)
    image[:16, :16] = np.random.default_rng(0).random((16, 16))
    image[:, 48:] = 0.5
    points = np.array([[30.0, 30.0]], np.float32)
    counting = Counting()
    found = predict_slice(counting, image, Tiling(16, profile_named("paper")), points, density=True)
    # Four tiles hold texture, nine the point, seven a step to 0.5 that is no border of tiles; four turns each.
    everything = Counting()
    predict_slice(everything, np.random.default_rng(1).random((64, 64), np.float32), Tiling(16, profile_named("paper")))
    assert 0 < counting.seen < everything.seen / 2
    assert not found.probability[40:, :32].any()
    assert found.probability[:8, :8].all()
    assert found.probability[30, 30] > 0


def test_a_blank_slice_is_empty():
    counting = Counting()
    found = predict_slice(counting, np.full((40, 50), 0.3, np.float32), Tiling(16, profile_named("fast")))
    assert counting.seen == 0
    assert not found.probability.any()


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 20), st.sampled_from(list(PROFILES.values())), st.data())
def test_weights_of_the_tiles_that_own_a_pixel_add_up(height, width, tile, profile, data):
    """Whatever part of a slice is asked for, and bit for bit: divided by that sum, its weights are a partition of 1."""
    y, x = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    window = Window(y, x, data.draw(st.integers(1, height - y)), data.draw(st.integers(1, width - x)))
    grid = TileGrid((height, width), window, Tiling(tile, profile))
    whole, across = TileGrid.whole((height, width), grid.tiling), profile.weights(tile)
    literal = np.zeros((max(height, tile), max(width, tile)))
    for place in windows(literal.shape, tile, profile.step(tile)):
        own = whole.owned(place)
        literal[own.slices] += np.outer(across, across)[own.y - place.y :, own.x - place.x :]
    np.testing.assert_allclose(np.outer(*grid.weights()), literal[window.slices], rtol=1e-12)
    parts = [axis[at] for axis, at in zip(whole.weights(), window.slices, strict=True)]
    for found, expected in zip(grid.weights(), parts, strict=True):
        np.testing.assert_array_equal(found, expected)


class SmallNetwork(Predictor):
    def __init__(self):
        torch.manual_seed(0)
        layers = [torch.nn.Conv2d(a, b, 3, padding=1) for a, b in ((1, 16), (16, 16), (16, 1))]
        self.network = torch.nn.Sequential(layers[0], torch.nn.ReLU(), layers[1], torch.nn.ReLU(), layers[2])

    def predict(self, images, points=None, *, density=False):
        logits = 8 * self.network(images)[:, 0]
        return Prediction(torch.sigmoid(logits), logits if density else None)


def test_bfloat16_stays_within_a_hundredth_and_comes_back_as_float32():
    images = torch.rand(4, 1, 48, 48, generator=torch.Generator().manual_seed(0))
    network = SmallNetwork()
    with torch.inference_mode():
        exact, fast = network.predict(images), AutocastPredictor(network).predict(images, density=True)
    assert fast.probability.dtype == fast.density.dtype == torch.float32
    assert exact.probability.std() > 0.02
    assert 0 < (exact.probability - fast.probability).abs().max() <= 1e-2


def test_a_last_step_is_seen_through_wrappers():
    assert needs_whole_slices(Finishing())
    assert needs_whole_slices(AutocastPredictor(FlippedPredictor(Finishing())))
    assert not needs_whole_slices(AutocastPredictor(FlippedPredictor(Deterministic())))
    mask = np.eye(4, dtype=bool)
    assert not AutocastPredictor(Finishing()).finish(mask).any()
