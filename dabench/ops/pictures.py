"""Pictures of a slice: grey values, masks over them in colours, contours, and small JPEGs."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from dabench.errors import DataError
from dabench.types import IGNORE, Array

if TYPE_CHECKING:
    from PIL.Image import Image

Colour = tuple[int, int, int]
#: Found, missed, made up: true positive, false negative, false positive.
GREEN, RED, BLUE = (0, 200, 80), (230, 40, 40), (50, 90, 255)


def levels(image: Array, low: float = 0.0, high: float = 1.0) -> Array:
    """``(H, W)`` of any number type as uint8: ``low`` and below is black, ``high`` and above white, NaN black."""
    scaled = (np.asarray(image, np.float32) - low) / max(high - low, 1e-12)
    shown: Array = (255 * np.clip(np.nan_to_num(scaled), 0, 1)).round().astype(np.uint8)
    return shown


def rgb(image: Array) -> Array:
    """``(H, W)`` uint8, or float in [0, 1], as ``(H, W, 3)`` uint8."""
    return np.repeat((image if image.dtype == np.uint8 else levels(image))[:, :, None], 3, axis=2)


def tint(picture: Array, mask: Array, colour: Colour, strength: float = 0.45) -> Array:
    """A copy of an ``(H, W, 3)`` uint8 picture with the pixels of a mask drawn towards a colour."""
    result = picture.copy()
    mixed = picture[mask] * (1 - strength) + np.asarray(colour) * strength
    result[mask] = np.rint(mixed).astype(np.uint8)
    return result


def overlay(image: Array, prediction: Array, label: Array) -> Array:
    """True positives green, false negatives red, false positives blue, over the image.

    Args:
        image: ``(H, W)`` float in [0, 1] or uint8.
        prediction: ``(H, W)`` bool.
        label: ``(H, W)`` 0/1/255; ignored pixels stay grey.

    Returns:
        ``(H, W, 3)`` uint8.

    Raises:
        DataError: they differ in shape.
    """
    _same_shape(image, prediction, label)
    known, truth, predicted = label != IGNORE, label == 1, prediction != 0
    picture = tint(rgb(image), truth & predicted, GREEN)
    picture = tint(picture, truth & ~predicted, RED)
    return tint(picture, known & ~truth & predicted, BLUE)


def contour(mask: Array, width: int = 1) -> Array:
    """``(H, W)`` bool: the pixels of a mask that lie within ``width`` of its edge (the slice's border is no edge)."""
    inside = mask != 0
    for _ in range(width):
        framed = np.pad(inside, 1, mode="edge")
        inside = inside & framed[:-2, 1:-1] & framed[2:, 1:-1] & framed[1:-1, :-2] & framed[1:-1, 2:]
    edge: Array = (mask != 0) & ~inside
    return edge


def draw_contours(image: Array, masks: Mapping[Colour, Array], width: int = 1) -> Array:
    """The image ``(H, W)`` with each mask's contour in its colour; ``(H, W, 3)`` uint8. Raises DataError as above."""
    picture = rgb(image)
    for colour, mask in masks.items():
        _same_shape(image, mask)
        picture[contour(mask, width)] = colour
    return picture


def jpeg(picture: Array, *, side: int | None = None, quality: int = 80, comment: str = "") -> bytes:
    """``(H, W)`` or ``(H, W, 3)`` uint8 as a JPEG.

    Args:
        picture: what to show.
        side: longest side in pixels; larger pictures are made smaller.
        quality: of the JPEG, 1 to 95.
        comment: kept in the file, ASCII.
    """
    from PIL import Image

    shown, buffer = Image.fromarray(picture), io.BytesIO()
    if side is not None:
        shown.thumbnail((side, side))
    shown.save(buffer, "JPEG", quality=quality, optimize=True, comment=comment.encode())
    return buffer.getvalue()


def captioned_row(pictures: Sequence[tuple[Array, str]], title: str, legend: str, width: int = 480) -> Image:
    """Pictures of one shape side by side, each under its caption; a title above all of them and a legend below.

    Drawn without matplotlib: a run draws several of these, and laying out a figure takes longer than its scores do.

    Args:
        pictures: ``(H, W, 3)`` uint8 with captions, left to right.
        title: of the row.
        legend: what the colours mean.
        width: of each picture, in pixels; the height follows.
    """
    from PIL import Image, ImageDraw, ImageFont

    height, gap, line = round(width * pictures[0][0].shape[0] / pictures[0][0].shape[1]), 8, 24
    row = Image.new("RGB", ((width + gap) * len(pictures) + gap, height + 3 * line), "white")
    draw, font = ImageDraw.Draw(row), ImageFont.load_default(15)
    for number, (picture, caption) in enumerate(pictures):
        left = gap + number * (width + gap)
        row.paste(Image.fromarray(picture).resize((width, height)), (left, 2 * line))
        draw.text((left + width / 2, 1.5 * line), caption, "black", font, anchor="mm")
    for text, y in ((title, line / 2), (legend, height + 2.5 * line)):
        draw.text((row.width / 2, y), text, "black", font, anchor="mm")
    return row


def _same_shape(image: Array, *others: Array) -> None:
    for other in others:
        if other.shape != image.shape:
            raise DataError(f"the image has shape {image.shape}, a mask over it {other.shape}.")
