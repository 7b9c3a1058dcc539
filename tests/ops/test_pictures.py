"""Pictures of slices: grey values by hand, which colour means what, where contours run, small JPEGs."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from dabench.errors import DataError
from dabench.ops.pictures import GREEN, RED, captioned_row, contour, draw_contours, jpeg, levels, overlay, rgb
from dabench.types import IGNORE


def test_grey_values_by_hand():
    image = np.array([[-1.0, 0.0, 0.25, 0.5, 1.0, 2.0, np.nan]])
    assert levels(image).tolist() == [[0, 0, 64, 128, 255, 255, 0]]
    assert levels(np.array([[100, 150, 200, 60_000]], np.uint16), 100, 200).tolist() == [[0, 128, 255, 255]]
    assert levels(np.full((1, 2), 7), 7, 7).tolist() == [[0, 0]], "an image of one value"


def test_bytes_are_shown_as_they_are():
    image = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert (rgb(image) == image[..., None]).all()


def test_colours_of_the_overlay():
    image = np.full((1, 5), 0.5, np.float32)
    label = np.array([[1, 1, 0, 0, IGNORE]], np.uint8)
    picture = overlay(image, np.array([[True, False, True, False, True]]), label)
    found, missed, made_up, background, ignored = picture[0]
    assert found.argmax() == 1
    assert missed.argmax() == 0
    assert made_up.argmax() == 2
    assert background.tolist() == ignored.tolist() == [128] * 3


def test_contour_lies_inside_and_the_border_is_no_edge():
    mask = np.zeros((8, 8), bool)
    mask[2:7, 2:] = True
    edge = contour(mask)
    assert edge.sum() == 2 * 6 + 3
    assert not (edge & ~mask).any()
    assert contour(mask, 3).sum() == mask.sum()
    assert not contour(np.ones((4, 4), bool)).any()
    assert (draw_contours(np.zeros((8, 8), np.uint8), {RED: mask})[edge] == RED).all()


def test_shapes_must_match():
    with pytest.raises(DataError, match=r"\(4, 4\).*\(4, 5\)"):
        overlay(np.zeros((4, 4)), np.zeros((4, 4)), np.zeros((4, 5)))


@pytest.mark.parametrize("shape", [(40, 80), (40, 80, 3)])
def test_a_jpeg_is_no_larger_than_asked_and_keeps_its_comment(shape):
    picture = np.full(shape, 90, np.uint8)
    whole = Image.open(io.BytesIO(jpeg(picture)))
    small = Image.open(io.BytesIO(jpeg(picture, side=20, comment="Dice 50.0")))
    assert (whole.size, small.size) == ((80, 40), (20, 10))
    assert small.info["comment"] == b"Dice 50.0"
    assert abs(int(np.asarray(whole).max()) - 90) <= 1


def test_pictures_in_a_row():
    """Every pixel in its place, black letters above and below; larger pictures are made smaller."""
    one = np.full((2, 40, 3), 255, np.uint8)
    one[0, 0], one[1, 39] = GREEN, RED
    row = np.asarray(captioned_row([(one, "first"), (one, "second")], "title", "legend", width=40))
    assert row.shape == (2 + 3 * 24, 2 * (8 + 40) + 8, 3)
    for left in (8, 56):
        assert (row[48:50, left : left + 40] == one).all()
    assert all(row[rows].min() < 100 for rows in (slice(24), slice(24, 48), slice(50, 74)))
    assert captioned_row([(one, "")], "", "", width=20).size == (36, 1 + 3 * 24)
