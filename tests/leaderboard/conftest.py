"""A workspace with a small benchmark in it."""

from __future__ import annotations

import pytest
from made_up_cells import three_seeds

from dabench.leaderboard.gather import load

#: Slice scores of three seeds: means 0.60, 0.62 and 0.64 and so on.
LEVELS = {
    ("source-only", "human2stem"): 0.50,
    ("source-only", "lucchi2vnc"): 0.40,
    ("oracle", "human2stem"): 0.90,
    ("oracle", "lucchi2vnc"): 0.80,
    ("ipl", "human2stem"): 0.80,
    ("ipl", "lucchi2vnc"): 0.70,
    ("sac", "human2stem"): 0.60,
    ("sac", "lucchi2vnc"): 0.50,
}
BRACKETS = {"source-only": "lower", "oracle": "upper"}


@pytest.fixture
def benchmark(workspace):
    """Two methods between brackets on two tasks, three seeds each."""
    for (method, task), level in LEVELS.items():
        label = 120.0 if method == "ipl" else 0.0
        time = {"source-only": 100.0, "ipl": 250.0}.get(method, 150.0)
        bracket = BRACKETS.get(method, "none")
        three_seeds(workspace.runs, method, task, level, cost=label, seconds=time, bracket=bracket)
    return workspace


@pytest.fixture
def board_of():
    """The only board of a workspace."""

    def found(workspace, metric="dice", **options):
        (board,) = load(workspace, by=metric, **options).boards()
        return board

    return found
