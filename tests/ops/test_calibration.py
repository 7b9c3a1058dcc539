"""Odds shifted by a threshold."""

import numpy as np
import pytest
import torch

from dabench.ops.calibration import shift_odds


def test_the_threshold_becomes_one_half_and_certainty_stays() -> None:
    found = shift_odds(np.array([0.0, 0.1, 0.2, 0.5, 1.0]), 0.1)
    assert found == pytest.approx([0.0, 0.5, 0.2 * 0.9 / (0.2 * 0.9 + 0.8 * 0.1), 0.9, 1.0])


def test_it_is_bayes_rule_with_another_share_of_foreground() -> None:
    """Likelihoods .6 and .2: the posterior under a share of 5 % becomes that under 30 %."""

    def posterior(share: float) -> float:
        return 0.6 * share / (0.6 * share + 0.2 * (1 - share))

    factor = (0.3 / 0.7) / (0.05 / 0.95)
    shifted = shift_odds(torch.tensor([posterior(0.05)], dtype=torch.float64), 1 / (1 + factor))
    assert shifted.item() == pytest.approx(posterior(0.3))


@pytest.mark.parametrize("threshold", [0.05, 0.3, 0.9])
def test_it_keeps_the_order_and_its_inverse_takes_it_back(threshold: float) -> None:
    seen = torch.linspace(0, 1, 101, dtype=torch.float64)
    shifted = shift_odds(seen, threshold)
    assert (shifted.diff() > 0).all()
    assert torch.allclose(shift_odds(shifted, 1 - threshold), seen)
    assert shift_odds(seen, 0.5) is seen
