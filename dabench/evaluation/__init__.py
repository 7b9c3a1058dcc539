"""Scores of stacks and the pictures that go with them."""

from dabench.evaluation.panels import Panel, write_comparison, write_panels, write_slices
from dabench.evaluation.scoring import Report, evaluate_slices, evaluate_stacks, foreground, holds_ids, truth_volume

__all__ = [
    "Panel",
    "Report",
    "evaluate_slices",
    "evaluate_stacks",
    "foreground",
    "holds_ids",
    "truth_volume",
    "write_comparison",
    "write_panels",
    "write_slices",
]
