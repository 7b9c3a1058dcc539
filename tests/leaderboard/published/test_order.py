"""Whether rows keep the paper's order: counted and named by hand, and runs that stand for cells of a paper's table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from dabench.leaderboard.metric import Metric
from dabench.leaderboard.published.order import orders, told
from dabench.leaderboard.published.table import MeanGain, recorded
from dabench.suites.spec import Suite
from dabench.tracking.recorded import read_recorded

DICE, PQ = Metric("dice"), Metric("pq")
RECORD = Path(__file__).parents[3] / "benchmarks" / "results" / "baselines-small.jsonl"


def table(**gains):
    return SimpleNamespace(gains=[MeanGain(row, DICE, ours, 1, theirs, 1) for row, (ours, theirs) in gains.items()])


def test_pairs_are_counted_and_the_turned_ones_named():
    (order,) = orders(table(a=(5.0, 3.0), b=(1.0, 2.0), c=(4.0, 1.0), d=(0.0, None), e=(9.0, 1.0)))
    assert (order.rows, order.kept, order.pairs) == (4, 2, 5), "c and e are equal in the paper, d is not in it"
    assert order.turned[0] == ("b", "e", 1.0, -8.0)
    (line,) = told(table(a=(5.0, 3.0), b=(1.0, 2.0), c=(4.0, 1.0)))
    assert line == (
        "Order by Dice (3 rows, mean gains): 2 of 3 pairs as in the paper. Not kept: b over c (theirs +1.0, ours -3.0)."
    )


def test_a_kept_order_and_nothing_to_compare_are_said():
    assert list(told(table(a=(5.0, 3.0), b=(1.0, 2.0)))) == [
        "Order by Dice (2 rows, mean gains): 1 of 1 pairs as in the paper. The order is kept."
    ]
    assert list(told(table(a=(5.0, 3.0), b=(None, 2.0)))) == [
        "Order: fewer than two rows have a number both here and in the paper."
    ]


@pytest.mark.parametrize(
    ("share", "told"), [(1.0, ("ok", "")), (0.5, ("partial", "not scored with 50 % of the test points"))]
)
def test_a_run_with_other_test_points_stands_for_a_cell(share, told):
    """The recorded row lpo has test points 0 and 1: it is the cell without, the one with all, and a part of others."""
    settings = {"data": "real", "preset": "small", "inference": "fast", "method": "prefer-das", "po": "lpo"}
    axes = {"task": ["vnc2lucchi"], "seed": [0]}
    runs = read_recorded(RECORD)
    plain = Suite.model_validate({"name": "some", "settings": settings, "axes": axes})
    (result,) = recorded(plain, runs)
    assert result.run is not None
    assert result.run.tags["row"] == "prefer-das lpo"
    wider = plain.changed({"test_points": [0.0, share]}, {})
    (other,) = recorded(wider, runs)
    assert (other.status, other.reason) == told
    assert other.run == result.run
    failed = [replace(run, status="failed") for run in runs]
    assert recorded(plain, failed)[0].run is None
