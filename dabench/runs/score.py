"""Scores of a stored prediction under a protocol, computed once."""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dabench.evaluation.scoring import evaluate_slices, truth_volume
from dabench.files.atomic import write_text
from dabench.files.digests import digest_of
from dabench.interfaces import EvaluationProtocol, Split
from dabench.runs.predict import StagePredictions, read_predictions


@dataclass(frozen=True)
class Score:
    """One stage under one protocol at one share of test points; ``rows`` are per slice."""

    protocol: str
    inference: str
    test_points: float
    metrics: dict[str, float]
    n: int
    left_out: int
    seconds: float
    rows: list[dict[str, Any]] = field(default_factory=list, repr=False)


def score_prediction(
    path: Path, split: Split, share: float, name: str, protocol: EvaluationProtocol, made: StagePredictions
) -> Score:
    """Score a prediction; kept beside it by protocol, labels and code.

    Args:
        path: what `StagePredictions.predict` wrote.
        split: the test split with its labels.
        share: of test points that were prompts.
        name: the protocol's.
        protocol: a fresh one.
        made: the predictions that ``path`` is one of.
    """
    kept = path.with_name(f"{path.stem}.{digest_of([name, split.label_digest, made.code])[:12]}.json")
    if made.is_there(kept) and (found := _read(kept)):
        return found
    started = time.perf_counter()
    truth = truth_volume(split, protocol)
    slices = ((z, mask, truth.read(z)) for z, mask in enumerate(read_predictions(path, ids=protocol.takes_instances)))
    report = evaluate_slices(slices, protocol, name)
    # A split without a single countable slice has no metrics, rather than NaN that no store takes.
    metrics = {metric: value for metric, value in report.metrics.items() if not math.isnan(value)}
    seconds, profile = time.perf_counter() - started, made.tiling.profile.name
    score = Score(name, profile, share, metrics, report.n, report.left_out, seconds, report.rows())
    write_text(kept, json.dumps(asdict(score)))  # keys in order: the headline metric first
    made.keep_digest(kept)
    return score


def _read(kept: Path) -> Score | None:
    """The score in a file; None for one that this version did not write, and that has no digest to tell."""
    try:
        return Score(**json.loads(kept.read_text()))
    except (ValueError, TypeError):
        return None
