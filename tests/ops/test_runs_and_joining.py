"""Runs by hand; contacts of two planes against every pair of voxels; groups; counts of pairs that come in parts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dabench.ops.joining import groups, touching
from dabench.ops.matching import add_pairs, average_precision, count_pairs
from dabench.ops.metrics import overlap_table
from dabench.ops.run_lengths import runs_of


def test_runs_by_hand():
    runs = runs_of(np.array([[[0, 2, 2], [2, 0, 3]], [[-1, -1, 3], [3, 3, 3]]]))
    assert runs.ids.tolist() == [2, 2, 3, 3, 3]
    assert runs.row.tolist() == [0, 1, 1, 2, 3], "a run ends with its row"
    assert runs.start.tolist() == [1, 0, 2, 2, 0]
    assert runs.length.tolist() == [2, 1, 1, 1, 3]
    assert runs.first.tolist() == [1, 3, 5, 8, 9]


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    reach=st.sampled_from([0, 1, 2]),
    rows=st.booleans(),
    seed=st.integers(0, 2**16),
)
def test_contacts_are_those_of_every_pair_of_voxels(shape, reach, rows, seed):
    rng = np.random.default_rng(seed)
    one, other = (rng.integers(0, 4, shape) * (rng.random(shape) < 0.6) for _ in range(2))
    expected = {
        (one[p], other[q])
        for p in np.ndindex(shape)
        for q in np.ndindex(shape)
        if one[p] and other[q]
        and max(abs(p[0] - q[0]), abs(p[1] - q[1])) <= 1
        and (p[0] != q[0]) + (p[1] != q[1]) <= reach
        and (rows or p[0] == q[0])
    }  # fmt: skip
    found = touching(runs_of(one), runs_of(other), reach, rows=rows)
    assert [tuple(pair) for pair in found.tolist()] == sorted(expected)


def test_groups():
    group = groups(5, np.array([[0, 3], [3, 4]]))
    assert group[0] == group[3] == group[4]
    assert len({group[0], group[1], group[2]}) == 3
    assert groups(0, np.zeros((0, 2), np.int64)).size == 0


def test_pairs_in_parts_equal_the_table_of_the_whole():
    rng = np.random.default_rng(0)
    true, predicted = rng.integers(0, 9, (6, 20, 20)) * 5, rng.integers(0, 12, (6, 20, 20))
    overlap = add_pairs(count_pairs(t, p) for t, p in zip(true, predicted, strict=True)).overlap()
    whole = overlap_table(true, predicted)
    for name in ("true_area", "predicted_area", "true", "predicted", "pixels"):
        np.testing.assert_array_equal(getattr(overlap, name), getattr(whole, name))


def test_nothing_gives_nothing():
    assert add_pairs([]).overlap().empty
    assert np.isnan(average_precision(add_pairs([]).overlap(), 0.5))


@pytest.mark.parametrize("seed", range(3))
def test_precision_does_not_depend_on_names(seed):
    """Predictions of equal size are counted together, whatever their ids say of their order."""
    rng = np.random.default_rng(seed)
    true = np.repeat(np.arange(1, 21), 10).reshape(20, 10)
    predicted = np.where(rng.random((20, 1)) < 0.5, true, np.roll(true, 5))
    names = np.concatenate([[0], rng.permutation(20) + 1])
    one, other = (average_precision(count_pairs(true, p).overlap(), 0.75) for p in (predicted, names[predicted]))
    assert one == other
    assert 0 < one < 1
