"""What numbers of several tasks, seeds and slices can bear: intervals, tests, ranks, groups (docs/statistics.md)."""

from dabench.statistics.cells import Cell
from dabench.statistics.comparison import Comparison, compare
from dabench.statistics.contrasts import Contrast, contrasts
from dabench.statistics.diagrams import critical_difference_svg, scatter_svg
from dabench.statistics.groups import compact_letters, holm
from dabench.statistics.intervals import Interval, mean_interval, summarise
from dabench.statistics.pairs import PairTest
from dabench.statistics.planning import minimum_detectable_difference
from dabench.statistics.signed_rank import SignedRank, signed_rank
from dabench.statistics.tradeoffs import gap_closed, pareto

__all__ = [
    "Cell",
    "Interval",
    "mean_interval",
    "summarise",
    "PairTest",
    "Comparison",
    "compare",
    "Contrast",
    "contrasts",
    "SignedRank",
    "signed_rank",
    "holm",
    "compact_letters",
    "gap_closed",
    "pareto",
    "minimum_detectable_difference",
    "critical_difference_svg",
    "scatter_svg",
]
