"""The averaged teacher."""

import pytest
import torch
from torch import nn

from dabench.ops.ema import ema_decay, ema_update


def test_decay_warms_up() -> None:
    assert ema_decay(0, 0.99) == 0
    assert ema_decay(1, 0.99) == 0.5
    assert ema_decay(1000, 0.99) == 0.99


@pytest.mark.parametrize("decay", [0.0, 0.75, 1.0])
def test_parameters_are_averaged_and_buffers_copied(decay: float) -> None:
    teacher, student = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    nn.init.constant_(teacher.weight, 1.0)
    nn.init.constant_(student.weight, 5.0)
    student.running_mean = torch.full((2,), 7.0)
    ema_update(teacher, student, decay)
    torch.testing.assert_close(teacher.weight, torch.full((2,), decay * 1.0 + (1 - decay) * 5.0))
    assert teacher.running_mean is not None
    assert teacher.running_mean.tolist() == [7.0, 7.0]
