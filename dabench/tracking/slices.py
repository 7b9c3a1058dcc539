"""Scores of a run's last stage along the slices of the target's test split."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from dabench.tracking.record import RunRecord
from dabench.tracking.scores import ScoreKey

if TYPE_CHECKING:
    from dabench.tracking.record import Slices


def slice_scores(run: RunRecord, names: Iterable[str], test_points: float = 0.0) -> dict[str, Slices]:
    """Metrics under the run's own protocol and profile, in order of slices, NaN where a slice was left out.

    A metric that is not the mean of its slices (a pooled one), or that the run does not have, is left out.

    Args:
        run: a run directory, read.
        names: metrics: ``dice``.
        test_points: share of the test centres that were given as prompts, 0 to 1.

    Raises:
        DataError: a damaged file.
    """
    wanted = [name for name in names if ScoreKey(test_points, name) in run.cell_scores]
    along = run.along_slices(test_points) if wanted else {}
    found = {name: along[name] for name in wanted if name in along}
    return {n: values for n, values in found.items() if _is_mean(values, run.cell_scores[ScoreKey(test_points, n)])}


def _is_mean(values: Slices, value: float) -> bool:
    known = values[~np.isnan(values)]
    return known.size > 0 and math.isclose(float(known.mean()), value, rel_tol=1e-6, abs_tol=1e-9)
