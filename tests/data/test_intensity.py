"""Intensities: every number type, three modes, and pixels that are not numbers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dabench.data import intensity
from dabench.data.intensity import RescaledVolume, UnitVolume
from dabench.data.volumes import ArrayVolume
from dabench.errors import DataError
from dabench.testing.toys import WatchedVolume
from dabench.types import Block


def unit(array, mode="range"):
    return UnitVolume(ArrayVolume(np.asarray(array)), mode, "im.tif")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.int8, np.uint32])
def test_range_maps_the_type_to_zero_one(dtype):
    info = np.iinfo(dtype)
    image = unit(np.array([[[info.min, info.max]]], dtype)).read(0)
    assert image.dtype == np.float32
    np.testing.assert_allclose(image, [[0, 1]], atol=1e-6)


def test_range_of_bool_and_float():
    np.testing.assert_array_equal(unit([[[True, False]]]).read(0), [[1, 0]])
    np.testing.assert_allclose(unit(np.array([[[0.25, 1.0]]])).read(0), [[0.25, 1]])
    with pytest.raises(DataError, match=r"im\.tif: slice 0: floating-point pixels from -1 to 300") as caught:
        unit(np.array([[[-1.0, 300.0]]])).read(0)
    assert "intensity: [low, high]" in caught.value.mend
    declared = UnitVolume(RescaledVolume(ArrayVolume(np.array([[[-1.0, 300.0]]])), 0, 300))
    np.testing.assert_allclose(declared.read(0), [[0, 1]])


@pytest.mark.parametrize("mode", ["range", "volume", "slice"])
def test_nan_names_file_slice_and_place(mode):
    array = np.zeros((2, 3, 4), np.float32)
    array[1, 2, 3] = np.nan
    with pytest.raises(DataError, match=r"im\.tif: slice 1: 1 pixels are NaN.* row 2, column 3") as caught:
        unit(array, mode).read(1)
    assert caught.value.exit_code == 3


def test_volume_mode_standardises_without_labels():
    rng = np.random.default_rng(0)
    array = rng.normal(120, 15, (50, 32, 32)).round().astype(np.uint8)
    volume = unit(array, "volume")
    image = np.stack([volume.read(z) for z in range(50)])
    assert image.mean() == pytest.approx(0.5, abs=0.01)
    assert image.std() == pytest.approx(1 / 6, rel=0.02)
    assert image.min() >= 0
    assert image.max() <= 1
    brighter = unit((array.astype(np.uint16) * 50), "volume").read(3)
    np.testing.assert_allclose(brighter, image[3], atol=1e-4)


def test_volume_statistics_look_at_most_at_32_slices():
    volume = UnitVolume(watched := WatchedVolume(np.ones((100, 2, 2), np.uint8)), "volume")
    assert volume.statistics() == (1.0, 0.0)
    volume.statistics()
    assert len(watched.reads) == 32
    assert volume.read(0).tolist() == [[0.5, 0.5], [0.5, 0.5]]


def test_slice_mode_stretches_each_slice():
    volume = unit(np.array([[[10, 20]], [[100, 200]], [[7, 7]]], np.uint8), "slice")
    assert [volume.read(z).tolist() for z in range(3)] == [[[0, 1]], [[0, 1]], [[0.5, 0.5]]]


def test_unknown_mode():
    with pytest.raises(DataError, match="one of range, volume, slice"):
        unit(np.zeros((1, 1, 1)), "zscore")


@pytest.mark.parametrize("corner", [(64, 128), (0, 0), (50, 90), (37, 1)], ids=str)
@pytest.mark.parametrize("grey", [0, 255])
def test_padding_takes_no_part_in_the_statistics(corner, grey):
    """Wherever the tissue lies: its edge need not be one of the patches that padding is found by."""
    rng = np.random.default_rng(0)
    tissue = rng.normal(100, 10, (2, 128, 192)).astype(np.uint8)
    padded = np.full((2, 300, 500), grey, np.uint8)
    y, x = corner
    padded[:, y : y + 128, x : x + 192] = tissue
    expected = UnitVolume(ArrayVolume(tissue), "volume").statistics()
    assert UnitVolume(ArrayVolume(padded), "volume").statistics() == pytest.approx(expected, abs=1e-9)


def test_a_volume_of_padding_alone_has_statistics():
    assert UnitVolume(ArrayVolume(np.full((2, 90, 90), 7, np.uint8)), "volume").statistics() == (7.0, 0.0)


# ---------------------------------------------------------------- padding as it is seen
def framed(grey=0, corner=(37, 70), shape=(2, 300, 400), dtype=np.uint8):
    images = np.full(shape, grey, dtype)
    y, x = corner
    tissue = np.random.default_rng(0).normal(100, 10, (shape[0], 180, 250)).clip(1, 254)
    images[:, y : y + 180, x : x + 250] = tissue.astype(dtype)
    outside = np.ones(shape[1:], bool)
    outside[y : y + 180, x : x + 250] = False
    return images, outside


@pytest.mark.parametrize("grey", [0, 255])
@pytest.mark.parametrize("mode", ["range", "volume", "slice", "low,high"])
def test_padding_is_seen_as_the_mean_grey_of_tissue(mode, grey):
    images, outside = framed(grey)
    stored = ArrayVolume(images)
    seen = UnitVolume(RescaledVolume(stored, 80, 120), "range") if mode == "low,high" else UnitVolume(stored, mode)
    image = seen.read(1)
    assert len(np.unique(image[outside])) == 1
    assert image[outside][0] == pytest.approx(image[~outside].mean(), abs=0.01)


def test_a_frame_does_not_stretch_a_slice(monkeypatch):
    """Tissue fills 0 to 1 whatever lies around it, read whole or by box."""
    images, outside = framed(0)
    whole = UnitVolume(ArrayVolume(images), "slice").read(0)[~outside]
    assert (whole.min(), whole.max()) == (0, 1)
    box = UnitVolume(ArrayVolume(images), "slice").read_block(Block(0, 40, 80, 1, 100, 200))
    np.testing.assert_array_equal(box[0], UnitVolume(ArrayVolume(images), "slice").read(0)[40:140, 80:280])
    monkeypatch.setattr(intensity, "_LARGE_SLICE", 1000)
    monkeypatch.setattr(intensity, "_BAND", 400 * 64)  # bands of which the last is all padding
    images[:, 220:] = 0
    wide = UnitVolume(ArrayVolume(images), "slice")
    assert wide._extent(0) == (images[0][images[0] > 0].min(), images[0].max())


def test_what_a_range_clips_is_no_padding():
    """A dark body may have one grey once values are clipped; as stored it has noise."""
    images, outside = framed()
    images[:, 100:200, 100:250] = np.random.default_rng(1).integers(20, 60, (2, 100, 150))
    seen = UnitVolume(RescaledVolume(ArrayVolume(images), 80, 120), "range").read(0)
    assert not seen[100:200, 100:250].any()
    assert seen[outside].all()


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_any_box_of_a_padded_slice_is_seen_as_in_the_whole(data):
    corner = data.draw(st.integers(0, 120)), data.draw(st.integers(0, 150))
    images, _ = framed(0, corner)
    volume = UnitVolume(ArrayVolume(images), data.draw(st.sampled_from(["range", "volume", "slice"])))
    starts = [data.draw(st.integers(0, n - 1)) for n in images.shape]
    block = Block(*starts, *(data.draw(st.integers(1, n - at)) for n, at in zip(images.shape, starts, strict=True)))
    whole = np.stack([volume.read(z) for z in range(2)])
    np.testing.assert_array_equal(volume.read_block(block), whole[block.slices])


def test_low_and_high_are_stored_values_where_zero_is_white():
    stored = ArrayVolume(np.array([[[1000, 3000, 5000, 9000]]], np.uint16))
    stored.white_is_zero = True
    assert RescaledVolume(stored, 1000, 5000).read(0).tolist() == [[1, 0.5, 0, 0]]
