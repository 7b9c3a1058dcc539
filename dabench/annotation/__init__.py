"""The annotation desk: the only door to target training labels, who answers there, and what it costs."""

from dabench.annotation.desk import AnnotationDesk
from dabench.annotation.raters import simulate_points

__all__ = ["AnnotationDesk", "simulate_points"]
