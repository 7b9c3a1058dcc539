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

import csv
import math
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from dabench.errors import DataError
from dabench.leaderboard.published.agreement import agreeing_patches, read_answers
from dabench.tracking.record import RunRecord


@dataclass(frozen=True)
class Measure:
    """A metric's name in parts: ``points_15/dice`` is a variant, ``points_15``, of the metric ``dice``."""

    variant: str
    metric: str

    @classmethod
    def parse(cls, name: str) -> Measure:
        """The parts of a name."""
        variant, _, metric = name.rpartition("/")
        return cls(variant, metric)

    @property
    def reference(self) -> str:
        """What the first row has in its place: prompts and stages are compared with its plain result."""
        plain = self.variant.startswith(("points_", "stage/"))
        return self.metric if plain or not self.variant else f"{self.variant}/{self.metric}"

    def of(self, run: RunRecord, first: RunRecord | None = None) -> float | None:
        """Its value in a run, a share of 1; None where the run has none.

        Args:
            run: the run.
            first: the run of the suite's first row with the same task and seed.
        """
        if found := re.fullmatch(r"slices_(\d+)", self.variant):
            return _percentile(run, self.metric, int(found.group(1)))
        if found := re.fullmatch(r"patches_(\d+)(?:-(\d+))?", self.variant):
            return _agreement(run, first, int(found.group(1)), int(found.group(2) or found.group(1)))
        prefix = self.variant if self.variant.startswith("stage/") else f"target_test/{self.variant}".rstrip("/")
        value = run.metrics.get(f"{prefix}/{self.metric}", math.nan)  # NaN: no slice counted
        return None if math.isnan(value) else value


def _percentile(run: RunRecord, metric: str, share: int) -> float | None:
    """Over the slices that count, interpolated linearly."""
    import numpy as np

    values = slice_scores(run, metric)
    return float(np.percentile(values, share)) if values else None


def slice_scores(run: RunRecord, metric: str) -> list[float]:
    """A metric of every slice that counts, last stage, no test points; none where the run was not scored so."""
    if not run.stages:
        return []
    path = run.path / "per_slice" / f"{run.stages[-1].stage}-{run.tags.get('protocol', '')}-points0.csv"
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as lines:
        try:
            return [float(row[metric]) for row in csv.DictReader(lines) if not row["left_out"]]
        except (KeyError, ValueError, TypeError) as error:
            raise DataError(f"{path}: no column of scores {metric!r}: {error}", "dabench verify says more.") from None


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
