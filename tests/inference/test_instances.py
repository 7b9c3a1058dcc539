"""Objects of tiles joined to objects of slices: by what two tiles both see, or where they face each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dabench.errors import PluginError
from dabench.inference import PROFILES, TileGrid, Tiling, predict_slice
from dabench.inference.predictor import FlippedPredictor
from dabench.inference.wrapped import AutocastPredictor
from dabench.ops.joining import SliceLinks, matching
from dabench.plugin import Prediction, Predictor

LEVELS = 64


class Known(Predictor):
    """Grey values are ids in disguise; every tile calls its objects by other names."""

    gives_instances = True

    def __init__(self, *, named: bool = True) -> None:
        self.named, self.calls = named, 0

    def predict(self, images, points=None, *, density=False):
        del points, density
        level = (images[:, 0] * LEVELS).round().long()
        self.calls += 1
        shift = 2**40 + 1000 * self.calls + 100 * torch.arange(len(images))[:, None, None]
        return Prediction.of_instances(torch.where(level > 0, level + shift if self.named else -level, 0))


def joined(true, profile="fast", tile=16, predictor=None):
    """What becomes of a slice whose objects are these."""
    tiling = Tiling(tile, PROFILES[profile], batch_size=3)
    return predict_slice(predictor or Known(), true.astype(np.float32) / LEVELS, tiling).instances


def in_scan_order(ids):
    """The same objects, 1..N."""
    distinct, first, numbers = np.unique(ids, return_index=True, return_inverse=True)
    order = np.argsort(np.argsort(np.where(distinct == 0, -1, first)))
    return order[numbers.reshape(ids.shape)] + (0 if 0 in distinct else 1)


@st.composite
def scenes(draw):
    """Rectangles beside and over each other, of which every object is in one piece; slices of any size."""
    height, width = draw(st.integers(5, 60)), draw(st.integers(5, 60))
    ids = np.zeros((height, width), int)
    for number in range(1, draw(st.integers(0, 8)) + 1):
        y, x = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
        box = np.s_[y : y + draw(st.integers(1, 14)), x : x + draw(st.integers(1, 14))]
        if not ids[box].any():
            ids[box] = number
    if ids.all():  # a slice of one grey would be padding, which no network is asked about
        ids[0, 0] = 0
    return ids


@settings(max_examples=60, deadline=None)
@given(true=scenes(), profile=st.sampled_from(["hann", "fast", "paper"]))
def test_tiles_that_overlap_give_the_whole_slice_back(true, profile):
    found = joined(true, profile)
    assert found.dtype == np.int32
    assert np.array_equal(found, in_scan_order(true))


@pytest.mark.parametrize("wrap", [FlippedPredictor, AutocastPredictor])
def test_wrapped_predictors_hand_them_on(wrap):
    true = np.zeros((20, 40), int)
    true[4:9, 3:30], true[9:15, 3:30] = 1, 2
    assert np.array_equal(joined(true, predictor=wrap(Known())), true)


def test_side_by_side_objects_are_joined_across_the_seam():
    """Two that touch each other, with a step at the seam of row 9 against 10: each goes on where it touches most."""
    true = np.zeros((16, 32), int)
    true[2:9, 4:16], true[9:14, 4:16] = 1, 2
    true[2:10, 16:28], true[10:14, 16:28] = 1, 2
    assert np.array_equal(joined(true, "tiles"), true)


def test_side_by_side_only_touching_tells():
    """Without overlap two objects that end and begin at the seam are one; where they do not touch, they are two."""
    true = np.zeros((32, 32), int)
    true[2:6, 10:16], true[2:6, 16:20] = 1, 2
    true[20:24, 10:16], true[26:30, 16:20] = 3, 4
    assert joined(true, "tiles").max() == 3
    assert joined(true, "fast").max() == 4


def test_nothing_is_nothing():
    assert not joined(np.zeros((20, 20), int)).any()


@pytest.mark.parametrize("shape", [(40, 50), (17, 31), (9, 40)])
@pytest.mark.parametrize("profile", PROFILES)
def test_every_pixel_is_named_by_one_tile(shape, profile):
    grid = TileGrid.whole(shape, Tiling(16, PROFILES[profile]))
    count = np.zeros(shape, int)
    for window in (w for group in grid.groups() for w in group):
        core = grid.core(window)
        assert (window.y, window.x) <= (core.y, core.x)
        count[core.slices] += 1
    assert (count == 1).all()


def test_what_are_no_ids_is_refused():
    true = np.eye(16, dtype=int)
    with pytest.raises(PluginError, match="ids are whole numbers"):
        joined(true, predictor=Known(named=False))

    class Empty(Known):
        def predict(self, images, points=None, *, density=False):
            return Prediction(images[:, 0])

    with pytest.raises(PluginError, match="says that it gives instances, and gave none"):
        joined(true, predictor=Empty())


# ---------------------------------------------------------------- the rule, by hand
@pytest.mark.parametrize(
    ("one", "other", "pairs"),
    [
        ("111100", "055500", [(1, 5)]),  # the smaller lies inside
        ("111100", "000555", []),  # 1 of 3 pixels is less than half
        ("111100", "005555", [(1, 5)]),  # 2 of 4 are half
        ("111112", "555666", [(1, 5)]),  # 2 prefers 6, which prefers 1
        ("1122", "5555", [(1, 5)]),  # of two that are alike the first
        ("0000", "5555", []),
    ],
)
def test_matching(one, other, pairs):
    found = matching(*(np.array([[int(c) for c in ids]]) for ids in (one, other)))
    assert [tuple(pair) for pair in found.tolist()] == pairs


def test_slices_are_linked():
    """An object goes on by overlap, where it forks in the larger part; one that comes back is a new one."""
    links, named = SliceLinks(), []
    for ids in ("1111022", "1110022", "1011000", "0000011"):
        plane = np.array([[int(c) for c in ids]])
        named.append("".join(map(str, links.names(plane)[plane][0])))
    assert named == ["1111022", "1110022", "1011000", "0000033"]
    fork = SliceLinks()
    fork.names(np.array([[1, 1, 1, 1, 1, 1]]))
    assert fork.names(np.array([[1, 1, 0, 2, 2, 2]])).tolist() == [0, 2, 1]
