"""Density maps against the published form, and the way back to points."""

import math

import pytest
import torch

from dabench.ops.density import bump_mass, density_maps, kernel_sigma, peak_weights, sparse_density
from dabench.ops.peaks import _sliding_maximum, find_peaks
from dabench.ops.prompts import pad_points


def test_kernel_61_is_sigma_nine_and_a_half() -> None:
    assert kernel_sigma(61) == pytest.approx(9.5)


def test_an_isolated_point_is_a_unit_gaussian() -> None:
    density = density_maps(pad_points([torch.tensor([[50.0, 40.0]])]), (90, 100))[0]
    assert density[40, 50] == pytest.approx(1.0)
    assert density[40, 60] == pytest.approx(math.exp(-0.5 * (10 / 9.5) ** 2), abs=1e-4)
    assert density[40, 85] == 0  # beyond the kernel


def test_near_points_give_a_flat_top_clipped_at_one() -> None:
    density = density_maps(pad_points([torch.tensor([[40.0, 40.0], [46.0, 40.0]])]), (80, 80))[0]
    assert density.max() == 1
    assert density[40, 43] == 1


def test_no_point_gives_zero_and_outside_points_are_left_out() -> None:
    points = [torch.zeros(0, 2), torch.tensor([[-3.0, 5.0], [99.0, 5.0]])]
    assert density_maps(pad_points(points), (20, 20)).abs().max() == 0


def test_a_batch_equals_its_images_one_by_one() -> None:
    points = [torch.tensor([[10.0, 12.0], [40.0, 30.0]]), torch.tensor([[5.0, 5.0]])]
    together = density_maps(pad_points(points), (48, 56))
    for row, own in enumerate(points):
        torch.testing.assert_close(together[row], density_maps(pad_points([own]), (48, 56))[0])


def test_the_mass_of_a_bump_is_the_releases() -> None:
    # 144,219 is the sum of one bump on the 0-255 scale.
    assert bump_mass() == pytest.approx(144_219 / 255, rel=1e-4)
    assert bump_mass() == pytest.approx(
        density_maps(pad_points([torch.tensor([[40.0, 40.0]])]), (81, 81)).sum().item(), rel=1e-4
    )


def test_weights_are_four_at_a_point_and_one_far_away() -> None:
    weights = peak_weights([torch.tensor([[8.0, 8.0]])], (32, 32))
    assert weights[0, 8, 8] == 4
    assert weights[0, 31, 31] == 1


def test_where_an_unknown_centre_may_lie_there_is_no_weight() -> None:
    background = torch.zeros(1, 80, 80, dtype=torch.bool)
    background[:, :10] = True
    density, weights = sparse_density([torch.tensor([[40.0, 45.0]])], background)
    assert weights[0, 45, 40] == pytest.approx(4.0)
    assert weights[0, 5, 79] == 1
    assert weights[0, 78, 78] == 0
    assert weights[0, 20, 40] == 1  # near a centre: the bump's own support
    assert density[0, 45, 40] == 1


def test_peaks_find_the_points_again() -> None:
    points = torch.tensor([[20.0, 15.0], [70.0, 20.0], [40.0, 60.0]])
    found = find_peaks(density_maps(pad_points([points]), (96, 96))).unpad()[0]
    assert {tuple(p) for p in found.tolist()} == {tuple(p) for p in points.tolist()}


def test_a_plateau_is_one_peak_and_low_maxima_are_none() -> None:
    density = torch.zeros(2, 32, 32)
    density[0, 10:13, 4:9] = 0.8
    density[1, 20, 20] = 0.49
    found = find_peaks(density).unpad()
    assert found[0].tolist() == [[6.0, 11.0]]
    assert len(found[1]) == 0


@pytest.mark.parametrize("kernel", [1, 3, 5, 15, 61])
def test_a_sliding_maximum_is_that_of_max_pooling(kernel: int) -> None:
    maps = torch.randn(2, 20, 33, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.max_pool2d(maps, (1, kernel), stride=1, padding=(0, kernel // 2))
    assert torch.equal(_sliding_maximum(maps, kernel), expected)
