"""What label values mean: plain, said, or asked."""

import numpy as np
import pytest

from dabench.data.label_values import Flags, Meaning, meaning_of
from dabench.data.volumes import ArrayVolume, read_all
from dabench.errors import ConfigError, DataError


def volume(*values: float, dtype=np.uint8, shape=(3, 12, 20)) -> ArrayVolume:
    """A block of 4 x 4 pixels of each value on every slice, the first of them elsewhere."""
    array = np.full(shape, values[0], dtype)
    for i, value in enumerate(values[1:]):
        array[:, 1:5, 4 * i : 4 * i + 4] = value
    return ArrayVolume(array)


@pytest.mark.parametrize(
    ("values", "dtype", "kind", "mapping"),
    [
        ((0, 1), np.uint8, "semantic", {0: 0, 1: 1}),
        ((0, 255), np.uint8, "semantic", {0: 0, 255: 1}),
        ((0, 7), np.int64, "semantic", {0: 0, 7: 1}),
        ((0, 1), np.float32, "semantic", {0: 0, 1: 1}),
        ((0, 1), bool, "semantic", {0: 0, 1: 1}),
        ((1,), bool, "semantic", {0: 0, 1: 1}),
        ((0,), np.uint8, "semantic", {0: 0, 1: 1}),
        ((0, 3, 8, 1200), np.uint16, "instance", {}),
        ((0, 10, 20, 30, 40), np.uint8, "instance", {}),
        ((0, 1, 2), np.uint32, "instance", {}),
        ((0, 255, 300), np.uint16, "instance", {}),
        ((0, 2**40, 2**41), np.uint64, "instance", {}),
    ],
)
def test_plain_values(values, dtype, kind, mapping):
    assert meaning_of(volume(*values, dtype=dtype), "x") == Meaning(kind, mapping)


@pytest.mark.parametrize(
    ("values", "dtype", "doubt", "example"),
    [
        ((0, -1, 1), np.int16, "-1 may mean unlabelled pixels", "-1:255,0:0,1:1"),
        ((0, -1, 1, 7), np.int32, "-1 may mean", "-1:255"),
        ((0, -1), np.int8, "-1 may mean", "-1:255,0:0"),
        ((0, -1, 1), np.float32, "-1 may mean", "-1:255"),
        ((0, 1, 255), np.uint8, "255 may be", "0:0,1:1,255:255"),
        ((0, 128, 255), np.uint8, "255 may be", "0:0,128:1,255:255"),
        ((0, 1, 65535), np.uint16, "65535 may be", "0:0,1:1,65535:1"),
        ((1, 2), np.uint8, "no 0", "1:0,2:1"),
        ((1, 255), np.uint8, "no 0", "1:0,255:255"),
        ((20, 220), np.uint8, "no 0", "20:0,220:1"),
        ((1,), np.uint8, "no 0", "1:0"),
        ((0, 1, 2), np.uint8, "they may be classes", "0:0,1:1,2:1"),
        ((0, 1, 2), np.int64, "they may be classes", "0:0,1:1,2:1"),
        ((0, 1, 2, 3), np.uint16, "they may be classes", "0:0,1:1,2:1"),
        ((0, 1, 2), np.float64, "they may be classes", "0:0,1:1,2:1"),
        ((0, 100, 200), np.uint8, "they may be classes", "0:0,100:1,200:1"),
    ],
)
def test_ambiguous_values_are_asked(values, dtype, doubt, example):
    with pytest.raises(ConfigError, match=doubt) as caught:
        meaning_of(volume(*values, dtype=dtype), "lab.tif")
    assert caught.value.message.startswith("lab.tif: holds the values ")
    assert f"--label-values {example}" in caught.value.mend
    assert "--label-kind instance" in caught.value.mend


def test_grey_values_are_no_ids():
    noise = np.random.default_rng(0).integers(1, 200, (3, 30, 30)).astype(np.uint8)
    with pytest.raises(ConfigError, match=r"is this an image\?"):
        meaning_of(ArrayVolume(noise), "x")
    noise[:, :, :20] = 0  # a probability in bytes: mostly 0, grey where there may be something
    with pytest.raises(ConfigError, match="most neighbouring pixels differ") as caught:
        meaning_of(ArrayVolume(noise), "x", flags=Flags(grey="--threshold 128"))
    assert "for a probability  --threshold 128" in caught.value.mend
    smooth = (np.add.outer(np.arange(30), np.arange(30)) * 4).clip(0, 220).astype(np.uint8)
    smooth[:, :8] = 0
    with pytest.raises(ConfigError, match="most neighbouring pixels differ"):
        meaning_of(ArrayVolume(np.stack([smooth] * 3)), "x")


def test_fractions_are_no_labels():
    with pytest.raises(DataError, match=r"x: slice 0 holds 0\.5"):
        meaning_of(volume(0, 0.5, dtype=np.float32), "x")


def test_what_is_said_counts():
    doubtful = volume(0, 1, 2)
    assert meaning_of(doubtful, "x", values={0: 0, 1: 1, 2: 255}).values == {0: 0, 1: 1, 2: 255}
    assert meaning_of(doubtful, "x", "instance") == Meaning("instance")
    assert meaning_of(doubtful, "x", "instance", {2: 255}) == Meaning("instance", {2: 255})
    with pytest.raises(ConfigError, match="several classes"):
        meaning_of(volume(0, 10, 20, 30, 40), "x", "semantic")


def test_a_value_of_a_slice_between_those_that_are_looked_at():
    array = np.zeros((64, 4, 5), np.uint8)
    array[:, 1] = 1
    array[3, 0, 0] = 255
    with pytest.raises(ConfigError, match="255 may be"):
        meaning_of(ArrayVolume(array), "x")
    meaning = meaning_of(ArrayVolume(array), "x", whole=False)
    with pytest.raises(DataError, match=r"slice 3: label value 255 at row 0, column 0"):
        read_all(meaning.labels(ArrayVolume(array), "x"))


def test_labels_mask_and_ids_as_they_are_meant():
    stack = ArrayVolume(np.array([[[0, 1, 2, 255]]], np.uint8))
    meaning = Meaning("semantic", {0: 0, 1: 1, 2: 0, 255: 255})
    assert read_all(meaning.labels(stack, "x")).tolist() == [[[0, 1, 0, 255]]]
    assert read_all(meaning.mask(stack, "x")).tolist() == [[[0, 1, 0, 0]]]
    ids = Meaning("instance", {255: 255})
    assert read_all(ids.ids(stack, "x")).tolist() == [[[0, 1, 2, -1]]]
    assert read_all(ids.mask(stack, "x")).tolist() == [[[0, 1, 1, 0]]]


@pytest.mark.parametrize("read", [Meaning.labels, Meaning.ids])
def test_numbers_below_0_mean_nothing_unless_they_are_named(read):
    stack = ArrayVolume(np.array([[[0, 4, -1]]], np.int32))
    with pytest.raises(DataError, match=r"slice 0: .*-1.* at row 0, column 2"):
        read_all(read(Meaning("instance"), stack, "x"))
    assert read_all(read(Meaning("instance", {-1: 255}), stack, "x"))[0, 0, 2] in (-1, 255)
