"""Shares, the exact chance of a count, and strengths of what was chosen."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from dabench.statistics.choices import chance_of_at_least, luce_strengths, share

#: (chosen, others shown) of twelve choices among four; strengths of choix 0.4.1 (`ilsr_top1`).
TOP = [(0, (1, 2)), (3, (1, 2)), (2, (0, 1, 3)), (1, (0, 2)), (2, (0, 1, 3)), (1, (0, 2, 3)), (2, (1,)), (3, (0, 1, 2)),
       (0, (1, 2, 3)), (2, (0, 1)), (0, (1, 2, 3)), (1, (2, 3))]  # fmt: skip


def choices(data, options):
    chosen, shown = np.zeros((2, len(data), options), dtype=bool)
    for row, (winner, others) in enumerate(data):
        chosen[row, winner] = True
        shown[row, [winner, *others]] = True
    return chosen, shown


def test_a_share_has_wilsons_interval():
    found = share(8, 40)
    centre, half = (8 + 1.96**2 / 2) / (40 + 1.96**2), 1.96 / (40 + 1.96**2) * math.sqrt(8 * 32 / 40 + 1.96**2 / 4)
    assert (found.value, found.low, found.high) == pytest.approx((0.2, centre - half, centre + half), abs=1e-4)
    assert (share(0, 0).value, share(0, 0).low, share(0, 0).high) == (None, 0, 1)


def test_the_chance_of_a_count_is_exact():
    probabilities = [0.2, 0.5, 1 / 3, 0.25]
    outcomes = itertools.product([0, 1], repeat=4)
    weights = [
        math.prod(p if hit else 1 - p for p, hit in zip(probabilities, row, strict=True))
        for row in outcomes
        if sum(row) >= 2
    ]
    assert chance_of_at_least(probabilities, 2) == pytest.approx(sum(weights))
    assert chance_of_at_least([0.25] * 60, 22) == pytest.approx(stats.binom.sf(21, 60, 0.25))
    assert chance_of_at_least([], 0) == chance_of_at_least([0.3], 0) == 1
    assert chance_of_at_least([0.3], 2) == 0


def test_strengths_are_those_of_another_library():
    chosen, shown = choices(TOP, 4)
    assert luce_strengths(chosen, shown, prior=0.0)[0] == pytest.approx(
        [0.3038595, 0.2017445, 0.2689927, 0.2254033], abs=1e-6
    )


def test_of_two_options_the_strength_is_the_share_of_wins():
    chosen, shown = choices([(0, (1,))] * 3 + [(1, (0,))], 2)
    assert luce_strengths(chosen, shown, prior=0.0)[0] == pytest.approx([0.75, 0.25])
    assert luce_strengths(chosen, shown, prior=1.0)[0] == pytest.approx([3.5 / 5, 1.5 / 5])


def test_strengths_are_found_again():
    rng = np.random.default_rng(0)
    truth = np.array([0.4, 0.3, 0.2, 0.1])
    data = []
    for _ in range(4000):
        among = np.sort(rng.choice(4, rng.integers(2, 5), replace=False))
        winner = int(rng.choice(among, p=truth[among] / truth[among].sum()))
        data.append((winner, tuple(int(o) for o in among if o != winner)))
    assert luce_strengths(*choices(data, 4))[0] == pytest.approx(truth, abs=0.02)


def test_weights_count_as_repeats_and_draws_are_apart():
    chosen, shown = choices(TOP, 4)
    weights = np.arange(len(TOP)) % 3
    repeated = [row for row, times in enumerate(weights) for _ in range(times)]
    both = luce_strengths(chosen, shown, np.stack([weights, np.ones(len(TOP))]))
    assert both[0] == pytest.approx(luce_strengths(chosen[repeated], shown[repeated])[0], abs=1e-6)
    assert both[1] == pytest.approx(luce_strengths(chosen, shown)[0], abs=1e-6)


def test_who_never_won_or_was_never_shown_is_defined():
    chosen, shown = choices([(0, (1,))] * 5, 3)
    found = luce_strengths(chosen, shown)[0]
    assert found[2] == 0
    assert 0 < found[1] < 0.05
    assert found.sum() == pytest.approx(1)
