"""Pseudo-labels and BatchNorm statistics on hand-made maps."""

import torch
from torch import nn

from dabench.ops.batch_statistics import estimate_statistics, frozen_statistics, use_running_statistics
from dabench.ops.density import density_maps
from dabench.ops.prompts import pad_points
from dabench.ops.pseudo_labels import anchor_points, detected_points, keep_detected, two_threshold_labels
from dabench.types import IGNORE

NOTHING = torch.zeros(0, 2)


def test_two_thresholds_leave_a_band() -> None:
    probability = torch.tensor([[[0.05, 0.1, 0.5, 0.7, 0.9]]])
    assert two_threshold_labels(probability, 0.7, 0.1).tolist() == [[[0, 0, IGNORE, 1, 1]]]


def test_detections_are_relative_to_the_highest_and_join_given_points() -> None:
    low = 0.4 * density_maps(pad_points([torch.tensor([[20.0, 20.0], [70.0, 60.0]])]), (96, 96))
    given = torch.tensor([[22.0, 20.0]])
    (points,) = detected_points(low, [given])
    assert points.tolist() == [[22.0, 20.0], [70.0, 60.0]]
    assert len(detected_points(low * 0.1, [NOTHING])[0]) == 0


def two_objects() -> tuple[torch.Tensor, torch.Tensor]:
    probability = torch.full((64, 64), 0.01)
    probability[10:20, 10:20] = 0.9
    probability[40:50, 40:50] = 0.9
    return probability, two_threshold_labels(probability[None], 0.7, 0.1)[0]


def test_a_component_without_detection_is_unknown_unless_it_touches_the_border() -> None:
    probability, labels = two_objects()
    kept = keep_detected(labels, probability, torch.tensor([[15.0, 14.0]]))
    assert kept[15, 15] == 1
    assert (kept[40:50, 40:50] == IGNORE).all()
    probability[50:, 40:50] = 0.9
    assert keep_detected(labels, probability, NOTHING)[45, 45] == 1


def test_background_around_an_unsupported_point_is_unknown() -> None:
    probability, labels = two_objects()
    kept = keep_detected(labels, probability, torch.tensor([[15.0, 14.0], [45.0, 45.0], [50.0, 15.0]]), reach=6)
    assert kept[15, 50] == IGNORE
    assert kept[15, 57] == 0
    assert kept[15, 15] == 1


def test_given_points_are_foreground() -> None:
    labels = anchor_points(torch.zeros(32, 32, dtype=torch.uint8), torch.tensor([[20.0, 8.0]]), radius=2)
    assert labels[8, 20] == 1
    assert labels.sum() == 13
    assert anchor_points(labels, NOTHING, radius=2).equal(labels)
    assert anchor_points(labels, torch.tensor([[5.0, 5.0]]), radius=0).equal(labels)


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU())


def test_frozen_statistics_stay_and_thaw() -> None:
    net = network().train()
    before = {name: buffer.clone() for name, buffer in net.named_buffers()}
    with frozen_statistics(net):
        net(torch.rand(2, 1, 8, 8) + 3)
    assert all(torch.equal(before[name], buffer) for name, buffer in net.named_buffers())
    net(torch.rand(2, 1, 8, 8) + 3)
    assert not torch.equal(before["1.running_mean"], net.get_buffer("1.running_mean"))


def test_estimated_statistics_are_the_average_over_batches() -> None:
    net = network()
    batches = [torch.rand(2, 1, 8, 8), torch.rand(2, 1, 8, 8) + 1]
    estimate_statistics(net, batches)
    expected = torch.stack([net[0](b).mean(dim=(0, 2, 3)) for b in batches]).mean(dim=0)
    torch.testing.assert_close(net.get_buffer("1.running_mean"), expected)
    assert not net.training
    assert isinstance(net[1], nn.BatchNorm2d)
    assert net[1].momentum == 0.1


def test_running_statistics_make_training_and_evaluation_one_function() -> None:
    net, images = network(), torch.rand(2, 1, 8, 8)
    expected = net.eval()(images)
    use_running_statistics(net)
    assert net.training
    torch.testing.assert_close(net(images), expected)
