"""Components, centres: hand-made slices."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from dabench.ops.centres import component_centres
from dabench.ops.components import component_sizes, label_components, remove_small

SLICES = hnp.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))


def test_diagonal_neighbours_are_one_component() -> None:
    assert label_components(np.eye(4, dtype=bool)).max() == 1


@given(SLICES)
@settings(max_examples=50, deadline=None)
def test_components_equal_scipys(mask: np.ndarray) -> None:
    expected, count = ndimage.label(mask, np.ones((3, 3)))
    labels = label_components(mask)
    assert labels.max(initial=0) == count
    assert len({*zip(expected.ravel().tolist(), labels.ravel().tolist(), strict=True)}) == len(np.unique(expected))
    assert component_sizes(labels).sum() == mask.size


def test_small_objects_go_at_fifteen_pixels() -> None:
    mask = np.zeros((10, 20), dtype=bool)
    mask[0, :15] = True
    mask[5, :16] = True
    kept = remove_small(mask)
    assert not kept[0].any()
    assert kept[5].sum() == 16


def test_centres_are_x_y_centroids() -> None:
    mask = np.zeros((10, 12), dtype=np.uint8)
    mask[2:5, 6:8] = 1
    mask[8, 1] = 1
    np.testing.assert_allclose(component_centres(mask), [[6.5, 3.0], [1.0, 8.0]])


def test_centre_of_a_ring_lies_on_the_ring() -> None:
    mask = np.ones((9, 9), dtype=bool)
    mask[1:8, 1:8] = False
    ((x, y),) = component_centres(mask)
    assert mask[int(y), int(x)]


@given(SLICES)
@settings(max_examples=50, deadline=None)
def test_every_component_has_a_centre_inside(mask: np.ndarray) -> None:
    labels = label_components(mask)
    centres = np.rint(component_centres(mask)).astype(int)
    assert [labels[y, x] for x, y in centres] == list(range(1, labels.max(initial=0) + 1))


def test_empty_slice_has_no_centres() -> None:
    assert component_centres(np.zeros((5, 5))).shape == (0, 2)
