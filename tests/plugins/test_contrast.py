"""The prompt-guided contrast: it tells what lies under a token, in fifty updates, and leaves the mask alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from dabench_backbones.conv import ConvEncoder
from dabench_prompt_das.contrast import contrast_loss, draw_contrast
from dabench_promptable.network import PromptableNetwork, Widths, cells_at
from torch import Tensor

SIDE, MOST = 64, (32, 32)


def images(seed: int) -> tuple[Tensor, Tensor]:
    """Four noisy images with two dark discs each, and where these are."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    masks = np.zeros((4, SIDE, SIDE), bool)
    for mask in masks:
        for y, x in rng.integers(12, SIDE - 12, (2, 2)):
            mask |= (rows - y) ** 2 + (columns - x) ** 2 <= 64
    grey = 0.7 - 0.3 * masks + 0.05 * rng.standard_normal(masks.shape)
    return torch.from_numpy(grey.astype(np.float32))[:, None], torch.from_numpy(masks)


def network(*, placed: bool) -> PromptableNetwork:
    torch.manual_seed(0)
    widths = Widths(64, 4, 128, detection=16, full_resolution_detection=False, placed_contrast=placed)
    return PromptableNetwork(ConvEncoder((16, 32, 64), (1, 1, 1)), widths)


def train(model: PromptableNetwork, *, frozen_keys: bool) -> list[float]:
    """Fifty updates of the contrast alone; its losses."""
    optimizer, generator = torch.optim.AdamW(model.parameters(), lr=1e-3), torch.Generator().manual_seed(0)
    found = []
    for step in range(50):
        grey, masks = images(step)
        points = [torch.nonzero(mask).flip(1)[::40].float() for mask in masks]
        drawn = draw_contrast(masks, ~masks, points, MOST, generator)
        seen = model(grey, None, drawn.padded.points, drawn.padded.valid).contrast_embeddings
        loss = contrast_loss(seen, drawn, 0.5, frozen_keys=frozen_keys)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found


@torch.no_grad()
def auc(model: PromptableNetwork) -> float:
    """How often a foreground query of new images is nearer to the key than a background one."""
    grey, masks = images(999)
    points = [torch.nonzero(mask).flip(1)[::40].float() for mask in masks]
    drawn = draw_contrast(masks, ~masks, points, MOST, torch.Generator().manual_seed(1))
    seen = model(grey, None, drawn.padded.points, drawn.padded.valid).contrast_embeddings
    wins = []
    for row, (p, q, n) in zip(torch.nn.functional.normalize(seen, dim=-1), drawn.counts, strict=True):
        near = row @ row[:p].mean(dim=0)
        wins.append((near[p : p + q, None] > near[None, p + q : p + q + n]).float().mean())
    return float(torch.stack(wins).mean())


def test_it_learns_what_lies_under_a_token() -> None:
    model = network(placed=True)
    losses = train(model, frozen_keys=False)
    chance = math.log(1 + MOST[1])
    assert losses[0] == pytest.approx(chance, abs=0.2)
    assert losses[-1] < chance - 1
    assert auc(model) > 0.95


def test_as_published_it_learns_nothing() -> None:
    losses = train(network(placed=False), frozen_keys=True)
    assert losses[-1] > math.log(1 + MOST[1]) - 0.3


def test_cells_at_points_by_hand() -> None:
    cells = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])  # 2 x 2 cells of an image of 4 x 4 pixels
    # Pixel centres 0.5 and 2.5 are those of cells after the half-pixel shift; between them it is linear.
    points = torch.tensor([[[0.5, 0.5], [2.5, 2.5], [1.5, 0.5], [-3.0, 9.0]]])
    assert cells_at(cells, points, (4, 4)).flatten().tolist() == pytest.approx([1.0, 4.0, 1.5, 3.0])


@torch.no_grad()
def test_the_mask_does_not_know_of_it() -> None:
    model, (grey, _) = network(placed=True).eval(), images(0)
    watched = model(grey, None, torch.rand(4, 9, 2) * SIDE)
    assert (watched.probability - model(grey).probability).abs().max() <= 6e-7
