"""Labels by box, of some slices only, and ids that do not fit."""

import pickle

import numpy as np
import pytest
from dabench_readers.tiff import TiffReader
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tifffile import imwrite

from dabench.data.adding import NewSplit, new_card
from dabench.data.blocks import read_block
from dabench.data.card import parse_card
from dabench.data.card_domain import CardDomain
from dabench.data.digests import DigestCache
from dabench.data.intensity import RescaledVolume, UnitVolume
from dabench.data.labels import InstanceIds, MappedLabels, PartialLabels, known_slices
from dabench.data.volumes import ArrayVolume, CachedVolume, SliceRange, Upright, open_volume, read_all
from dabench.errors import ConfigError, DataError
from dabench.types import Block

RAW = np.random.default_rng(0).integers(0, 4, (6, 9, 11)).astype(np.uint16)
VOXEL = (30.0, 8.0, 8.0)
WRAPPERS = {
    "range": lambda v: SliceRange(v, 1, 5, "x"),
    "labels": lambda v: MappedLabels(v, {0: 0, 1: 1, 2: 255, 3: 0}, "x"),
    "ids": lambda v: InstanceIds(v, {0: 0, 2: 255}, "x"),
    "partial": lambda v: PartialLabels(v, 2, 10),
    "cached": lambda v: CachedVolume(v, max_bytes=2 * 9 * 11 * 2),
    "rescaled": lambda v: RescaledVolume(v, 0, 3),
    "unit-volume": lambda v: UnitVolume(v, "volume"),
    "unit-slice": lambda v: UnitVolume(v, "slice"),
    "unit-range": lambda v: UnitVolume(v, "range"),
    "nested": lambda v: CachedVolume(UnitVolume(RescaledVolume(SliceRange(v, 1, 6, "x"), 0, 3), "slice")),
}


