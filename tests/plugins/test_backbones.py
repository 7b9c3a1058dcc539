"""Backbones: pretrained weights through the store, from a file that the test makes, and what goes wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from dabench_backbones.vit import ARCHITECTURE
from safetensors.torch import save_file
from torch import Tensor

from dabench.components.assembly import Assembly
from dabench.components.registry import Registry
from dabench.errors import ConfigError, WeightsError
from dabench.runs.config import validate_config
from dabench.runs.weights import WeightsStore


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    torch.manual_seed(1)
    vit = timm.create_model(ARCHITECTURE, pretrained=False, num_classes=0)
    return {name: tensor.clone() for name, tensor in vit.state_dict().items()}


def assembly(registry: Registry, store: WeightsStore, **settings: object) -> Assembly:
    options = {"vit-s8-dino": settings} if settings else {}
    config = validate_config({"method": "source-only", "task": "human2stem", "preset": "paper", "options": options})
    return Assembly(registry, config, store)


def test_added_weights_reach_the_encoder(registry: Registry, tmp_path: Path, state: dict[str, Tensor]) -> None:
    save_file({f"module.{name}": tensor for name, tensor in state.items()}, tmp_path / "dino.safetensors")
    store = WeightsStore(tmp_path / "weights")
    record = store.add("dino-vits8", tmp_path / "dino.safetensors")
    assert store.digest("dino-vits8") == record.sha256
    encoder = assembly(registry, store).backbone("vit-s8-dino")
    assert torch.equal(encoder.positions, state["pos_embed"][:, 1:])  # type: ignore[arg-type]
    assert torch.equal(encoder.blocks[3].attn.qkv.weight, state["blocks.3.attn.qkv.weight"])  # type: ignore[index, union-attr]


def test_weights_of_another_model_are_refused(registry: Registry, tmp_path: Path) -> None:
    save_file({"conv.weight": torch.ones(3)}, tmp_path / "other.safetensors")
    store = WeightsStore(tmp_path / "weights")
    store.add("dino-vits8", tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="not weights of vit_small_patch8_224"):
        assembly(registry, store).backbone("vit-s8-dino")


def test_changed_weights_are_noticed(registry: Registry, tmp_path: Path, state: dict[str, Tensor]) -> None:
    save_file(state, tmp_path / "dino.safetensors")
    store = WeightsStore(tmp_path / "weights")
    store.add("dino-vits8", tmp_path / "dino.safetensors")
    save_file({"x": torch.ones(1)}, store.path_of("dino-vits8"))
    with pytest.raises(WeightsError, match="digest"):
        assembly(registry, store).backbone("vit-s8-dino")


def test_other_content_under_a_taken_name_is_refused(tmp_path: Path) -> None:
    store = WeightsStore(tmp_path / "weights")
    for number in (1, 2):
        save_file({"x": torch.full((1,), float(number))}, tmp_path / f"{number}.safetensors")
    store.add("mine", tmp_path / "1.safetensors")
    store.add("mine", tmp_path / "1.safetensors")
    with pytest.raises(ConfigError, match="already exist"):
        store.add("mine", tmp_path / "2.safetensors")
    with pytest.raises(ConfigError, match="lower-case"):
        store.add("../mine", tmp_path / "2.safetensors")


def test_without_weights_or_internet_the_expected_file_is_named(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(timm, "create_model", unreachable)
    with pytest.raises(WeightsError, match=r"model\.safetensors") as error:
        assembly(registry, WeightsStore(tmp_path)).backbone("vit-s8-dino")
    assert "dabench weights add dino-vits8" in str(error.value)
    with pytest.raises(WeightsError, match="'mine' were not added"):
        assembly(registry, WeightsStore(tmp_path), pretrained="mine").backbone("vit-s8-dino")


def test_from_scratch_asks_for_nothing(registry: Registry, tmp_path: Path) -> None:
    encoder = assembly(registry, WeightsStore(tmp_path), pretrained="none").backbone("vit-s8-dino")
    maps = encoder(torch.rand(1, 1, 48, 32))
    assert maps[-1].shape == (1, 384, 6, 4)
