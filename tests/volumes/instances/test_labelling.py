"""Labelling box by box equals labelling at once, whatever the boxes; a killed run goes on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from dabench.data.volumes import ArrayVolume
from dabench.errors import ConfigError, DataError
from dabench.types import Block
from dabench.volumes.instances import LabelledVolume, Labelling, find_objects, label_volume, least_voxels


class Sink:
    """A sink in memory."""

    def __init__(self, shape):
        self.array = np.full(shape, 77, np.uint64)

    def write_block(self, block, values):
        assert values.shape == block.shape
        assert values.dtype == np.uint32
        self.array[block.slices] = values


def whole(mask, dims, connectivity, least=0):
    """The same by scipy, on the whole volume: ids in raster order of first voxels, after small ones are dropped."""
    steps = {6: 1, 18: 2, 26: 3, 4: 1, 8: 2}[connectivity]
    structure = ndimage.generate_binary_structure(3, steps)
    if dims == 2:
        structure[[0, 2]] = False
    ids, _ = ndimage.label(mask, structure)
    values, first, sizes = np.unique(ids, return_index=True, return_counts=True)
    kept = sorted((f, v) for v, f, n in zip(values, first, sizes, strict=True) if v and n >= least)
    names = np.zeros(ids.max() + 1, int)
    names[[v for _, v in kept]] = np.arange(1, len(kept) + 1)
    return names[ids]


def label(mask, chunk, folder, dims=3, least=0, connectivity=None):
    sink = Sink(mask.shape)
    count = label_volume(ArrayVolume(mask), sink, dims, least, chunk, folder, connectivity)
    assert not folder.exists(), "scratch is left behind"
    return count, sink.array


sides = st.integers(1, 9)


@settings(max_examples=80, deadline=None)
@given(
    shape=st.tuples(sides, sides, sides),
    chunk=st.tuples(st.integers(1, 10), st.integers(2, 10), st.integers(2, 10)),
    kind=st.sampled_from([(3, 26), (3, 18), (3, 6), (2, 8), (2, 4)]),
    density=st.sampled_from([0.05, 0.2, 0.35, 0.6, 0.9]),
    least=st.integers(0, 5),
    seed=st.integers(0, 2**16),
)
def test_equal_to_the_whole_volume(tmp_path_factory, shape, chunk, kind, density, least, seed):
    mask = np.random.default_rng(seed).random(shape) < density
    expected = whole(mask, *kind, least)
    count, ids = label(mask, chunk, tmp_path_factory.mktemp("scratch") / "s", kind[0], least, kind[1])
    assert count == expected.max()
    np.testing.assert_array_equal(ids, expected)


@pytest.mark.parametrize("kind", [(3, 26), (3, 18), (3, 6), (2, 8), (2, 4)])
def test_boxes_of_one_voxel(tmp_path, kind):
    mask = np.random.default_rng(1).random((4, 5, 6)) < 0.3
    _, ids = label(mask, (1, 1, 1), tmp_path / "s", kind[0], 0, kind[1])
    np.testing.assert_array_equal(ids, whole(mask, *kind))


@pytest.mark.parametrize("value", [0, 1])
def test_empty_and_full(tmp_path, value):
    count, ids = label(np.full((5, 6, 7), value, np.uint8), (2, 3, 4), tmp_path / "s")
    assert count == value
    assert (ids == value).all()


def test_corner_edge_and_face_by_hand(tmp_path):
    """Two voxels that meet in the corner of eight boxes."""
    mask = np.zeros((4, 4, 4), np.uint8)
    mask[1, 1, 2] = mask[2, 2, 1] = 255
    assert [label(mask, (2, 2, 2), tmp_path / str(c), 3, 0, c)[0] for c in (26, 18, 6)] == [1, 2, 2]
    mask[2, 2, 1], mask[2, 2, 2] = 0, 1  # now they share an edge: (1, 1, 2) and (2, 2, 2)
    assert [label(mask, (2, 2, 2), tmp_path / str(c), 3, 0, c)[0] for c in (26, 18, 6)] == [1, 1, 2]


def test_the_size_filter_keeps_what_is_at_least_that_large(tmp_path):
    mask = np.zeros((1, 4, 20), np.uint8)
    mask[0, 0, :15], mask[0, 2, :16] = 1, 1
    count, ids = label(mask, (1, 4, 8), tmp_path / "s", 2, least_voxels("16px", None, 2))
    assert count == 1
    assert ids[0, 2, 0] == 1
    assert not ids[0, 0].any()


def test_a_killed_run_goes_on(tmp_path):
    mask = np.random.default_rng(3).random((6, 9, 8)) < 0.4

    class Killed(ArrayVolume):
        reads = 0

        def read_block(self, block):
            Killed.reads += 1
            if Killed.reads == 8:
                raise KeyboardInterrupt
            return super().read_block(block)

    with pytest.raises(KeyboardInterrupt):
        label_volume(Killed(mask), Sink(mask.shape), 3, 0, (2, 3, 4), tmp_path / "s")
    done = len(list((tmp_path / "s").glob("*.npz")))
    assert done == 7
    sink = Sink(mask.shape)
    before = Killed.reads
    steps = []
    label_volume(Killed(mask), sink, 3, 0, (2, 3, 4), tmp_path / "s", progress=lambda *step: steps.append(step))
    np.testing.assert_array_equal(sink.array, whole(mask, 3, 26))
    assert steps[-1] == (36, 36)
    assert Killed.reads - before == 18 - done + 18, "boxes that were done are found, not labelled again"


def test_scratch_of_another_labelling_is_refused(tmp_path):
    mask = ArrayVolume(np.ones((2, 3, 4), np.uint8))
    find_objects(mask, Labelling.of(mask.shape, 3, (1, 3, 4)), 0, tmp_path / "s")
    with pytest.raises(DataError, match="another labelling"):
        find_objects(mask, Labelling.of(mask.shape, 3, (2, 3, 4)), 0, tmp_path / "s")


def test_a_mask_that_changes_meanwhile_is_noticed(tmp_path):
    mask = np.ones((2, 3, 4), np.uint8)
    objects = find_objects(ArrayVolume(mask), Labelling.of(mask.shape, 3, (1, 3, 4)), 0, tmp_path / "s")
    changed = mask.copy()
    changed[1, 1, 1] = 0
    with pytest.raises(DataError, match="the mask changed"):
        LabelledVolume(ArrayVolume(changed), objects).read(1)


def test_any_box_of_a_labelled_volume(tmp_path):
    mask = np.random.default_rng(5).random((5, 8, 9)) < 0.3
    objects = find_objects(ArrayVolume(mask), Labelling.of(mask.shape, 3, (2, 3, 4)), 0, tmp_path / "s")
    labelled, expected = LabelledVolume(ArrayVolume(mask), objects), whole(mask, 3, 26)
    assert (labelled.shape, labelled.chunks, labelled.dtype, labelled.voxel) == ((5, 8, 9), (2, 3, 4), np.uint32, None)
    np.testing.assert_array_equal(labelled.read(3), expected[3])
    block = Block(1, 2, 3, 3, 5, 6)
    np.testing.assert_array_equal(labelled.read_block(block), expected[block.slices])


@pytest.mark.parametrize("dtype", [np.float32, np.complex64])
def test_a_probability_is_no_mask(tmp_path, dtype):
    with pytest.raises(DataError, match="must hold whole numbers"):
        label_volume(ArrayVolume(np.zeros((1, 2, 2), dtype)), Sink((1, 2, 2)), 3, 0, (1, 2, 2), tmp_path)


@pytest.mark.parametrize(
    ("dims", "connectivity", "chunk"), [(4, None, (1, 1, 1)), (3, 8, (1, 1, 1)), (2, 26, (1, 1, 1)), (3, 6, (0, 1, 1))]
)
def test_wrong_settings(dims, connectivity, chunk):
    with pytest.raises(ConfigError):
        Labelling.of((2, 2, 2), dims, chunk, connectivity)


@pytest.mark.parametrize(
    ("text", "dims", "voxels"),
    [("15px", 2, 15), ("5e5nm3", 3, 261), ("1920 nm3", 3, 1), ("1921nm3", 3, 2), ("640nm2", 2, 10), ("0px", 3, 0)],
)
def test_sizes_in_px_and_nm(text, dims, voxels):
    assert least_voxels(text, (30, 8, 8), dims) == voxels


@pytest.mark.parametrize("text", ["15", "nm3", "-3px", "1..2px", "5nm2", "5 um3"])
def test_sizes_that_cannot_be_read(text):
    with pytest.raises(ConfigError):
        least_voxels(text, (30, 8, 8), 3)


def test_a_size_in_nm_needs_a_voxel_size():
    with pytest.raises(ConfigError, match="--voxel"):
        least_voxels("5e5nm3", None, 3)
