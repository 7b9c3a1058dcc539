"""Volumes at another pixel size: any box has the bits of its slice, labels are what most of a pixel is."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dabench.data.blocks import read_block
from dabench.data.intensity import UnitVolume
from dabench.data.labels import PartialLabels, known_slices
from dabench.data.resampled import ResampledLabels, ResampledVolume
from dabench.data.volumes import ArrayVolume, CachedVolume, read_all
from dabench.ops.resampling import Resampling
from dabench.types import Block

same = np.testing.assert_array_equal


@settings(max_examples=30, deadline=None)
@given(data=st.data(), target=st.tuples(st.integers(5, 60), st.integers(5, 60)))
def test_any_box_has_the_bits_of_its_slices(data, target):
    images = ArrayVolume(np.random.default_rng(0).random((3, 31, 40), dtype=np.float32))
    volume = ResampledVolume(images, Resampling((31, 40), target))
    whole = read_all(volume)
    assert whole.shape == volume.shape == (3, *target)
    assert whole.dtype == volume.dtype == np.float32
    starts = [data.draw(st.integers(0, n - 1)) for n in volume.shape]
    sizes = [data.draw(st.integers(1, n - at)) for n, at in zip(volume.shape, starts, strict=True)]
    block = Block(*starts, *sizes)
    same(read_block(volume, block), whole[block.slices])
    same(read_block(CachedVolume(volume), block), whole[block.slices])


def test_it_says_no_voxel_of_the_file_and_travels():
    images = ArrayVolume(np.zeros((2, 8, 8), np.float32))
    volume = ResampledVolume(images, Resampling((8, 8), (4, 2)))
    assert volume.chunks == (1, 4, 2)
    assert volume.voxel is None
    same(pickle.loads(pickle.dumps(volume)).read(1), volume.read(1))
    with pytest.raises(IndexError):
        volume.read_block(Block(0, 0, 0, 1, 5, 2))


def test_padding_stays_of_one_grey():
    """A tile of one grey is not asked about (`dabench.inference.chunks`): resampling must not make two of it."""
    raw = np.zeros((1, 256, 256), np.uint8)
    raw[0, 128:] = np.random.default_rng(0).integers(60, 200, (128, 256))
    unit = UnitVolume(ArrayVolume(raw), "volume")
    volume = ResampledVolume(unit, Resampling((256, 256), (101, 101)))
    assert set(np.unique(volume.read(0)[:45])) == {np.float32(0.5)}


def test_labels_are_what_most_of_a_pixel_is():
    labels = np.array([[0, 0, 1, 1], [0, 1, 1, 1], [255, 255, 1, 0], [255, 255, 0, 0]], np.uint8)
    found = ResampledLabels(ArrayVolume(labels[None].repeat(2, 0)), Resampling((4, 4), (2, 2)))
    same(found.read(0), [[0, 1], [255, 0]])
    assert found.dtype == np.uint8
    finer = ResampledLabels(ArrayVolume(labels[None]), Resampling((4, 4), (12, 12)))
    same(finer.read(0)[1::3, 1::3], labels)


def test_slices_that_nobody_labelled_stay_unknown():
    part = PartialLabels(ArrayVolume(np.ones((2, 6, 6), np.uint8)), first=1, depth=4)
    found = CachedVolume(ResampledLabels(CachedVolume(part), Resampling((6, 6), (3, 3))))
    assert known_slices(found) == range(1, 3)
    assert [int(found.read(z).min()) for z in range(4)] == [255, 1, 1, 255]
