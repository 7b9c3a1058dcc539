"""Which hardware multiplies bfloat16; under autocast geometry and targets stay exact: half a pixel would be wrong."""

from __future__ import annotations

import pytest
import torch
from dabench_prompt_das.contrast import prompt_contrast_loss

from dabench.ops.augmentation import ViewOptions, draw_view
from dabench.ops.density import density_maps
from dabench.ops.norms import GroupNorm
from dabench.ops.precision import multiplies_bfloat16
from dabench.ops.prompts import pad_points


def autocast() -> torch.autocast:
    return torch.autocast("cpu", dtype=torch.bfloat16)


def test_warps_are_the_same() -> None:
    generator = torch.Generator().manual_seed(0)
    options = ViewOptions(perspective=1.0, elastic=1.0, motion_blur=1.0)
    ramp = torch.linspace(0, 1, 96).expand(1, 96, 96).contiguous()
    for _ in range(5):
        view = draw_view((96, 96), options, generator)
        plain = view.image(ramp), view.maps(ramp), view.labels((ramp[0] * 9).to(torch.uint8))
        with autocast():
            mixed = view.image(ramp), view.maps(ramp), view.labels((ramp[0] * 9).to(torch.uint8))
        assert all(torch.equal(a, b) for a, b in zip(plain, mixed, strict=True))


def test_density_and_contrast_are_float32() -> None:
    prompts = pad_points([torch.tensor([[20.0, 30.0]])])
    embeddings = torch.randn(12, 8, generator=torch.Generator().manual_seed(0))
    plain = density_maps(prompts, (64, 64)), prompt_contrast_loss(embeddings[:2], embeddings[2:6], embeddings[6:])
    with autocast():
        mixed = density_maps(prompts, (64, 64)), prompt_contrast_loss(embeddings[:2], embeddings[2:6], embeddings[6:])
    assert mixed[0].dtype == torch.float32
    assert torch.equal(plain[0], mixed[0])
    assert torch.equal(plain[1], mixed[1])


@pytest.mark.parametrize(("amx", "avx512", "expected"), [(0, 0, False), (1, 0, True), (0, 1, True)])
def test_a_cpu_multiplies_bfloat16_with_either_extension(
    amx: int, avx512: int, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: bool(amx))
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bool(avx512))
    assert multiplies_bfloat16(torch.device("cpu")) is expected
    assert not multiplies_bfloat16(torch.device("meta"))


def test_a_gpu_says_itself_and_emulation_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation)
    assert not multiplies_bfloat16(torch.device("cuda"))


def test_a_torch_that_cannot_be_asked_is_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported")
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported")
    assert not multiplies_bfloat16(torch.device("cpu"))


def test_group_norm_is_exact_under_autocast() -> None:
    maps = torch.randn(2, 8, 6, 6, generator=torch.Generator().manual_seed(0))
    norm, plain = GroupNorm(4, 8), torch.nn.GroupNorm(4, 8)
    assert torch.equal(norm(maps), plain(maps))
    with autocast():
        assert torch.equal(norm(maps.bfloat16()), plain(maps.bfloat16().float()).bfloat16())
