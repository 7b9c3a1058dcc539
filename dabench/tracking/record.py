"""A run as its directory tells it: one frozen record of tags, settings, inputs, metrics, curves and artifacts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dabench.files.digests import digest_file
from dabench.tracking.events import (
    Altered,
    CellFinished,
    Cost,
    Event,
    InputData,
    Kept,
    ModelMade,
    Regret,
    Scored,
    Selected,
    StageFinished,
)
from dabench.tracking.journal import JOURNAL, Curve, read_curve
from dabench.tracking.metric_names import named_metrics
from dabench.tracking.scores import (
    COUNTS,
    PER_SLICE,
    RANKED_SPLIT,
    SCORES,
    ScoreKey,
    ScoreRow,
    along_slices,
    frame,
    kept_rows,
    read_scores,
    rows_of_old_run,
    split_rows,
)

if TYPE_CHECKING:
    from numpy import float64
    from numpy.typing import NDArray
    from pandas import DataFrame

    #: Scores along the slices of a split.
    Slices = NDArray[float64]


#: Says whose run it is, where an import brought it from elsewhere; a run without is one's own.
ORIGIN = "origin.json"
HERE = "here"

#: What of a run directory is an artifact: whole files and folders of small files. Predictions are large and stay.
ARTIFACTS = (
    *("config.json", "environment.json", "receipt.json", ORIGIN, JOURNAL, SCORES),
    *(PER_SLICE, "curves", "panels"),
)


class Costs(NamedTuple):
    """What a run took, None where its journal does not say: a person's seconds, seconds of training, most memory."""

    annotation_seconds: float | None = None
    train_seconds: float | None = None
    peak_memory_bytes: float | None = None


