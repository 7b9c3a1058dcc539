"""Lazy volumes: subsets, label mapping, instance ids, the cache."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from dabench.data.labels import InstanceIds, MappedLabels
from dabench.data.volumes import ArrayVolume, CachedVolume, SliceRange, open_volume, read_all
from dabench.errors import DataError, MissingDataError
from dabench.testing.toys import WatchedVolume


def stack(*values, dtype=np.uint8):
    return np.stack([np.full((3, 4), v, dtype) for v in values])


def test_slice_range_counts_from_its_start():
    part = SliceRange(ArrayVolume(stack(0, 1, 2, 3)), 1, 3, "x.tif")
    assert part.shape == (2, 3, 4)
    assert [int(part.read(z)[0, 0]) for z in range(2)] == [1, 2]
    with pytest.raises(IndexError):
        part.read(2)
    with pytest.raises(DataError, match=r"x\.tif: the card asks for slices 2 to 5, the file has 4"):
        SliceRange(ArrayVolume(stack(0, 1, 2, 3)), 2, 6, "x.tif")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.int64, np.float32])
def test_mapping_of_every_number_type(dtype):
    labels = MappedLabels(ArrayVolume(stack(0, 128, 255, dtype=dtype)), {255: 1, 128: 0, 0: 255}, "l")
    assert [int(labels.read(z)[0, 0]) for z in range(3)] == [255, 0, 1]
    assert labels.read(0).dtype == labels.dtype == np.uint8


@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
def test_unknown_label_value_names_file_slice_and_value(dtype):
    array = stack(0, 1, dtype=dtype)
    array[1, 2, 3] = 7
    labels = MappedLabels(ArrayVolume(array), {0: 0, 1: 1}, "lab.tif")
    assert labels.read(0).max() == 0
    with pytest.raises(DataError, match=r"lab\.tif: slice 1: label value 7 at row 2, column 3") as caught:
        labels.read(1)
    assert caught.value.exit_code == 3
    assert "label_values: {7: 255}" in caught.value.mend


def test_boolean_labels():
    labels = MappedLabels(ArrayVolume(stack(False, True, dtype=bool)), {0: 0, 1: 1}, "l")
    assert [int(labels.read(z)[0, 0]) for z in range(2)] == [0, 1]


def test_instances_are_foreground_except_what_the_card_says():
    raw = ArrayVolume(stack(0, 1, 70000, 9, dtype=np.uint32))
    labels = MappedLabels(raw, {9: 255}, "l", instances=True)
    assert [int(labels.read(z)[0, 0]) for z in range(4)] == [0, 1, 1, 255]
    ids = InstanceIds(raw, {9: 255}, "l")
    assert [int(ids.read(z)[0, 0]) for z in range(4)] == [0, 1, 70000, -1]
    with pytest.raises(DataError, match="whole numbers"):
        InstanceIds(ArrayVolume(stack(0.5, dtype=np.float32)), {}, "l")


def test_cache_keeps_the_latest_slices_read_only():
    inner = WatchedVolume(stack(0, 1, 2))
    cached = CachedVolume(inner, max_bytes=24)
    for z in (0, 1, 0, 2, 0, 1):
        assert int(cached.read(z)[0, 0]) == z
    assert inner.reads == [0, 1, 2, 1]
    with pytest.raises(ValueError, match="read-only"):
        cached.read(0)[0, 0] = 1


def test_cache_in_threads_and_pickled():
    array = np.random.default_rng(0).integers(0, 255, (20, 8, 8), np.uint8)
    cached = CachedVolume(ArrayVolume(array), max_bytes=5 * 64)
    with ThreadPoolExecutor(4) as pool:
        slices = list(pool.map(cached.read, list(range(20)) * 10))
    assert all((s == array[z % 20]).all() for z, s in enumerate(slices))
    assert (read_all(pickle.loads(pickle.dumps(cached))) == array).all()


def test_open_volume_says_what_is_there_and_what_is_not(tmp_path):
    with pytest.raises(MissingDataError, match="no such file") as caught:
        open_volume(tmp_path / "a.tif", [])
    assert caught.value.exit_code == 3
    (tmp_path / "b.nii.gz").touch()
    with pytest.raises(DataError, match=r"no reader opens this \.nii\.gz file"):
        open_volume(tmp_path / "b.nii.gz", [])
    with pytest.raises(DataError, match="no reader opens this folder"):
        open_volume(tmp_path, [])


def test_array_volume_wants_three_dimensions():
    with pytest.raises(DataError, match="three dimensions"):
        ArrayVolume(np.zeros((3, 3)))
