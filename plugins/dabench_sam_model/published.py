"""Weights of SAM and of its kin: where people get them, what they were trained on, under which terms they are."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from dabench.plugin import PublishedWeights
from dabench_sam_model.sizes import SIZES

if TYPE_CHECKING:
    from torch import Tensor


def _check(size: str, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    from dabench_sam_model.keys import checked

    return checked(tensors, SIZES[size])


_META = "https://github.com/facebookresearch/segment-anything#model-checkpoints"
_MICRO = "https://computational-cell-analytics.github.io/micro-sam/micro_sam.html#finetuned-models"
_TERMS = {"code": "Apache-2.0", "weights": "Apache-2.0"}


def _sam(size: str, file: str) -> PublishedWeights:
    return PublishedWeights(
        name=f"sam-{size}",
        file=file,
        where=_META,
        trained_on="SA-1B, 11 million photographs",
        licences={**_TERMS, "data": "SA-1B research licence"},
        saw=(),
        check=partial(_check, size),
    )


def _micro(size: str) -> PublishedWeights:
    return PublishedWeights(
        name=f"micro-sam-{size}-em",
        file=f"{size.replace('-', '_')}.pt",
        where=f"{_MICRO} ({size.replace('-', '_')}_em_organelles)",
        trained_on="SA-1B, then mitochondria and nuclei in electron microscopy, MitoEM among them",
        licences={"code": "MIT", "weights": "as its model zoo says", "data": "differs from set to set"},
        saw=("human", "rat"),
        check=partial(_check, size),
    )


#: Of the network ``sam-vit``; micro-sam's encoder and decoder of masks are SAM's, and its files have SAM's names.
SAM = (
    _sam("vit-b", "sam_vit_b_01ec64.pth"),
    _sam("vit-l", "sam_vit_l_0b3195.pth"),
    _sam("vit-h", "sam_vit_h_4b8939.pth"),
    _micro("vit-b"),
    _micro("vit-l"),
)
#: Of the network ``sam-med2d-vit``.
MED2D = (
    PublishedWeights(
        name="sam-med2d",
        file="sam-med2d_b.pth",
        where="https://github.com/OpenGVLab/SAM-Med2D#sam-med2d-checkpoints",
        trained_on="SA-1B, then 4.6 million medical images of ten modalities",
        licences={**_TERMS, "data": "public and private medical sets, each under its own terms"},
        check=partial(_check, "med2d"),
    ),
)


def sizes_of(weights: tuple[PublishedWeights, ...]) -> dict[str, str]:
    """The size that each of these weights has, by name."""
    return {one.name: _size_of(one) for one in weights}


def _size_of(weights: PublishedWeights) -> str:
    assert isinstance(weights.check, partial)
    return str(weights.check.args[0])
