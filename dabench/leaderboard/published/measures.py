"""What a metric's name means in a run's directory: scores, scores of slices, agreement of preferences.

=======================  ======================================================================
``dice``                 the run's result, without test points
``points_15/dice``       the same with 15 % of the test points as prompts
``stage/NAME/dice``      after another stage than the last
``slices_25/dice``       25th percentile over the slices of the test split
``patches_1-2/agreement``  share of images with 1 or 2 patches that agree with the first row's run
=======================  ======================================================================
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from dabench.errors import DataError
from dabench.leaderboard.published.agreement import agreeing_patches, read_answers
from dabench.tracking.record import RunRecord
from dabench.tracking.scores import ScoreKey, percent

#: What stands before a metric's last name: points_15, stage/NAME, slices_25, patches_1-2.
_VARIANT = re.compile(
    r"points_(?P<points>\d+(?:\.\d+)?)|stage/(?P<stage>.+)|slices_(?P<slices>\d+)"
    r"|patches_(?P<least>\d+)(?:-(?P<most>\d+))?"
)


@dataclass(frozen=True)
class Measure:
    """What a paper's table calls a metric, in parts: ``points_15/dice`` is the metric ``dice`` with 15 % of points."""

    metric: str
    points: float | None = None
    stage: str = ""
    percentile: int | None = None
    patches: tuple[int, int] | None = None
    #: As it is written before the metric.
    variant: str = ""

    @classmethod
    def parse(cls, name: str) -> Measure:
        """The parts of a name. One that means nothing here is a metric that no run has."""
        variant, _, metric = name.rpartition("/")
        found = _VARIANT.fullmatch(variant)
        if found is None:
            return cls(metric if not variant else name)
        share, stage, percentile, least, most = found.groups()
        return cls(
            metric,
            None if share is None else float(share) / 100,
            stage or "",
            None if percentile is None else int(percentile),
            None if least is None else (int(least), int(most or least)),
            variant,
        )

    @property
    def reference(self) -> str:
        """What the first row has in its place: prompts and stages are compared with its plain result."""
        plain = self.points is not None or self.stage or not self.variant
        return self.metric if plain else f"{self.variant}/{self.metric}"

    @property
    def label(self) -> str:
        """What is special about the number, to stand behind the name of its row: `` + 15 % of the test points``."""
        if self.points is not None:
            return f" + {percent(self.points)} % of the test points"
        if self.stage:
            return f", after {self.stage}"
        if self.percentile is not None:
            return f", percentile {self.percentile} of the slices"
        return "" if self.patches is None else f", on {self.variant.removeprefix('patches_')} patches"

    def of(self, run: RunRecord, first: RunRecord | None = None) -> float | None:
        """Its value in a run, a share of 1; None where the run has none.

        Args:
            run: the run.
            first: the run of the suite's first row with the same task and seed.
        """
        if self.percentile is not None:
            return _percentile(run, self.metric, self.percentile)
        if self.patches is not None:
            return _agreement(run, first, *self.patches)
        if self.stage:
            return _after(run, self.stage, self.metric)
        return run.cell_scores.get(ScoreKey(self.points or 0.0, self.metric))


def _after(run: RunRecord, stage: str, metric: str) -> float | None:
    """A score of a stage without test points."""
    rows = (r for r in run.split_scores if (r.stage, r.split, r.metric, r.test_points) == (stage, "test", metric, 0.0))
    return next((row.value for row in rows if run.owns(row)), None)


def _percentile(run: RunRecord, metric: str, share: int) -> float | None:
    """Over the slices that count, last stage, no test points; interpolated linearly.

    Raises DataError for a table that is damaged, or has slices without this metric.
    """
    import numpy as np

    along = run.along_slices()
    if not along:
        return None
    if metric not in along:
        raise DataError(f"{run.path.name}: no scores of slices by {metric!r}.", "dabench verify says more.")
    values = along[metric][~np.isnan(along[metric])]
    return float(np.percentile(values, share)) if len(values) else None


def _agreement(run: RunRecord, first: RunRecord | None, least: int, most: int) -> float | None:
    if first is None or first.path == run.path or _before_last(run) != _before_last(first):
        return None
    whole, patches = (r.path / "annotation" / "preferences.jsonl" for r in (first, run))
    if not (whole.is_file() and patches.is_file()):
        return None
    found = _agreeing(whole, patches)
    return sum(least <= count <= most for count in found) / len(found) if found else None


@lru_cache(maxsize=16)
def _agreeing(whole: Path, patches: Path) -> tuple[int, ...]:
    """Read once for all shares: a large training set has hundreds of megabytes of answers."""
    return tuple(agreeing_patches(read_answers(whole), read_answers(patches)))


def _before_last(run: RunRecord) -> list[str]:
    """Keys of what made the candidates. Only preferences among the same masks can agree."""
    return [stage.key for stage in run.stages[:-1]]
