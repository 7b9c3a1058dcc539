"""Padding, merging and drawing of points."""

import torch

from dabench.ops.prompts import merge_points, pad_points, random_subset, sample_per_component, sample_pixels


def test_padding_and_back() -> None:
    lists = [torch.rand(3, 2), torch.zeros(0, 2), torch.rand(1, 2)]
    prompts = pad_points(lists)
    assert prompts.points.shape == (3, 3, 2)
    for before, after in zip(lists, prompts.unpad(), strict=True):
        assert torch.equal(before, after)


def test_no_points_at_all_is_a_batch_of_width_zero() -> None:
    assert pad_points([torch.zeros(0, 2)] * 2).points.shape == (2, 0, 2)


def test_random_subset_takes_every_count_and_no_point_twice() -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.arange(8.0).view(4, 2)
    drawn = [random_subset(points, generator) for _ in range(200)]
    assert {len(d) for d in drawn} == {0, 1, 2, 3, 4}
    assert all(len(torch.unique(d, dim=0)) == len(d) for d in drawn)
    assert len(random_subset(points[:0], generator)) == 0


def test_a_detected_peak_beside_a_given_point_is_the_same_object() -> None:
    given = torch.tensor([[10.0, 10.0]])
    peaks = torch.tensor([[12.0, 10.0], [40.0, 10.0]])
    assert merge_points(given, peaks, distance=5).tolist() == [[10.0, 10.0], [40.0, 10.0]]
    assert merge_points(given[:0], peaks, distance=5).tolist() == peaks.tolist()


def test_pixels_are_x_y_and_come_from_the_mask() -> None:
    mask = torch.zeros(6, 9, dtype=torch.bool)
    mask[2, 7] = True
    assert sample_pixels(mask, 5, torch.Generator()).tolist() == [[7.0, 2.0]]


def test_queries_are_spread_over_components() -> None:
    components = torch.zeros(20, 20, dtype=torch.int32)
    components[:10, :10] = 1
    components[15, 15] = 2
    points = sample_per_component(components, 3, 100, torch.Generator().manual_seed(0)).long()
    labels = components[points[:, 1], points[:, 0]]
    assert labels.tolist().count(1) == 3
    assert labels.tolist().count(2) == 1
