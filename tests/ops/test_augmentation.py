"""A view moves images, labels and points alike."""

import pytest
import torch

from dabench.ops.augmentation import PLAIN, STRONG, WEAK, View, ViewOptions, draw_view, homography
from dabench.ops.density import density_maps
from dabench.ops.peaks import find_peaks
from dabench.ops.prompts import pad_points
from dabench.types import IGNORE

SIZE = (96, 96)


@pytest.mark.parametrize("flips", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("size", [(8, 8), (6, 9)])
def test_flips_and_turns_carry_points_exactly(flips: tuple[bool, bool], turns: int, size: tuple[int, int]) -> None:
    view = View(size, flips, turns)
    labels = torch.arange(size[0] * size[1], dtype=torch.int32).view(size)
    points = torch.tensor([[0.0, 0.0], [5.0, 2.0], [3.0, 5.0]])
    moved_labels, moved = view.labels(labels), view.points(points).long()
    before = labels[points[:, 1].long(), points[:, 0].long()]
    assert torch.equal(moved_labels[moved[:, 1], moved[:, 0]], before)


@pytest.mark.parametrize("options", [ViewOptions(perspective=1.0), ViewOptions(perspective=0.0, elastic=1.0)])
def test_warps_carry_points_with_the_image(options: ViewOptions) -> None:
    generator = torch.Generator().manual_seed(0)
    checked = 0
    for _ in range(20):
        view = draw_view(SIZE, options, generator)
        point = torch.rand(1, 2, generator=generator) * 40 + 28
        bump = density_maps(pad_points([point]), SIZE, kernel=15)
        seen, moved = find_peaks(view.maps(bump), 0.5, 9).unpad()[0], view.points(point)
        if len(seen) and len(moved):
            assert (seen[0] - moved[0]).norm() < 1.6  # the dot and the peak are both rounded to a pixel
            checked += 1
    assert checked >= 15


def test_homography_takes_corners_to_corners() -> None:
    starts = torch.tensor([[0, 0], [9, 0], [9, 7], [0, 7]], dtype=torch.float64)
    ends = starts + torch.tensor([[1, 1], [-1, 2], [0, -1], [2, 0]], dtype=torch.float64)
    edge = torch.cat([starts, torch.ones(4, 1, dtype=torch.float64)], dim=1) @ homography(starts, ends).T
    torch.testing.assert_close(edge[:, :2] / edge[:, 2:], ends)


def test_what_lies_outside_the_crop_is_ignored() -> None:
    inward = torch.tensor([[20, 20], [76, 20], [76, 76], [20, 76]], dtype=torch.float64)
    view = View(SIZE, corners=inward)
    labels = view.labels(torch.ones(SIZE, dtype=torch.uint8))
    assert labels[48, 48] == 1
    assert labels[2, 2] == IGNORE
    assert len(view.points(torch.tensor([[48.0, 48.0]]))) == 1


def test_points_that_leave_the_crop_are_dropped() -> None:
    outward = torch.tensor([[-40, -40], [136, -40], [136, 136], [-40, 136]], dtype=torch.float64)
    assert len(View(SIZE, corners=outward).points(torch.tensor([[1.0, 1.0], [48.0, 48.0]]))) == 1


def test_a_zoom_enlarges_a_part_of_the_published_size_to_the_whole() -> None:
    generator, sides = torch.Generator().manual_seed(0), []
    flat = ViewOptions(flip=0.0, turn=0.0, perspective=0.0, jitter=0.0, noise=0.0, zoom=1.0)
    for _ in range(200):
        corners = draw_view(SIZE, flat, generator).corners
        assert corners is not None
        width, height = (corners[2] - corners[0]).tolist()
        assert width == pytest.approx(height)
        sides.append(SIZE[0] / width)
        assert (corners[0] <= 0).all()  # what was the edge lies outside now,
        assert (corners[2] >= SIZE[0]).all()  # so nothing unknown is seen
    assert 0.25**0.5 <= min(sides) < 0.55
    assert 0.85 < max(sides) <= 0.8**0.5


def test_a_zoom_carries_points_with_the_image() -> None:
    left = torch.tensor([[0, 0], [192, 0], [192, 192], [0, 192]], dtype=torch.float64)
    view, image = View(SIZE, corners=left), torch.zeros(1, *SIZE)
    image[0, 20, 30] = 1.0
    assert view.points(torch.tensor([[30.0, 20.0]])).tolist() == [[60.5, 40.5]]
    assert view.labels((image[0] > 0).long())[40:42, 60:62].tolist() == [[1, 1], [1, 1]]


def test_the_weak_view_does_not_touch_gray_values_and_the_plain_one_nothing() -> None:
    image = torch.rand(1, *SIZE, generator=torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(0)
    for _ in range(10):
        seen = draw_view(SIZE, WEAK, generator).image(image)
        assert torch.allclose(seen.flatten().sort().values, image.flatten().sort().values, atol=1e-5)
        torch.testing.assert_close(draw_view(SIZE, PLAIN, generator).image(image), image)


def test_a_view_is_repeatable_and_stays_in_range() -> None:
    options = ViewOptions(perspective=1.0, elastic=1.0, jitter=1.0, noise=1.0, motion_blur=1.0)
    image = torch.rand(1, *SIZE)
    first, second = (draw_view(SIZE, options, torch.Generator().manual_seed(3)).image(image) for _ in range(2))
    assert torch.equal(first, second)
    assert first.min() >= 0
    assert first.max() <= 1
    assert STRONG != WEAK