@dataclass(frozen=True)
class RunRecord:
    """One run directory, read.

    ``tags`` are identifying tags without prefix. ``started`` and ``ended`` are those of the last attempt.
    """

    path: Path
    cell_id: str
    status: str
    reason: str
    started: str
    ended: str
    tags: Mapping[str, str]
    params: Mapping[str, Any] = field(repr=False)
    inputs: tuple[InputData, ...]
    stages: tuple[StageFinished, ...]
    scores: tuple[Scored, ...] = field(repr=False)
    attempts: int
    #: All events of the last attempt, in order.
    events: tuple[Event, ...] = field(repr=False)
    #: The stage whose scores are the cell's: the last planned one; "" while nobody can say.
    final: str = ""
    #: Who ran it: `HERE`, or what an import says.
    origin: str = HERE
    #: Who was chosen to predict, and what target labels would have chosen; None where there was nothing to choose.
    selected: Selected | None = field(default=None, repr=False)
    regret: Regret | None = field(default=None, repr=False)
    #: What the model is rebuilt from; None in runs of before there was such a record.
    model: ModelMade | None = field(default=None, repr=False)

    @property
    def key(self) -> str:
        """Tells apart runs of one cell from several origins; the name of the run directory."""
        return self.cell_id if self.origin == HERE else f"{self.cell_id}@{self.origin}"

    @property
    def altered(self) -> tuple[Altered, ...]:
        """What the run would have reused, found altered and made again."""
        return tuple(event for event in self.events if isinstance(event, Altered))

    @cached_property
    def table(self) -> tuple[ScoreRow, ...]:
        """Every score of the run: ``scores.parquet``, or the same rows from journal and CSVs where there is none yet.

        Raises DataError for a damaged file.
        """
        path = self.path / SCORES
        if self.status == "ok" and self.scores and path.is_file():
            return read_scores(path)
        return (*rows_of_old_run(self.path, self.cell_id, self.scores), *self._kept_rows())

    def _kept_rows(self) -> Iterator[ScoreRow]:
        """Scores by slice of a run whose files are not here."""
        for kept in (event for event in self.events if isinstance(event, Kept)):
            for scored in (s for s in self.scores if (s.stage, s.split) == (self.final, RANKED_SPLIT)):
                along = kept.slices.get(f"{scored.test_points:g}", {})
                yield from kept_rows(self.cell_id, scored, along)

    @cached_property
    def split_scores(self) -> tuple[ScoreRow, ...]:
        """Rows of whole splits, without counts and without what has no value; CSVs are not read for them."""
        path = self.path / SCORES
        there = self.status == "ok" and self.scores and path.is_file()
        rows = self.table if there else [row for s in self.scores for row in split_rows(self.cell_id, s)]
        return tuple(r for r in rows if r.slice is None and r.metric not in COUNTS and not math.isnan(r.value))

    @cached_property
    def cell_scores(self) -> Mapping[ScoreKey, float]:
        """What the cell is ranked by: the last stage on the target's test split, under its own protocol and profile."""
        rows = (r for r in self.split_scores if r.stage == self.final and r.split == RANKED_SPLIT and self.owns(r))
        return {ScoreKey(row.test_points, row.metric): row.value for row in rows}

    def along_slices(self, test_points: float = 0.0) -> Mapping[str, Slices]:
        """Scores of the last stage along the slices of the test split, by metric; NaN where a slice was left out.

        Under the run's own protocol and profile. Raises DataError for a damaged file.
        """
        rows = (r for r in self.table if r.stage == self.final and r.split == RANKED_SPLIT and self.owns(r))
        found = along_slices([r for r in rows if r.test_points == test_points])
        import numpy as np

        out = np.asarray(found.pop("left_out", []), np.float64) == 1
        return {metric: np.where(out, np.nan, np.asarray(values)) for metric, values in found.items()}

    def scores_table(self) -> DataFrame:
        """`table` as a DataFrame: run, stage, split, protocol, inference, test_points, slice, metric, value."""
        return frame(self.table)

    def owns(self, row: ScoreRow) -> bool:
        """Whether a score is under the protocol and profile that the run's settings name."""
        return all(
            self.tags.get(name, said) == said
            for name, said in (("protocol", row.protocol), ("inference", row.inference))
        )

    @cached_property
    def metrics(self) -> Mapping[str, float]:
        """Every number under the name that it has in MLflow (docs/tracking.md)."""
        return {name: value for name, (value, _) in self._named.items()}

    @property
    def annotation(self) -> Cost | None:
        """What the annotation desk has metered; None where the journal does not say."""
        return next((event for event in reversed(self.events) if isinstance(event, Cost)), None)

    @property
    def costs(self) -> Costs:
        """What the run took."""
        asked = self.annotation.annotation_seconds if self.annotation else None
        end = next((event for event in reversed(self.events) if isinstance(event, CellFinished)), None)
        return Costs(asked, end.train_seconds, float(end.peak_memory_bytes)) if end else Costs(asked)

    @property
    def times(self) -> Mapping[str, str]:
        """When each of `metrics` was known (ISO-8601)."""
        return {name: time for name, (_, time) in self._named.items()}

    @cached_property
    def _named(self) -> Mapping[str, tuple[float, str]]:
        return named_metrics(self.split_scores, self.events, self.tags, self.final)

    @cached_property
    def curves(self) -> Mapping[str, Curve]:
        """Loss curves by stage; read when first asked for."""
        return {p.stem: read_curve(p) for p in sorted((self.path / "curves").glob("[!.]*.jsonl"))}

    @property
    def artifacts(self) -> tuple[Path, ...]:
        """Files that belong to the run, relative to its directory."""
        return tuple(p.relative_to(self.path) for name in ARTIFACTS for p in _files(self.path / name))

    @property
    def suite(self) -> str:
        """The suite that the cell belongs to; ``adhoc`` without one."""
        return self.tags.get("suite") or "adhoc"

    def as_json(self) -> dict[str, Any]:
        """What identifies the run and every number it brought, for a program."""
        about = {name: getattr(self, name) for name in ("cell_id", "status", "reason", "started", "ended")}
        place = {"directory": self.path.name, "origin": self.origin}
        return {**about, **place, "tags": dict(self.tags), "metrics": dict(self.metrics)}

    @property
    def digest(self) -> str:
        """Digest of the journal: another one means that the run has changed."""
        return digest_file(self.path / JOURNAL)[:16]


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
    return [path] if path.is_file() else []


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
    import numpy as np

    wanted = [name for name in names if ScoreKey(test_points, name) in run.cell_scores]
    along = run.along_slices(test_points) if wanted else {}
    found = {name: along[name] for name in wanted if name in along}
    means = {name: float(np.nanmean(values)) for name, values in found.items() if not np.isnan(values).all()}
    scores = {name: run.cell_scores[ScoreKey(test_points, name)] for name in means}
    return {n: found[n] for n, mean in means.items() if math.isclose(mean, scores[n], rel_tol=1e-6, abs_tol=1e-9)}
