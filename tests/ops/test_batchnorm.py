"""Whose statistics a network is left with."""

import pytest
import torch
from torch import nn

from dabench.ops.batchnorm import frozen_statistics, hold_statistics, recalibrate


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU())


def test_frozen_statistics_stay_and_thaw() -> None:
    net = network().train()
    mean, variance = net.get_buffer("1.running_mean").clone(), net.get_buffer("1.running_var").clone()
    with frozen_statistics(net):
        net(torch.rand(2, 1, 8, 8) + 3)
    assert torch.equal(mean, net.get_buffer("1.running_mean"))
    assert torch.equal(variance, net.get_buffer("1.running_var"))
    net(torch.rand(2, 1, 8, 8) + 3)
    assert not torch.equal(mean, net.get_buffer("1.running_mean"))


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_recalibrated_statistics_mix_the_old_with_the_average_over_batches(share: float) -> None:
    net = network()
    net.get_buffer("1.running_mean").fill_(3)
    net.get_buffer("1.running_var").fill_(5)
    batches = [torch.rand(2, 1, 8, 8), torch.rand(2, 1, 8, 8) + 1]
    recalibrate(net, batches, share)
    seen = [net[0](b).transpose(0, 1).flatten(1) for b in batches]
    mean = torch.stack([x.mean(dim=1) for x in seen]).mean(dim=0)
    variance = torch.stack([x.var(dim=1) for x in seen]).mean(dim=0)
    torch.testing.assert_close(net.get_buffer("1.running_mean"), share * mean + (1 - share) * 3)
    torch.testing.assert_close(net.get_buffer("1.running_var"), share * variance + (1 - share) * 5)
    assert isinstance(net[1], nn.BatchNorm2d)
    assert net[1].momentum == 0.1


def test_held_statistics_make_training_and_evaluation_one_function() -> None:
    net, images = network(), torch.rand(2, 1, 8, 8)
    expected = net.eval()(images)
    net.train()
    hold_statistics(net)
    torch.testing.assert_close(net(images), expected)
