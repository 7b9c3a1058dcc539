"""`instances-3d@1` slice by slice, against a literal version on whole volumes, numbers by hand, and edge cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
from dabench_protocols.instances_3d import Instances3d
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from dabench.errors import DataError
from dabench.ops.matching import average_precision, count_pairs

EVERYWHERE = np.ones((3, 3, 3))


def literal(prediction, label):
    """The definitions, on whole volumes, one mask an object."""
    ignored = label < 0
    if prediction.dtype == bool:
        prediction = ndimage.label(prediction & ~ignored, EVERYWHERE)[0]
    prediction, label = np.where(ignored, 0, prediction), np.where(ignored, 0, label)
    true = [label == i for i in np.unique(label) if i]
    predicted = [prediction == i for i in np.unique(prediction) if i]
    if not true and not predicted:
        return dict.fromkeys(Instances3d.metrics, math.nan)
    iou = np.array([[(p & t).sum() / (p | t).sum() for t in true] for p in predicted]).reshape(
        len(predicted), len(true)
    )
    hits = iou[iou > 0.5]
    rq, sq = 2 * hits.size / (len(true) + len(predicted)), hits.mean() if hits.size else 0
    p, t = prediction > 0, label > 0
    size = [m.sum() for m in predicted]
    return {
        "ap_75": literal_ap(iou, size, 0.75),
        "ap_50": literal_ap(iou, size, 0.5),
        "pq": rq * sq,
        "sq": sq,
        "rq": rq,
        "dice": 2 * (p & t).sum() / (p.sum() + t.sum()),
    }


def literal_ap(iou, size, threshold):
    predicted, true = iou.shape
    if not predicted or not true:
        return 0.0
    taken, hit = set(), np.zeros(predicted)
    for p in range(predicted):
        free = [t for t in range(true) if iou[p, t] >= threshold and t not in taken]
        if free:
            taken.add(free[0])
            hit[p] = 1
    curve = []
    for least in sorted(set(size)):
        in_front = np.array(size) >= least
        curve.append((round(hit[in_front].sum()), hit[in_front].mean()))
    levels = [max((p for tp, p in curve if 100 * tp >= k * true), default=0) for k in range(101)]
    return sum(levels) / 101


def streamed(prediction, label, order=None):
    protocol = Instances3d()
    for z in order if order is not None else range(len(label)):
        protocol.update(z, prediction[z], label[z])
    return protocol.result()


@settings(max_examples=100, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 6), st.integers(2, 9), st.integers(2, 9)),
    density=st.sampled_from([0.1, 0.25, 0.5]),
    as_ids=st.booleans(),
    noise=st.sampled_from([0.0, 0.05, 0.3]),
    ignore=st.sampled_from([0.0, 0.1]),
    seed=st.integers(0, 2**16),
)
def test_equal_to_the_literal_version(shape, density, as_ids, noise, ignore, seed):
    rng = np.random.default_rng(seed)
    label = ndimage.label(rng.random(shape) < density, ndimage.generate_binary_structure(3, 1))[0] * 3
    prediction = np.where(rng.random(shape) < noise, rng.integers(0, 2, shape) * 7, label)
    label = np.where(rng.random(shape) < ignore, -1, label)
    prediction = prediction.astype(np.uint32) if as_ids else prediction > 0
    expected = literal(prediction, label)
    for order in (None, rng.permutation(shape[0])):
        result = streamed(prediction, label, order)
        assert {k: result[k] for k in expected} == pytest.approx(expected, abs=1e-12, nan_ok=True)


def boxes(*places, shape=(8, 20, 20)):
    ids = np.zeros(shape, np.int32)
    for number, (z, y, x) in enumerate(places, 1):
        ids[slice(*z), slice(*y), slice(*x)] = number
    return ids


def test_average_precision_by_hand():
    """Four true objects; found, by size: hit, miss, hit. Precision 1 up to recall 1/4, 2/3 up to 1/2, then 0."""
    true = boxes(
        ((0, 4), (0, 5), (0, 5)), ((0, 4), (7, 9), (0, 2)), ((0, 1), (12, 13), (0, 1)), ((0, 1), (15, 16), (0, 1))
    )
    predicted = boxes(((0, 4), (0, 5), (0, 5)), ((4, 8), (10, 15), (10, 14)), ((0, 4), (7, 9), (0, 2)))
    expected = (26 * 1 + 25 * 2 / 3) / 101
    assert streamed(predicted, true)["ap_75"] == pytest.approx(expected)
    assert streamed(predicted > 0, true)["ap_50"] == pytest.approx(expected)
    assert streamed(predicted, true)["rq"] == pytest.approx(2 * 2 / 7)


def test_the_levels_of_iou():
    """IoU 3/4 and 1/2 are hits of AP (at least), 1/2 is none of PQ (more than)."""
    true, three, half = (
        boxes(((0, 8), (0, 4), (0, 4))),
        boxes(((0, 6), (0, 4), (0, 4))),
        boxes(((0, 4), (0, 4), (0, 4))),
    )
    assert [streamed(three, true)[k] for k in ("ap_75", "ap_50", "pq")] == [1, 1, 0.75]
    assert [streamed(half, true)[k] for k in ("ap_75", "ap_50", "pq")] == [0, 1, 0]
    both = boxes(((0, 4), (0, 4), (0, 4)), ((4, 8), (0, 4), (0, 4)))
    assert streamed(both, true)["ap_50"] == 0.5, "two halves claim one object: one hit among two of equal size"


def test_a_mask_is_joined_across_slices_through_corners():
    mask = np.zeros((4, 6, 6), bool)
    mask[0, 2, 2] = mask[1, 3, 3] = mask[2, 2, 4] = mask[3, 0, 0] = True
    assert streamed(mask, np.where(mask, np.array([5, 5, 5, 9])[:, None, None], 0))["pq"] == 1
    one = streamed(mask, np.where(mask, 5, 0))
    assert (one["ap_75"], one["ap_50"], one["rq"]) == (1, 1, pytest.approx(2 / 3)), "the speck is behind the hit"


def test_slices_that_are_not_there_cut_objects():
    mask = np.ones((3, 4, 4), bool)
    label = np.stack([np.full((4, 4), z + 1) for z in range(3)])
    assert streamed(mask, label, order=[0, 2])["rq"] == 1


def test_rows_are_the_slices_own():
    protocol = Instances3d()
    row = protocol.update(0, boxes(((0, 1), (0, 4), (0, 4)))[0] > 0, boxes(((0, 1), (0, 4), (0, 5)))[0]).values
    assert row == {
        "ap_75": 1,
        "ap_50": 1,
        "pq": 0.8,
        "sq": 0.8,
        "rq": 1,
        "dice": pytest.approx(32 / 36),
        "n_true": 1,
        "n_pred": 1,
    }
    assert protocol.update(1, np.zeros((20, 20), bool), np.zeros((20, 20), int)).left_out
    assert (protocol.result()["n"], protocol.result()["left_out"]) == (1, 1)


def test_memory_is_that_of_the_counts():
    """Slices in order leave nothing waiting but the last one."""
    protocol = Instances3d()
    mask, label = np.ones((8, 8), bool), np.ones((8, 8), np.int32)
    for z in range(300):
        protocol.update(z, mask, label)
    assert len(protocol._components._waiting) <= 2
    assert protocol.result()["pq"] == 1


def test_ids_beyond_64_bits_and_misuse():
    ids, mask = np.full((2, 2), 2**63, np.uint64), np.ones((2, 2), bool)
    with pytest.raises(DataError, match="predicted id 9223372036854775808"):
        Instances3d().update(0, ids, np.ones((2, 2), np.int32))
    assert Instances3d().update(0, ids - 1, np.ones((2, 2), np.int32)).values["pq"] == 1
    protocol = Instances3d()
    protocol.update(0, mask, mask.astype(int))
    with pytest.raises(ValueError, match="came twice"):
        protocol.update(0, mask, mask.astype(int))
    with pytest.raises(ValueError, match="ids, after slices of mask"):
        protocol.update(1, mask.astype(int), mask.astype(int))
    with pytest.raises(ValueError, match="unambiguous from"):
        average_precision(count_pairs(ids - 1, ids - 1).overlap(), 0.3)
