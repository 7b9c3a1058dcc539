"""Weights of SAM: names both ways, files of another size or model, damaged or dangerous, and what is recorded."""

from __future__ import annotations

import pickle
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from dabench_sam_model import SamSettings
from dabench_sam_model.build import build
from dabench_sam_model.keys import checked, shapes, to_library, to_released
from dabench_sam_model.published import _check
from dabench_sam_model.sizes import SIZES
from safetensors.torch import save_file
from torch import Tensor

from dabench.cli.main import main
from dabench.components.registry import Registry
from dabench.errors import WeightsError
from dabench.interfaces import PublishedWeights
from dabench.plugin import read_weights
from dabench.runs.weights import WeightsStore, published
from tests.plugins.sam_networks import loud

TINY = PublishedWeights(
    "sam-tiny", "tiny.pth", "a page", "discs", {"code": "MIT", "data": "CC0"}, ("human",), partial(_check, "tiny")
)

#: Names as the released file has them.
RELEASED = """
image_encoder.pos_embed
image_encoder.patch_embed.proj.weight
image_encoder.blocks.0.norm1.weight
image_encoder.blocks.3.attn.qkv.bias
image_encoder.blocks.1.attn.rel_pos_h
image_encoder.blocks.2.mlp.lin1.weight
image_encoder.neck.0.weight
image_encoder.neck.3.bias
prompt_encoder.pe_layer.positional_encoding_gaussian_matrix
prompt_encoder.point_embeddings.3.weight
prompt_encoder.not_a_point_embed.weight
prompt_encoder.no_mask_embed.weight
prompt_encoder.mask_downscaling.0.weight
prompt_encoder.mask_downscaling.4.bias
prompt_encoder.mask_downscaling.6.weight
mask_decoder.iou_token.weight
mask_decoder.mask_tokens.weight
mask_decoder.transformer.layers.0.self_attn.q_proj.weight
mask_decoder.transformer.layers.1.cross_attn_image_to_token.out_proj.bias
mask_decoder.transformer.layers.1.norm4.weight
mask_decoder.transformer.final_attn_token_to_image.v_proj.weight
mask_decoder.transformer.norm_final_attn.bias
mask_decoder.output_upscaling.0.weight
mask_decoder.output_upscaling.1.bias
mask_decoder.output_upscaling.3.bias
mask_decoder.output_hypernetworks_mlps.3.layers.0.weight
mask_decoder.output_hypernetworks_mlps.3.layers.1.weight
mask_decoder.output_hypernetworks_mlps.0.layers.2.bias
mask_decoder.iou_prediction_head.layers.0.weight
mask_decoder.iou_prediction_head.layers.1.weight
mask_decoder.iou_prediction_head.layers.2.bias
""".split()


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in loud().sam.state_dict().items()}


@pytest.fixture(scope="module")
def released(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {**to_released(state), "pixel_mean": torch.zeros(3, 1, 1)}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# ---------------------------------------------------------------- names
def test_names_go_both_ways(state: dict[str, Tensor], released: dict[str, Tensor]) -> None:
    assert set(RELEASED) <= released.keys()
    assert len(released) == len(state), "one has the constants, the other the matrix of positions twice"
    assert same(to_library(released), state)


def test_the_published_sizes() -> None:
    """314 tensors and 93,735,472 parameters of ViT-B, as its release counts; SAM-Med2D's adapters by their list."""
    found = to_released(shapes(SIZES["vit-b"]))  # type: ignore[arg-type]
    assert len(found) == 314
    with torch.device("meta"):
        assert sum(p.numel() for p in build(SIZES["vit-b"]).parameters()) == 93_735_472
    med2d = to_released(shapes(SIZES["med2d"]))  # type: ignore[arg-type]
    adapters = {k.partition("Adapter.")[2]: tuple(v) for k, v in med2d.items() if "blocks.11.Adapter." in k}
    assert adapters == {
        "norm.weight": (768,),
        "norm.bias": (768,),
        "channel.0.weight": (192, 768),
        "channel.2.weight": (768, 192),
        "spatial.0.weight": (768, 768, 3, 3),
        "spatial.2.weight": (768, 768, 4, 4),
    }
    assert len(med2d) == 314 + 12 * 6
    assert tuple(med2d["image_encoder.pos_embed"]) == (1, 16, 16, 768)  # type: ignore[arg-type]
    sides = [med2d[f"image_encoder.blocks.{block}.attn.rel_pos_h"][0] for block in (1, 2)]
    assert sides == [2 * 14 - 1, 2 * 16 - 1], "a window's relative positions, and those of the whole image of 256 px"


def test_either_layout_is_taken(state: dict[str, Tensor], released: dict[str, Tensor]) -> None:
    assert same(checked(released, SIZES["tiny"]), state)
    assert same(checked(state, SIZES["tiny"]), state)
    once = {name: tensor for name, tensor in state.items() if name != "shared_image_embedding.positional_embedding"}
    assert same(checked(once, SIZES["tiny"]), state), "the library may write the matrix once"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("mask_decoder.iou_token.weight"), "lacks 1 tensors (mask_decoder.iou_token.weight"),
        (lambda t: t.update({"mask_decoder.more": torch.ones(1)}), "has besides 1 tensors (mask_decoder.more"),
        (lambda t: t.update({"backbone.conv.weight": torch.ones(1)}), "'backbone.conv.weight', which SAM has none of"),
        (lambda t: t.update({"image_encoder.pos_embed": torch.ones(1, 64, 64, 64)}), "of another size: vision_encoder"),
    ],
)
def test_other_weights_are_named(released: dict[str, Tensor], change: Any, message: str) -> None:
    tensors = dict(released)
    change(tensors)
    with pytest.raises(WeightsError) as caught:
        checked(tensors, SIZES["tiny"])
    assert message in str(caught.value)


