"""Under bfloat16 autocast geometry and targets stay exact: half a pixel of error would be a wrong label."""

from __future__ import annotations

import torch
from dabench_prompt_das.contrast import prompt_contrast_loss

from dabench.ops.augmentation import ViewOptions, draw_view
from dabench.ops.density import density_maps
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
