"""Labels laid over images by what NIfTI says of space: turned, or refused; through cards, evaluate and predictions."""

from __future__ import annotations

import itertools
from pathlib import Path

import nibabel
import numpy as np
import pytest

import dabench
from dabench.components.registry import Registry
from dabench.data.adding import NewSplit, new_card
from dabench.data.blocks import placement_of
from dabench.data.card_domain import CardDomain
from dabench.data.orientation import check_same_place, laid_over, turned_to
from dabench.data.volumes import ArrayVolume, SliceRange, open_volume, read_all
from dabench.errors import DataError
from dabench.interfaces import Placement
from dabench.types import Block
from dabench.volumes.output import OmeZarr
from dabench.volumes.output.convert import write_nifti

IMAGE = np.random.default_rng(0).integers(1, 255, (6, 10, 12), np.uint8)
TRUTH = np.zeros(IMAGE.shape, np.uint8)
TRUTH[1:4, 2:6, 3:5] = 1
STEPS = (0.008, 0.008, 0.03)
VOXEL = (30.0, 8.0, 8.0)


class Placed(ArrayVolume):
    """An array with a place in space."""

    def __init__(self, array: np.ndarray, affine: np.ndarray) -> None:
        super().__init__(array)
        self.placement = Placement(np.asarray(affine, float))


def affine(signs=(1, 1, 1), shape=IMAGE.shape, origin=(0.0, 0.0, 0.0), steps=STEPS) -> np.ndarray:
    """Of a volume whose corner with the least coordinates lies at ``origin``, axes x, y, z along ``signs``."""
    made = np.diag([*(sign * step for sign, step in zip(signs, steps, strict=True)), 1.0])
    for axis, (sign, step) in enumerate(zip(signs, steps, strict=True)):
        made[axis, 3] = origin[axis] + (step * (shape[2 - axis] - 1) if sign < 0 else 0)
    return made


def stored(array: np.ndarray, signs: tuple[int, ...]) -> np.ndarray:
    """An array (z, y, x) as it is stored where its axes x, y, z run along ``signs``."""
    return array[tuple(slice(None, None, signs[2 - axis]) for axis in range(3))]


def nifti(path: Path, array: np.ndarray, signs=(1, 1, 1), **place: object) -> Path:
    kept = np.ascontiguousarray(stored(array, signs).transpose(2, 1, 0))
    nibabel.save(nibabel.Nifti1Image(kept, affine(signs, array.shape, **place)), path)
    return path


@pytest.fixture(scope="module")
def opener():
    registry = Registry.load()
    readers = [item.component.factory(item.component.config()) for item in registry.of_kind("reader")]
    return lambda path: open_volume(path, readers)


SIGNS = list(itertools.product((1, -1), repeat=3))


@pytest.mark.parametrize("signs", SIGNS)
def test_labels_are_turned_to_their_images(signs):
    images = Placed(stored(IMAGE, (-1, 1, -1)), affine((-1, 1, -1)))
    found = laid_over(Placed(stored(TRUTH, signs), affine(signs)), images, "labels", "images")
    expected = stored(TRUTH, (-1, 1, -1))
    np.testing.assert_array_equal(read_all(found), expected)
    block = Block(1, 2, 3, 4, 5, 6)
    np.testing.assert_array_equal(found.read_block(block), expected[block.slices])
    np.testing.assert_allclose(placement_of(found).affine, images.placement.affine, atol=1e-12)
    with pytest.raises(IndexError):
        found.read(6) if signs == (-1, 1, -1) else found.read_block(Block(5, 0, 0, 2, 1, 1))


def test_volumes_that_say_nothing_stay_as_they_are():
    plain, placed = ArrayVolume(TRUTH), Placed(IMAGE, affine((-1, -1, 1)))
    assert turned_to(plain, placed) is plain
    assert turned_to(placed, plain) is placed
    check_same_place(plain, placed, "labels", "images")


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (affine(origin=(0.016, 0, 0)), r"labels: its affine and that of images .*lie 0, 0, 2 voxels \(z, y, x\) apart"),
        (affine(origin=(0, 0, -0.03)), r"lie -1, 0, 0 voxels"),
        (np.diag([-1.0, -1, 1, 1]), r"lie 0, -9, -11 voxels"),  # turned, and nothing says that the corners meet
        (
            affine() @ np.array([[0.9, -0.436, 0, 0], [0.436, 0.9, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]),
            "other directions",
        ),
    ],
)
def test_another_place_is_refused(other, words):
    with pytest.raises(DataError, match=words) as caught:
        laid_over(Placed(TRUTH, other), Placed(IMAGE, affine()), "labels", "images")
    assert "labels/axes=xyz" in caught.value.mend


def test_a_unit_or_a_step_that_differs_is_no_other_place():
    """nibabel writes np.eye(4) where nothing is known; voxel sizes are compared elsewhere."""
    found = laid_over(Placed(TRUTH, np.eye(4)), Placed(IMAGE, affine()), "labels", "images")
    np.testing.assert_array_equal(read_all(found), TRUTH)


