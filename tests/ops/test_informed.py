"""Which patches are asked about: as many as were drawn, a share of them at random, the rest wanted most."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dabench.ops.choice import disagreement
from dabench.ops.informed import informed, spread


@given(
    wanted=st.lists(st.floats(0, 1), min_size=1, max_size=40),
    share=st.floats(0, 1),
    seed=st.integers(0, 99),
    taken=st.floats(0, 1),
)
def test_the_random_part_is_of_the_draw_and_the_rest_is_wanted_most(wanted, share, seed, taken):
    rng, scores = np.random.default_rng(seed), np.array(wanted)
    drawn = np.sort(rng.permutation(len(scores))[: int(taken * len(scores))])
    chosen, at_random = informed(drawn, scores, share, rng)
    assert len(chosen) == len(drawn) == len(set(chosen.tolist()))
    assert (np.diff(chosen) > 0).all()
    assert set(chosen[at_random].tolist()) <= set(drawn.tolist())
    assert at_random.sum() >= round(share * len(drawn))
    for_being_wanted = chosen[~at_random]
    assert (scores[for_being_wanted] > 0).all()
    left = np.setdiff1d(np.arange(len(scores)), chosen)
    if len(for_being_wanted) and len(left):
        assert scores[for_being_wanted].min() >= scores[left].max()


def test_the_draw_stays_where_nothing_is_wanted():
    chosen, at_random = informed(np.array([1, 4]), np.zeros(6), 0.0, np.random.default_rng(0))
    assert (chosen.tolist(), at_random.all()) == ([1, 4], True)


def test_the_random_part_is_unbiased():
    """Over many draws each patch is among the random ones equally often, however much it is wanted."""
    counts, scores = np.zeros(20), np.linspace(0, 1, 20)
    for seed in range(2000):
        rng = np.random.default_rng(seed)
        chosen, at_random = informed(np.sort(rng.choice(20, 10, replace=False)), scores, 0.4, rng)
        counts[chosen[at_random]] += 1
    assert abs(counts / 2000 - 0.2).max() < 0.04


def test_each_slice_has_its_turn():
    scores = np.array([0.9, 0.8, 0.7, 0.2, 0.3, 0.0])
    order = np.argsort(-spread(scores, np.array([0, 0, 0, 1, 1, 2])), kind="stable")
    assert order.tolist() == [0, 4, 1, 3, 2, 5]
    assert spread(np.zeros(0), np.zeros(0, int)).shape == (0,)


def test_disagreement_by_hand():
    """One pixel and three of which it is one: Dice 1/2; of three masks the mean of three pairs."""
    masks = np.array([[1, 0, 0, 0], [1, 1, 1, 0], [0, 0, 0, 1]], bool)[:, None]
    assert disagreement(masks[:2]) == 0.5
    assert disagreement(masks) == np.float32(2.5 / 3)
    assert disagreement(masks[:1]) == disagreement(masks[[0, 0]]) == 0
