"""Windows cover every pixel, points survive tiling and turning, equal values stay equal."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dabench.errors import UnknownNameError
from dabench.inference.tiles import Blend, origins, pad_to_tile, profile_named, turn_points, windows


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 40), st.integers(0, 100), st.integers(1, 40))
def test_origins_cover_and_stay_inside(tile, more, step):
    length, step = tile + more, min(step, tile)
    first = origins(length, tile, step)
    covered = np.zeros(length, bool)
    for o in first:
        assert 0 <= o <= length - tile
        covered[o : o + tile] = True
    assert covered.all()
    assert len(set(first)) == len(first)


def test_windows_of_the_published_setting():
    assert len(windows((4096, 4096), 384, profile_named("paper").step(384))) == 30 * 30
    assert len(windows((4096, 4096), 384, profile_named("hann").step(384))) == 21 * 21


@pytest.mark.parametrize(
    ("profile", "tile", "step"), [("hann", 384, 192), ("fast", 384, 192), ("paper", 384, 128), ("paper", 96, 48)]
)
def test_step_never_leaves_gaps(profile, tile, step):
    assert profile_named(profile).step(tile) == step


def test_unknown_profile_offers_the_near_one():
    with pytest.raises(UnknownNameError, match="Did you mean 'paper'"):
        profile_named("papr")


@pytest.mark.parametrize("shape", [(5, 30), (30, 5), (1, 1), (32, 32), (40, 33)])
def test_padding_reflects_and_keeps_the_origin(shape):
    image = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    padded = pad_to_tile(image, 32)
    assert padded.shape == (max(32, shape[0]), max(32, shape[1]))
    np.testing.assert_array_equal(padded[: shape[0], : shape[1]], image)
    if 1 < shape[0] < 32:
        np.testing.assert_array_equal(padded[shape[0]], padded[shape[0] - 2])


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_points_turn_with_their_pixels(turns):
    size, tile = 7, torch.zeros(7, 7)
    marks = torch.tensor([[0.0, 0.0], [6.0, 2.0], [3.0, 5.0]])
    for k, (x, y) in enumerate(marks.int().tolist()):
        tile[y, x] = k + 1
    turned = torch.rot90(tile, turns, (-2, -1))
    moved = turn_points(marks, turns, size)
    assert [turned[int(y), int(x)].item() for x, y in moved] == [1, 2, 3]
    torch.testing.assert_close(turn_points(moved, -turns, size), marks)


@pytest.mark.parametrize("side", [8, 600])
def test_mean_of_equal_values_is_that_value(side):
    tile, value = side // 2, torch.tensor(0.1)
    places, ones = windows((side, side), tile, tile // 2), np.zeros(side)
    for place in places[: int(len(places) ** 0.5)]:
        ones[place.x : place.x + tile] += 1
    blend = Blend((3 * ones, ones), torch.device("cpu"))
    for place in places:
        blend.settle(place.y)
        blend.add([place] * 3, value.expand(3, tile, tile))
    assert (blend.mean() == np.float32(0.1)).all()