# ---------------------------------------------------------------- the store
def test_a_record_says_what_is_known(tmp_path: Path, state: dict[str, Tensor], released: dict[str, Tensor]) -> None:
    torch.save({"model": released, "optimizer": {"lr": 0.1}}, tmp_path / "tiny.pth")
    store = WeightsStore(tmp_path / "weights")
    record = store.add("sam-tiny", tmp_path / "tiny.pth", TINY)
    assert (record.trained_on, record.saw, record.checked) == ("discs", ("human",), True)
    assert store.records() == [record]
    assert same(read_weights(store.find("sam-tiny")), state), "kept by the library's names"


@pytest.mark.parametrize("prefix", ["sam.", "module.sam."])
def test_checkpoints_of_micro_sams_trainer_are_taken(
    tmp_path: Path, state: dict[str, Tensor], released: dict[str, Tensor], prefix: str
) -> None:
    named = {prefix + name: tensor for name, tensor in released.items()}
    torch.save({"model_state": named, "iteration": 3, "optimizer_state": {"lr": 0.1}}, tmp_path / "best.pt")
    store = WeightsStore(tmp_path / "weights")
    assert store.add("sam-tiny", tmp_path / "best.pt", TINY).checked
    assert same(read_weights(store.find("sam-tiny")), state)


def test_earlier_records_are_read(tmp_path: Path) -> None:
    save_file({"x": torch.ones(1)}, tmp_path / "mine.safetensors")
    record = WeightsStore(tmp_path / "weights").add("mine", tmp_path / "mine.safetensors")
    assert (record.trained_on, record.saw, record.checked) == ("", None, False)


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    monkeypatch.setenv("DABENCH_WORKSPACE", str(tmp_path / "workspace"))

    def call(name: str, file: Path) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["dabench", "weights", "add", name, str(file)])
        with pytest.raises(SystemExit) as stop:
            main()
        said = capsys.readouterr()
        return int(stop.value.code or 0), said.out + said.err

    return call


class Code:
    def __reduce__(self) -> Any:
        return print, ("run",)


def test_files_that_are_not_it_are_refused(add: Any, tmp_path: Path, released: dict[str, Tensor]) -> None:
    save_file({k: v.contiguous().clone() for k, v in released.items()}, tmp_path / "small.safetensors")
    (tmp_path / "code.pth").write_bytes(pickle.dumps({"x": Code()}))
    torch.save(released, tmp_path / "whole.pth")
    content = (tmp_path / "whole.pth").read_bytes()
    (tmp_path / "cut.pth").write_bytes(content[: len(content) // 2])
    for file, message in (
        ("small.safetensors", "weights of another size"),
        ("code.pth", "pickle"),
        ("cut.pth", "damaged"),
        ("none.pth", "no such file"),
    ):
        code, said = add("sam-vit-b", tmp_path / file)
        assert (code, message in said) == (3, True), said
    assert "sam_vit_b_01ec64.pth" in add("sam-vit-b", tmp_path / "small.safetensors")[1]
    assert not list((tmp_path / "workspace").rglob("*.safetensors"))


# ---------------------------------------------------------------- what is published
def test_all_published_weights_say_all(registry: Registry) -> None:
    found = published(registry)
    assert {"sam-vit-b", "sam-vit-l", "sam-vit-h", "sam-med2d", "micro-sam-vit-b-em"} <= found.keys()
    for one in found.values():
        assert one.trained_on
        assert {"code", "weights", "data"} == one.licences.keys()
        assert "https://" in one.where


def test_published_weights_bring_their_size() -> None:
    assert SamSettings(pretrained="sam-vit-l").size == "vit-l"
    assert SamSettings(pretrained="micro-sam-vit-b-em", size="tiny").size == "vit-b"
    assert SamSettings(pretrained="none", size="tiny").size == "tiny"
    assert SamSettings(pretrained="mine", size="vit-h").size == "vit-h"
