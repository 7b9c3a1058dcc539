"""Metrics from one table, against the formulae written out literally."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from literal_metrics import components, literal_aji, literal_dice, literal_panoptic

from dabench.ops.components import label_components
from dabench.ops.metrics import aji, dice, overlap_table, panoptic

SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24)


def masks(shape):
    """Speckle (many small, touching, tied objects) or blocks (few big ones)."""
    speckle = hnp.arrays(bool, shape)
    side = st.integers(0, max(shape))
    blocks = st.lists(st.tuples(side, side, side, side), max_size=5).map(lambda boxes: paint(shape, boxes))
    return st.one_of(speckle, blocks)


def paint(shape, boxes):
    mask = np.zeros(shape, bool)
    for top, bottom, left, right in boxes:
        mask[top:bottom, left:right] = True
    return mask


@settings(max_examples=100, deadline=None)
@given(st.data(), st.sampled_from([0, 3, 15]))
def test_equal_to_the_literal_version(data, largest):
    shape = data.draw(SHAPES)
    truth, prediction = data.draw(masks(shape)), data.draw(masks(shape))
    overlap = overlap_table(label_components(truth), label_components(prediction)).without_small(largest)
    true, predicted = components(truth), components(prediction, largest)
    assert overlap.true_area.tolist() == [m.sum() for m in true]
    assert overlap.predicted_area.tolist() == [m.sum() for m in predicted]
    if not true and not predicted:
        assert overlap.empty
        return
    assert dice(overlap) == pytest.approx(literal_dice(true, predicted), abs=1e-12)
    assert aji(overlap) == pytest.approx(literal_aji(true, predicted), abs=1e-12)
    found = panoptic(overlap)
    assert (found.pq, found.dq, found.sq) == pytest.approx(literal_panoptic(true, predicted), abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(np.int32, (9, 9), elements=st.integers(0, 4)), st.permutations([3, 70, 41, 1000]))
def test_ids_are_only_names(ids, names):
    truth = np.roll(ids, 1, axis=0)
    table = np.array([0, *names])
    plain, renamed = overlap_table(truth, ids), overlap_table(table[truth], table[ids].astype(np.uint64))
    for metric in (dice, lambda o: panoptic(o).pq):
        np.testing.assert_allclose(metric(plain), metric(renamed), rtol=1e-12)


def test_sorted_and_counted_pairs_agree(monkeypatch):
    rng = np.random.default_rng(0)
    truth, prediction = rng.integers(0, 50, (2, 64, 64))
    dense = overlap_table(truth, prediction)
    monkeypatch.setattr("dabench.ops.metrics._DENSE_CELLS", 0)
    for a, b in zip(vars(dense).values(), vars(overlap_table(truth, prediction)).values(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_empty_sides():
    nothing, something = np.zeros((4, 4), int), np.ones((4, 4), int)
    both = overlap_table(nothing, nothing)
    assert both.empty
    assert math.isnan(dice(both))
    assert math.isnan(aji(both))
    assert math.isnan(panoptic(both).pq)
    for pair in ((nothing, something), (something, nothing)):
        overlap = overlap_table(*pair)
        assert (dice(overlap), aji(overlap), panoptic(overlap).pq) == (0, 0, 0)


def test_a_prediction_may_be_matched_twice():
    truth = np.array([[1, 1, 0, 2, 2]])
    prediction = np.array([[1, 1, 1, 1, 1]])
    # intersections 2 + 2, unions 5 + 5; one-to-one matching (AJI+) would give 2 / (5 + 2).
    assert aji(overlap_table(truth, prediction)) == pytest.approx(4 / 10)


def test_pq_needs_more_than_half():
    truth, prediction = np.array([[1, 1, 0]]), np.array([[1, 0, 0]])
    assert panoptic(overlap_table(truth, prediction)).pq == 0
    perfect = panoptic(overlap_table(truth, truth))
    assert perfect.dq == 1
    assert perfect.sq == pytest.approx(1, abs=2e-6)


@pytest.mark.parametrize("shape", [(3, 1), (1, 3), (3, 3), (5, 4)])
def test_no_background_is_labelled_at_odd_edges(shape):
    """The defect of cc3d's own path for binary images, which `label_components` must not take."""
    for pixel in np.ndindex(shape):
        mask = np.zeros(shape, bool)
        mask[pixel] = True
        mask.setflags(write=False)
        np.testing.assert_array_equal(label_components(mask), mask)


def test_fifteen_pixels_go_and_sixteen_stay():
    ids = np.zeros((4, 16), int)
    ids[0, :15], ids[2, :16] = 1, 2
    assert overlap_table(ids, ids).without_small().predicted_area.tolist() == [16]


def test_shapes_must_match():
    with pytest.raises(ValueError, match=r"\(2, 2\).*\(2, 3\)"):
        overlap_table(np.zeros((2, 2), int), np.zeros((2, 3), int))
