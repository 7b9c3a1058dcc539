"""`new_card` and `add_split`: guessing what labels mean, and refusing what is unclear."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from dabench_readers.tiff import TiffReader

from dabench.data.adding import NewSplit, add_split, doubt_voxel, new_card
from dabench.data.card import load_card, save_card
from dabench.data.card_domain import CardDomain
from dabench.data.digests import DigestCache
from dabench.data.volumes import open_volume
from dabench.errors import ConfigError, DataError, MissingDataError

VOXEL = (30.0, 8.0, 8.0)
IMAGES = np.random.default_rng(0).integers(0, 255, (4, 8, 9), np.uint8)


def opener(path: Path):
    return open_volume(path, [TiffReader()])


def write(folder: Path, name: str, array: np.ndarray) -> Path:
    tifffile.imwrite(folder / name, array, photometric="minisblack")
    return folder / name


def labels_of(folder: Path, *values: int, dtype=np.uint8) -> Path:
    array = np.zeros((4, 8, 9), dtype)
    array[:, 0, : len(values)] = values
    return write(folder, "lab.tif", array)


@pytest.mark.parametrize(
    ("values", "kind", "mapping"),
    [((0, 255), "semantic", {0: 0, 255: 1}), ((0, 1), "semantic", {0: 0, 1: 1}), ((0, 3, 8, 1200), "instance", {})],
)
def test_meaning_is_guessed_from_the_values(tmp_path, values, kind, mapping):
    images = write(tmp_path, "im.tif", IMAGES)
    card = new_card(NewSplit("liver", "train", images, labels_of(tmp_path, *values, dtype=np.uint16)), VOXEL, opener)
    assert (card.label_kind, card.label_values) == (kind, mapping)
    assert set(card.sha256) == {str(images), str(tmp_path / "lab.tif")}
    split = CardDomain(card, digests=DigestCache()).open("train", opener)
    assert split.labels.read(0).sum() == len([v for v in values if v])


def test_unclear_values_are_refused_and_can_be_said(tmp_path):
    images, labels = write(tmp_path, "im.tif", IMAGES), labels_of(tmp_path, 0, 128, 255)
    with pytest.raises(ConfigError, match=r"holds the values 0, 128, 255") as caught:
        new_card(NewSplit("liver", "train", images, labels), VOXEL, opener)
    assert "--label-values 0:0,128:1,255:255" in caught.value.mend
    card = new_card(NewSplit("liver", "train", images, labels, values={255: 1, 128: 0, 0: 255}), VOXEL, opener)
    assert card.label_values == {255: 1, 128: 0, 0: 255}


def test_images_given_as_labels_are_noticed(tmp_path):
    images = write(tmp_path, "im.tif", IMAGES)
    labels = write(tmp_path, "lab.tif", IMAGES.astype(np.uint16) * 16)
    with pytest.raises(ConfigError, match="is this an image") as caught:
        new_card(NewSplit("liver", "train", images, labels), VOXEL, opener)
    assert "--label-kind instance" in caught.value.mend
    assert new_card(NewSplit("liver", "train", images, labels, kind="instance"), VOXEL, opener).label_kind == "instance"


@pytest.mark.parametrize(
    ("voxel", "said"),
    [
        ((30, 8, 8), ""),
        ((5, 5, 5), ""),
        ((8, 8, 30), "z,y,x"),
        ((0.03, 0.008, 0.008), "unit"),
        ((3e4, 8e3, 8e3), "unit"),
    ],
)
def test_a_strange_voxel_is_doubted(voxel, said):
    found = doubt_voxel(voxel)
    assert said in found
    assert bool(found) == bool(said)


def test_files_that_do_not_fit(tmp_path):
    images = write(tmp_path, "im.tif", IMAGES)
    with pytest.raises(MissingDataError, match=r"none\.tif"):
        new_card(NewSplit("liver", "train", tmp_path / "none.tif", None), VOXEL, opener)
    with pytest.raises(DataError, match="has shape"):
        new_card(
            NewSplit("liver", "train", images, write(tmp_path, "lab.tif", np.eye(8, dtype=np.uint8)[None])),
            VOXEL,
            opener,
        )
    with pytest.raises(DataError, match="no foreground"):
        new_card(NewSplit("liver", "train", images, labels_of(tmp_path, 0)), VOXEL, opener)


def test_splits_come_together_on_one_card(tmp_path):
    images, path = write(tmp_path, "im.tif", IMAGES), tmp_path / "cards" / "liver.yaml"
    train = new_card(NewSplit("liver", "train", images, labels_of(tmp_path, 0, 255), slices=(0, 2)), VOXEL, opener)
    save_card(add_split(path, train), path)
    unlabelled = new_card(NewSplit("liver", "unlabelled", images, None, slices=(2, 4)), VOXEL, opener)
    save_card(add_split(path, unlabelled), path)
    card = load_card(path)
    assert set(card.splits) == {"train", "unlabelled"}
    assert card.label_values == {0: 0, 255: 1}
    with pytest.raises(ConfigError, match=r"split 'train' .* exists already"):
        add_split(path, train)
    add_split(path, train, replace=True)
    other = new_card(NewSplit("liver", "test", images, labels_of(tmp_path, 0, 1)), VOXEL, opener)
    with pytest.raises(ConfigError, match="its labels are semantic"):
        add_split(path, other)
    thick = new_card(NewSplit("liver", "test", images, None), (50, 8, 8), opener)
    with pytest.raises(ConfigError, match="the card says voxel"):
        add_split(path, thick)
