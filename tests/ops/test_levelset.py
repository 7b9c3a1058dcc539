"""DRLSE: hand-checked pieces, and what an evolution must do on images whose edges are known."""

from __future__ import annotations

import math

import pytest
import torch

from dabench.errors import ConfigError
from dabench.ops.levelset import (
    LevelSetSettings,
    diffusion_rate,
    dirac,
    divergence,
    drlse,
    edge_indicator,
    gradient,
    laplacian,
    neumann,
    refine_masks,
)

SIDE = 64


def radius_map(side=SIDE, centre=None):
    centre = centre or (side / 2, side / 2)
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return torch.sqrt((x - centre[1]) ** 2.0 + (y - centre[0]) ** 2.0)


def disc(radius, side=SIDE):
    return (radius_map(side) <= radius)[None]


def step_image(radius):
    """A dark disc on a bright ground: one edge, at the radius."""
    return torch.where(radius_map() <= radius, 0.2, 0.8)[None]


def effective_radius(mask):
    return math.sqrt(mask.sum().item() / math.pi)


def test_dirac_is_the_raised_cosine():
    phi = torch.tensor([0.0, 0.75, -0.75, 1.5, 3.0])
    assert torch.allclose(dirac(phi, 1.5), torch.tensor([1 / 1.5, 1 / 3, 1 / 3, 0.0, 0.0]), atol=1e-6)
    line = torch.linspace(-2, 2, 4001)
    assert torch.trapezoid(dirac(line, 1.5), line).item() == pytest.approx(1.0, abs=1e-4)


def test_double_well_has_its_wells_at_zero_and_one():
    slope = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0, 2.0])
    expected = [1.0, math.sin(math.pi / 2) / (math.pi / 2), 0.0, -1 / (1.5 * math.pi), 0.0, 0.5]
    assert torch.allclose(diffusion_rate(slope), torch.tensor(expected), atol=1e-6)


def test_neumann_mirrors_at_the_second_pixel():
    phi = torch.arange(20.0).reshape(1, 4, 5)
    out = neumann(phi)
    assert out[0, 1].tolist() == [7, 6, 7, 8, 7]
    assert out[0, 0].tolist() == [12, 11, 12, 13, 12]
    assert torch.equal(phi, torch.arange(20.0).reshape(1, 4, 5))


def test_differences_of_a_plane_and_a_parabola():
    y, x = torch.meshgrid(torch.arange(6.0), torch.arange(7.0), indexing="ij")
    dx, dy = gradient((2 * x - 3 * y)[None])
    assert torch.allclose(dx, torch.full_like(dx, 2.0))
    assert torch.allclose(dy, torch.full_like(dy, -3.0))
    assert torch.allclose(divergence(x[None], y[None]), torch.tensor(2.0))
    assert torch.allclose(laplacian((x * x)[None])[0, 1:-1, 1:-1], torch.tensor(2.0))


def test_edge_indicator_uses_the_0_255_scale():
    edge = edge_indicator(step_image(20), sigma=1.0)[0]
    assert edge[32, 52] < 0.01
    assert edge[32, 32] == pytest.approx(1.0)


@pytest.mark.parametrize(("start", "balloon"), [(12, "expand"), (16, "expand"), (20, "expand"), (26, "shrink")])
def test_a_disc_goes_to_the_edge_and_stays_there(start, balloon):
    refined = drlse(step_image(20), disc(start), LevelSetSettings(balloon=balloon))
    assert effective_radius(refined) == pytest.approx(20, abs=1.5)
    again = drlse(step_image(20), refined, LevelSetSettings(balloon=balloon))
    assert (again ^ refined).sum() <= 0.08 * refined.sum()


def test_without_the_area_term_a_disc_near_the_edge_is_drawn_to_it():
    refined = drlse(step_image(20), disc(18.5), LevelSetSettings(balloon="none"))
    assert effective_radius(refined) == pytest.approx(20, abs=1)


def test_empty_and_full_masks_come_back_as_they_are():
    image = torch.rand(2, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    masks = torch.stack([torch.zeros(SIDE, SIDE), torch.ones(SIDE, SIDE)]).bool()
    refined = refine_masks(image, masks)
    assert torch.equal(refined.masks, masks)
    assert refined.components.tolist() == [0, 1]
    assert refined.rejected.tolist() == [0, 0]


def test_no_masks_at_all():
    refined = refine_masks(torch.zeros(0, 8, 8), torch.zeros(0, 8, 8, dtype=torch.bool))
    assert refined.masks.shape == (0, 8, 8)
    assert len(refined.components) == len(refined.rejected) == 0


def test_batch_equals_one_by_one_and_runs_are_equal():
    images = torch.rand(5, 40, 48, generator=torch.Generator().manual_seed(1))
    masks = torch.stack([radius_map(48)[:40] < r for r in (4, 8, 12, 16, 0)])
    masks[4] = False
    batched = drlse(images, masks)
    assert torch.equal(batched, drlse(images, masks))
    single = torch.cat([drlse(images[i : i + 1], masks[i : i + 1]) for i in range(5)])
    assert torch.equal(batched, single)


def test_evolution_commutes_with_flips():
    image = torch.rand(1, 40, 40, generator=torch.Generator().manual_seed(2))
    mask = (radius_map(40, centre=(18, 23)) < 9)[None]
    flipped = drlse(image.flip(2), mask.flip(2)).flip(2)
    assert (flipped ^ drlse(image, mask)).sum() <= 2


def test_a_leak_is_rejected_and_counted():
    """On a flat image nothing stops the contour: the small disc leaks, the large one changes little."""
    mask = disc(4, 128) | (radius_map(128, centre=(20, 20)) < 15)[None]
    image = torch.full((1, 128, 128), 0.5)
    settings = LevelSetSettings(outer=1)
    refined = refine_masks(image, mask, settings, largest_change=0.5)
    leaked = drlse(image, mask, settings)
    assert refined.components.tolist() == [2]
    assert refined.rejected.tolist() == [1]
    assert torch.equal(refined.masks[0, 40:], mask[0, 40:])
    assert torch.equal(refined.masks[0, :40, :40], leaked[0, :40, :40])


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"step": 5.0}, "mu [*] step = 1"),
        ({"balloon": "inflate"}, "inflate"),
        ({"epsilon": 2.5}, "epsilon = 2.5"),
        ({"sigma": 0.0}, "sigma = 0"),
    ],
)
def test_unstable_or_undefined_settings_are_refused(values, text):
    with pytest.raises(ConfigError, match=text):
        LevelSetSettings(**values)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="sides >= 3"):
        drlse(torch.zeros(1, 2, 8), torch.zeros(1, 2, 8, dtype=torch.bool))