def test_a_range_of_slices_lies_behind_the_first():
    images = Placed(IMAGE, affine((1, 1, -1)))
    part = SliceRange(images, 2, 5, "images")
    np.testing.assert_allclose(placement_of(part).affine[:, 3], images.placement.affine @ [0, 0, 2, 1])
    check_same_place(Placed(TRUTH[2:5], placement_of(part).affine), images, "labels", "images", skip=2)


@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, -1, 1), (1, -1, -1)])
def test_a_card_reads_labels_as_its_images_lie(tmp_path, opener, signs):
    images, labels = nifti(tmp_path / "im.nii.gz", IMAGE), nifti(tmp_path / "lab.nii", TRUTH, signs)
    card = new_card(NewSplit("own", "train", images, labels, slices=(1, 5)), VOXEL, opener)
    split = CardDomain(card).open("train", opener)
    np.testing.assert_array_equal(read_all(split.images), IMAGE[1:5])
    np.testing.assert_array_equal(read_all(split.labels), TRUTH[1:5])
    assert ("turned to the images" in split.labels.layout) == (signs != (1, 1, 1))
    elsewhere = nifti(tmp_path / "lab2.nii", TRUTH, origin=(1, 0, 0))
    with pytest.raises(DataError, match=r"lab2\.nii: its affine and that of .*im\.nii\.gz"):
        new_card(NewSplit("own", "train", images, elsewhere), VOXEL, opener)
    aside = new_card(NewSplit("own", "train", images, elsewhere / "axes=xyz"), VOXEL, opener)
    np.testing.assert_array_equal(read_all(CardDomain(aside).open("train", opener).labels), TRUTH)


def test_evaluate_turns_labels_to_the_prediction(tmp_path):
    nifti(tmp_path / "prediction.nii.gz", TRUTH, (-1, 1, 1))
    nifti(tmp_path / "labels.nii.gz", TRUTH, (1, -1, -1))
    found = dabench.evaluate(tmp_path / "prediction.nii.gz", tmp_path / "labels.nii.gz", protocol="das-2d-pooled@1")
    assert found.metrics["dice"] == 1
    nifti(tmp_path / "elsewhere.nii", TRUTH, origin=(0.5, 0, 0))
    with pytest.raises(DataError, match=r"elsewhere\.nii: its affine"):
        dabench.evaluate(tmp_path / "prediction.nii.gz", tmp_path / "elsewhere.nii")


@pytest.mark.parametrize("signs", SIGNS[:4])
@pytest.mark.parametrize("end", [".nii", ".nii.gz"])
def test_a_prediction_as_nifti_lies_where_its_images_lie(tmp_path, opener, signs, end):
    """Stored as y, z, x: brought to z, y, x, predicted, written as x, y, z with the same places in space."""
    swap = [1, 2, 0]
    kept = np.ascontiguousarray(stored(IMAGE, signs).transpose(2, 1, 0).transpose(swap))
    made = nibabel.Nifti1Image(kept, affine(signs)[:, [*swap, 3]])
    made.header.set_xyzt_units("micron")
    nibabel.save(made, tmp_path / "im.nii")
    images = opener(tmp_path / "im.nii")
    np.testing.assert_array_equal(read_all(images), stored(IMAGE, signs))
    output = OmeZarr(tmp_path / "p.zarr", IMAGE.shape, IMAGE.shape, VOXEL, placement=images.placement)
    output.create()
    output.blocks("mask").write_block(Block(0, 0, 0, *IMAGE.shape), stored(TRUTH, signs))
    path = tmp_path / f"mask{end}"
    write_nifti(output.blocks("mask"), path, "mask", lambda *_: None)
    found = nibabel.load(path)
    np.testing.assert_array_equal(np.asarray(found.dataobj).transpose(2, 1, 0), stored(TRUTH, signs))
    np.testing.assert_allclose(found.affine, affine(signs), atol=1e-6)
    # The OME-Zarr knows the place too: labels of another direction are turned to it.
    for place in (tmp_path / "p.zarr", tmp_path / "p.zarr" / "labels" / "mask"):
        np.testing.assert_allclose(placement_of(opener(place)).affine, images.placement.affine)
    again = opener(path)
    assert again.voxel == VOXEL
    np.testing.assert_allclose(again.placement.affine, images.placement.affine, atol=1e-6)


def test_a_prediction_as_nifti_without_a_place_has_the_voxel_alone(tmp_path, opener):
    output = OmeZarr(tmp_path / "p.zarr", IMAGE.shape, IMAGE.shape, VOXEL)
    output.create()
    output.blocks("probability").write_block(Block(0, 0, 0, *IMAGE.shape), IMAGE)
    write_nifti(output.blocks("probability"), tmp_path / "p.nii.gz", "probability", lambda *_: None)
    found = opener(tmp_path / "p.nii.gz")
    assert (found.voxel, found.placement, found.dtype) == (VOXEL, None, np.float32)
    np.testing.assert_array_equal(read_all(found), IMAGE / np.float32(256))
