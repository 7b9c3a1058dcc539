"""Names of SAM's tensors: those of the released ``.pth`` files and those of the library, both ways.

The adapters of SAM-Med2D (`Adapter`) hang on the library's MLP. What a file holds is compared with what a size has,
name by name and shape by shape.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from dabench.plugin import WeightsError
from dabench_sam_model.sizes import Size

#: Released name, library's name. ``*`` is a number, ``+`` the rest.
_PAIRS = (
    ("image_encoder.patch_embed.proj.+", "vision_encoder.patch_embed.projection.+"),
    ("image_encoder.blocks.*.norm*.+", "vision_encoder.layers.*.layer_norm*.+"),
    ("image_encoder.blocks.*.Adapter.+", "vision_encoder.layers.*.mlp.adapter.+"),
    ("image_encoder.blocks.*.+", "vision_encoder.layers.*.+"),
    ("image_encoder.neck.0.+", "vision_encoder.neck.conv1.+"),
    ("image_encoder.neck.1.+", "vision_encoder.neck.layer_norm1.+"),
    ("image_encoder.neck.2.+", "vision_encoder.neck.conv2.+"),
    ("image_encoder.neck.3.+", "vision_encoder.neck.layer_norm2.+"),
    ("image_encoder.pos_embed", "vision_encoder.pos_embed"),
    (
        "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
        "prompt_encoder.shared_embedding.positional_embedding",
    ),
    ("prompt_encoder.point_embeddings.*.+", "prompt_encoder.point_embed.*.+"),
    ("prompt_encoder.mask_downscaling.0.+", "prompt_encoder.mask_embed.conv1.+"),
    ("prompt_encoder.mask_downscaling.1.+", "prompt_encoder.mask_embed.layer_norm1.+"),
    ("prompt_encoder.mask_downscaling.3.+", "prompt_encoder.mask_embed.conv2.+"),
    ("prompt_encoder.mask_downscaling.4.+", "prompt_encoder.mask_embed.layer_norm2.+"),
    ("prompt_encoder.mask_downscaling.6.+", "prompt_encoder.mask_embed.conv3.+"),
    ("prompt_encoder.not_a_point_embed.+", "prompt_encoder.not_a_point_embed.+"),
    ("prompt_encoder.no_mask_embed.+", "prompt_encoder.no_mask_embed.+"),
    ("mask_decoder.transformer.layers.*.norm*.+", "mask_decoder.transformer.layers.*.layer_norm*.+"),
    ("mask_decoder.transformer.norm_final_attn.+", "mask_decoder.transformer.layer_norm_final_attn.+"),
    ("mask_decoder.output_upscaling.0.+", "mask_decoder.upscale_conv1.+"),
    ("mask_decoder.output_upscaling.1.+", "mask_decoder.upscale_layer_norm.+"),
    ("mask_decoder.output_upscaling.3.+", "mask_decoder.upscale_conv2.+"),
    ("mask_decoder.output_hypernetworks_mlps.*.layers.0.+", "mask_decoder.output_hypernetworks_mlps.*.proj_in.+"),
    ("mask_decoder.output_hypernetworks_mlps.*.layers.1.+", "mask_decoder.output_hypernetworks_mlps.*.layers.0.+"),
    ("mask_decoder.output_hypernetworks_mlps.*.layers.2.+", "mask_decoder.output_hypernetworks_mlps.*.proj_out.+"),
    ("mask_decoder.iou_prediction_head.layers.0.+", "mask_decoder.iou_prediction_head.proj_in.+"),
    ("mask_decoder.iou_prediction_head.layers.1.+", "mask_decoder.iou_prediction_head.layers.0.+"),
    ("mask_decoder.iou_prediction_head.layers.2.+", "mask_decoder.iou_prediction_head.proj_out.+"),
    ("mask_decoder.+", "mask_decoder.+"),
)
#: The library keeps the random matrix of positions twice.
_MATRIX, _AGAIN = "prompt_encoder.shared_embedding.positional_embedding", "shared_image_embedding.positional_embedding"
#: Constants that some files hold.
_CONSTANTS = ("pixel_mean", "pixel_std")
#: What micro-sam's trainer puts before every name, on several GPUs and on one.
_WRAPPERS = ("module.sam.", "sam.", "module.")
_SHOWN = 3


def _without_wrapper(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Names without what a trainer puts before all of them; others are returned as they are."""
    for prefix in _WRAPPERS:
        if tensors and all(name.startswith(prefix) for name in tensors):
            return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors


def to_library(released: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a released file by the library's names. Raises WeightsError for a name that SAM does not have."""
    kept = {name: tensor for name, tensor in released.items() if name not in _CONSTANTS}
    found = {_renamed(name, 0): tensor for name, tensor in kept.items()}
    return found | ({_AGAIN: found[_MATRIX]} if _MATRIX in found else {})


def to_released(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `to_library`. Raises WeightsError for a name that the library does not have."""
    return {_renamed(name, 1): tensor for name, tensor in tensors.items() if name != _AGAIN}


def _renamed(name: str, side: int) -> str:
    for pair in _PAIRS:
        if match := re.fullmatch(_pattern(pair[side]), name):
            return pair[1 - side].replace("*", "{}").replace("+", "{}").format(*match.groups())
    raise WeightsError(f"a tensor is called {name!r}, which SAM has none of: weights of another model.")


def _pattern(template: str) -> str:
    return re.escape(template).replace(r"\*", r"(\d+)").replace(r"\+", "(.+)")


def checked(tensors: Mapping[str, Tensor], size: Size) -> dict[str, Tensor]:
    """Weights of a size by the library's names, from a released file or one that the library wrote.

    Raises:
        WeightsError: the tensors are those of another size, of another model, or not all there.
    """
    tensors = _without_wrapper(tensors)
    ours = any(name.startswith("vision_encoder.") for name in tensors)
    found = dict(tensors) if ours else to_library(tensors)
    for kept, left_out in ((_MATRIX, _AGAIN), (_AGAIN, _MATRIX)):
        if kept in found:  # the library may write one of the two alone
            found.setdefault(left_out, found[kept])
    wanted = shapes(size)
    _same_size(found, wanted)
    for what, names in (("lacks", wanted.keys() - found.keys()), ("has besides", found.keys() - wanted.keys())):
        if names:
            shown = ", ".join(sorted(names)[:_SHOWN])
            raise WeightsError(f"not weights of this model: the file {what} {len(names)} tensors ({shown} ...).")
    return {name: found[name] for name in wanted}


def shapes(size: Size) -> dict[str, torch.Size]:
    """Shape of every tensor of a size, by the library's names; nothing is allocated."""
    from dabench_sam_model.build import build

    with torch.device("meta"):
        return {name: tensor.shape for name, tensor in build(size).state_dict().items()}


def _same_size(found: Mapping[str, Tensor], wanted: Mapping[str, torch.Size]) -> None:
    for name, tensor in found.items():
        if name in wanted and tensor.shape != wanted[name]:
            raise WeightsError(
                f"weights of another size: {name} is {tuple(tensor.shape)}, expected {tuple(wanted[name])}."
            )
