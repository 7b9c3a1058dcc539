"""Everything that this plugin registers keeps dabench's contracts; and one number by hand."""

from __future__ import annotations

import pytest
import torch
from dabench_example.ipo import IdentityPreference, IPOSettings

from dabench.testing import ConformanceSuite


class TestExample(ConformanceSuite):
    plugin = "example"


def test_ipo_is_zero_at_the_wanted_margin() -> None:
    """One pixel, two masks: h = log(p / (1 - p)), so the loss vanishes where that is 1 / (2 beta) = 1."""
    candidates = torch.tensor([[[[True]], [[False]]]])
    policy = torch.tensor([[[1.0]]])
    optimizer = IdentityPreference(IPOSettings(beta=0.5))
    arguments = (torch.zeros(1, 1, 1), candidates, torch.ones(1, 2, dtype=torch.bool), torch.tensor([[1.0, 0.0]]))
    assert optimizer.loss(policy, *arguments).item() == pytest.approx(0.0, abs=1e-6)
    assert optimizer.loss(torch.zeros(1, 1, 1), *arguments).item() == pytest.approx(1.0)
