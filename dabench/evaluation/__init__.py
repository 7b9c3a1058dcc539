"""Scores of stacks and the pictures that go with them."""

from dabench.evaluation.scoring import Report, evaluate_slices, evaluate_stacks, foreground, truth_volume

__all__ = ["Report", "evaluate_slices", "evaluate_stacks", "foreground", "truth_volume"]
