"""What is looked at: images and whatever is known of them, all of one shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dabench.errors import DataError

if TYPE_CHECKING:
    from dabench.interfaces import Volume
    from dabench.types import Array

Voxel = tuple[float, float, float]


@dataclass(frozen=True)
class ViewData:
    """Images and what belongs to them.

    Args:
        title: heading of the page; any text.
        images: grey values of any number type.
        prediction: a mask, foreground where not 0.
        instances: predicted ids, 0 = background.
        probability: float in [0, 1], or uint8 as `dabench predict` writes it (floor(256 p), so 128 is one half).
        truth: 0, 1, 255 (ignored).
        points: prompts or clicks by slice, ``(N, 2)`` (x, y); 0 is the centre of the first pixel.
        voxel: nm (z, y, x), or None if not known.
        notes: what a reader has to know; shown as text.

    Raises:
        DataError: a layer's shape is not that of the images, its type cannot be what it is said to be, or a point lies
            outside.
    """

    title: str
    images: Volume
    prediction: Volume | None = None
    instances: Volume | None = None
    probability: Volume | None = None
    truth: Volume | None = None
    points: Mapping[int, Array] = field(default_factory=dict)
    voxel: Voxel | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, layer in self.layers().items():
            if layer.shape != self.images.shape:
                raise DataError(
                    f"the {name} has {_by(layer.shape)} (slices x rows x columns), the images have "
                    f"{_by(self.images.shape)}.",
                    "All files must show the same volume; nothing is resampled or cut silently.",
                )
        if self.instances is not None and self.instances.dtype.kind not in "bui":
            raise DataError(f"instance ids must be whole numbers, the file holds {self.instances.dtype}.")
        if self.probability is not None and not (
            self.probability.dtype.kind == "f" or self.probability.dtype == "uint8"
        ):
            raise DataError(
                f"a probability of type {self.probability.dtype}: expected floating point in [0, 1], or uint8 "
                "(floor(256 p)) as dabench predict writes it."
            )
        self._check_points()

    def layers(self) -> dict[str, Volume]:
        """The volumes over the images that are there, by name."""
        found = {
            "prediction": self.prediction,
            "instances": self.instances,
            "probability": self.probability,
            "truth": self.truth,
        }
        return {name: volume for name, volume in found.items() if volume is not None}

    def _check_points(self) -> None:
        depth, height, width = self.images.shape
        for z, points in self.points.items():
            for x, y in points:
                if not (0 <= z < depth and -0.5 <= y <= height - 0.5 and -0.5 <= x <= width - 0.5):
                    raise DataError(
                        f"point z={z}, y={y:g}, x={x:g} lies outside the images, {_by(self.images.shape)} "
                        "(slices x rows x columns).",
                        "Points count slices and pixels from 0. Does the file belong to another volume?",
                    )


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(str(length) for length in shape)
