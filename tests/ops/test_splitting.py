"""Objects that touch: cut at necks, and nothing else is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from dabench.ops.components import label_components
from dabench.ops.splitting import split_touching


def disc(y: float, x: float, radius: float, shape: tuple[int, int] = (40, 80)) -> np.ndarray:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def test_two_touching_discs_are_one_component_and_two_objects() -> None:
    one, two = disc(20, 18, 10), disc(20, 36, 10)  # 18 px apart: the neck is 8.7 px wide, less than half of 20
    assert label_components(one | two).max() == 1
    ids = split_touching(one | two)
    assert ids.max() == 2
    assert ids.dtype == np.int32
    # What only one disc has is that disc's; what both have is shared out.
    assert set(np.unique(ids[one & ~two])) == {1}
    assert set(np.unique(ids[two & ~one])) == {2}


@pytest.mark.parametrize("apart", [4, 8, 12])
def test_discs_that_run_into_each_other_are_one(apart: float) -> None:
    """At 12 px the neck is 16 px wide, more than half of 20."""
    assert split_touching(disc(20, 18, 10) | disc(20, 18 + apart, 10)).max() == 1


def test_a_large_and_a_small_one_and_a_chain_of_three() -> None:
    assert split_touching(disc(20, 18, 14) | disc(20, 38, 6)).max() == 2
    assert split_touching(disc(20, 12, 10) | disc(20, 30, 10) | disc(20, 48, 10)).max() == 3


@pytest.mark.parametrize(
    "mask",
    [
        disc(20, 40, 12),
        np.pad(np.ones((6, 70), bool), 5),  # a long bar
        disc(20, 40, 15) & ~disc(20, 40, 8),  # a ring
        disc(12, 20, 9) | disc(30, 60, 6),  # two that lie apart: two components
        disc(20, 0, 12),  # cut by the border
    ],
)
def test_what_has_no_neck_stays_as_its_components(mask: np.ndarray) -> None:
    assert np.array_equal(split_touching(mask) > 0, mask)
    assert split_touching(mask).max() == label_components(mask).max()


def test_nothing_and_everything() -> None:
    assert not split_touching(np.zeros((5, 6), bool)).any()
    assert (split_touching(np.ones((5, 6), bool)) == 1).all()


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24)))
def test_every_object_is_a_part_of_one_component(mask: np.ndarray) -> None:
    ids, components = split_touching(mask), label_components(mask)
    assert np.array_equal(ids > 0, mask)
    pairs = np.unique(np.stack([ids[mask], components[mask]]), axis=1)
    assert np.array_equal(pairs[0], np.arange(1, ids.max() + 1)), "an id lies in one component, and none is left out"
    assert set(pairs[1]) == set(range(1, components.max() + 1))


@given(st.integers(3, 12), st.integers(3, 12))
def test_it_does_not_matter_where_the_objects_lie(y: int, x: int) -> None:
    pair = disc(20, 18, 8, (60, 70)) | disc(20, 32, 8, (60, 70))
    assert np.array_equal(np.roll(split_touching(pair), (y, x), (0, 1)), split_touching(np.roll(pair, (y, x), (0, 1))))