@pytest.mark.parametrize("name", WRAPPERS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_wrapper_by_box_is_the_same_by_slice(name, data):
    volume = WRAPPERS[name](ArrayVolume(RAW))
    whole = read_all(volume)
    assert whole.shape == volume.shape
    assert whole.dtype == volume.dtype
    spans = [sorted(data.draw(st.sets(st.integers(0, n), min_size=2, max_size=2))) for n in volume.shape]
    (z, z1), (y, y1), (x, x1) = spans
    np.testing.assert_array_equal(read_block(volume, Block(z, y, x, z1 - z, y1 - y, x1 - x)), whole[z:z1, y:y1, x:x1])


def test_a_box_never_leaves_a_range():
    with pytest.raises(IndexError, match="leaves a volume"):
        SliceRange(ArrayVolume(RAW), 1, 3, "x").read_block(Block(0, 0, 0, 3, 9, 11))


def test_an_unknown_value_in_a_box_names_its_place():
    raw = RAW.copy()
    raw[3, 5, 7] = 9
    labels = MappedLabels(ArrayVolume(raw), dict.fromkeys(range(4), 0), "lab.h5")
    with pytest.raises(DataError, match=r"lab\.h5: slice 3: label value 9 at row 5, column 7"):
        labels.read_block(Block(2, 4, 4, 3, 4, 5))


def test_ids_of_annotation_servers_stay_apart():
    """Beyond 31 bits they are numbered anew, the same wherever they are met; small ones stay what they are."""
    stored = np.array([[[0, 5, 2**40]], [[2**40, 2**63 + 7, 5]]], np.uint64)
    ids = InstanceIds(ArrayVolume(stored), {0: 0}, "seg.zarr")
    most = 2**31 - 1
    assert ids.read(1).tolist() == [[most, most - 1, 5]]
    assert ids.read(0).tolist() == [[0, 5, most]]
    again = pickle.loads(pickle.dumps(ids))
    assert again.read(0).tolist() == [[0, 5, most]]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_ids_that_would_meet_the_new_numbers_are_refused(order):
    """Whichever is met first."""
    stored = np.array([[[2**31, 1]], [[2**31 - 1, 1]]], np.uint64)
    ids = InstanceIds(ArrayVolume(stored), {}, "seg.zarr")
    ids.read(order[0])
    with pytest.raises(DataError, match=r"seg\.zarr.* both sides of 2147483647"):
        ids.read(order[1])


def test_images_of_which_zero_is_white_are_turned(tmp_path):
    image = np.arange(20, dtype=np.uint8).reshape(1, 4, 5)
    for dtype in (np.uint8, np.int16, np.uint16):
        volume = ArrayVolume(image.astype(dtype))
        assert Upright.of(volume) is volume
        volume.white_is_zero = True
        turned = Upright.of(SliceRange(volume, 0, 1, "x"))
        assert turned.dtype == dtype
        limits = np.iinfo(dtype)
        assert (turned.read(0).astype(int) == limits.max + limits.min - image[0].astype(int)).all()
        assert Upright.of(turned) is turned


def test_known_statistics_are_taken_and_voxels_passed_through():
    class Said(ArrayVolume):
        voxel = VOXEL

    volume = CachedVolume(UnitVolume(RescaledVolume(Said(RAW), 0, 3), "volume", statistics=(0.5, 0.1)))
    assert volume.voxel == VOXEL
    np.testing.assert_allclose(volume.read(0), np.clip((RAW[0] / 3 - 0.5) / 0.6 + 0.5, 0, 1), atol=1e-6)


def test_a_large_slice_is_measured_in_bands(monkeypatch):
    monkeypatch.setattr("dabench.data.intensity._LARGE_SLICE", 50)
    monkeypatch.setattr("dabench.data.intensity._BAND", 23)

    class NoWholeSlices(ArrayVolume):
        def read(self, z):
            raise AssertionError("a whole slice was read")

    volume = UnitVolume(NoWholeSlices(RAW), "volume")
    assert volume.statistics() == pytest.approx((RAW.mean(), RAW.std()))
    box = Block(1, 2, 3, 2, 4, 5)
    stretched = UnitVolume(NoWholeSlices(RAW), "slice").read_block(box)
    np.testing.assert_array_equal(stretched, read_all(UnitVolume(ArrayVolume(RAW), "slice"))[box.slices])


# -------------------------------------------------------------------------------------------- labels of some slices
def opener(path):
    return open_volume(path, [TiffReader()])


@pytest.fixture
def files(tmp_path):
    labels = np.zeros((3, 9, 11), np.uint8)
    labels[:, 2:5, 2:6] = 1
    imwrite(tmp_path / "im.tif", RAW, photometric="minisblack")
    imwrite(tmp_path / "lab.tif", labels, photometric="minisblack")
    return tmp_path / "im.tif", tmp_path / "lab.tif"


def test_labels_of_some_slices(files):
    card = new_card(NewSplit("liver", "train", *files, slices=(1, 6), labelled=(2, 5)), VOXEL, opener)
    split = CardDomain(card, digests=DigestCache()).open("train", opener)
    labels = read_all(split.labels)
    assert labels.shape == split.images.shape == (5, 9, 11)
    assert known_slices(split.labels) == range(1, 4)
    assert (labels[[0, 4]] == 255).all()
    assert labels[1:4].sum() == 3 * 12
    whole = new_card(NewSplit("liver", "train", *files, slices=(1, 4), label_slices=(0, 3)), VOXEL, opener)
    assert CardDomain(whole, digests=DigestCache()).open("train", opener).label_digest != split.label_digest


def test_labels_of_some_slices_that_do_not_fit(files):
    with pytest.raises(DataError, match=r"have \(6, 9, 11\).*, of which slices 1 to 4 are labelled"):
        new_card(NewSplit("liver", "train", *files, labelled=(1, 5)), VOXEL, opener)
    with pytest.raises(DataError, match="of which slices 4 to 6 are labelled"):
        new_card(NewSplit("liver", "train", *files, labelled=(4, 7)), VOXEL, opener)
    with pytest.raises(ConfigError, match="must lie within slices"):
        new_card(NewSplit("liver", "train", *files, slices=(0, 3), labelled=(2, 5)), VOXEL, opener)
    with pytest.raises(ConfigError, match="the split has no labels"):
        parse_card(
            {"name": "x", "description": "", "voxel": VOXEL, "splits": {"train": {"images": "a", "labelled": [0, 1]}}},
            "card",
        )
