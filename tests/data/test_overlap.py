"""Volumes that stand twice on a card."""

import pytest

from dabench.data.card import parse_card
from dabench.data.overlap import overlaps

A = {"images": "im.tif", "labels": "lab.tif"}


def found(sha256=None, **splits) -> list[str]:
    values = {"name": "x", "description": "", "voxel": (30, 8, 8), "splits": splits, "sha256": sha256 or {}}
    return overlaps(parse_card(values, "card"))


@pytest.mark.parametrize(
    ("train", "test", "words"),
    [
        ({"slices": (0, 4)}, {"slices": (4, 6)}, ""),
        ({"slices": (0, 4)}, {"slices": (3, 6)}, "slices 3 to 3 of im.tif are in split 'train' and in split 'test'"),
        ({"slices": (2, 4)}, {}, "slices 2 to 3 of im.tif"),
        ({}, {}, "all slices of im.tif"),
        ({}, {"images": "other.tif"}, ""),
    ],
)
def test_slices_of_train_and_test(train, test, words):
    said = found(train=A | train, test=A | test)
    assert words in "; ".join(said)
    assert bool(said) == bool(words)


def test_an_unlabelled_split_may_share_with_train_and_not_with_test():
    assert found(train=A, unlabelled={"images": "im.tif"}) == []
    assert len(found(test=A, unlabelled={"images": "im.tif"})) == 1


def test_a_copy_of_a_file_is_the_same_file():
    copy = {"images": "copy.tif", "labels": "copy-lab.tif"}
    same = {"im.tif": "a", "copy.tif": "a"}
    assert "all slices" in found(same, train=A, test=copy)[0]
    assert found({"im.tif": "a", "copy.tif": "b"}, train=A, test=copy) == []


def test_images_that_are_their_own_labels():
    assert "images and labels are one file" in found(train={"images": "a.tif", "labels": "a.tif"})[0]
    assert "images and labels are one file" in found({"im.tif": "a", "lab.tif": "a"}, train=A)[0]
    assert found(train={"images": "a.h5/raw", "labels": "a.h5/mito"}) == []
