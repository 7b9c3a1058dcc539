"""Scores of a stage on the target's test split: predicted once, kept beside the stage, scored by any protocol."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
import torch

from dabench.errors import DataError
from dabench.files import atomic, digest_of, write_json
from dabench.inference.volume import predict_slices
from dabench.interfaces import EvaluationProtocol, Predictor, Split, Volume
from dabench.types import Array, PointAnswer

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Called with (slices done, slices in all).
Progress = Callable[[int, int], None]


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


@dataclass(frozen=True)
class TestSet:
    """The target's test split ready for prediction: images float32 [0, 1], and prompts by share of true centres."""

    split: Split
    images: Volume
    points: Mapping[float, Mapping[int, PointAnswer]]

    def prompts(self, share: float) -> dict[int, Array] | None:
        """Points by slice; None is automatic mode."""
        if share == 0:
            return None
        return {z: answer.points for z, answer in self.points[share].items()}


class StageScorer:
    """Predicts and scores one stage, or finds that this was done before."""

    def __init__(self, folder: Path, tile: int, profile: str, device: torch.device, batch: int = 8) -> None:
        """``folder`` is the stage's own; ``tile`` the crop side it was trained with."""
        self.folder, self.tile, self.profile, self.device, self.batch = folder, tile, profile, device, batch

    def prediction_path(self, test: TestSet, share: float) -> Path:
        """Where the binary prediction of the split lies: named after all that decides it."""
        points = {} if share == 0 else {z: p.tolist() for z, p in (test.prompts(share) or {}).items()}
        content = {"split": test.split.digest, "tile": self.tile, "profile": self.profile, "points": points}
        return self.folder / "predictions" / f"{digest_of(content)[:16]}.tif"

    def predict(self, predictor: Callable[[], Predictor], test: TestSet, share: float, progress: Progress) -> Path:
        """Binary predictions (0 or 255, deflated) of the whole split at one share of test points; cached."""
        path = self.prediction_path(test, share)
        if path.is_file():
            return path
        depth = test.images.shape[0]
        slices = predict_slices(
            predictor(),
            test.images,
            tile=self.tile,
            profile=self.profile,
            points=test.prompts(share),
            batch_size=self.batch,
            device=self.device,
        )
        with atomic(path) as part, tifffile.TiffWriter(part) as writer:
            for z, prediction in slices:
                mask = prediction.mask().astype(np.uint8) * 255
                writer.write(mask, compression="zlib", contiguous=False)
                progress(z + 1, depth)
        return path

    def score(self, path: Path, test: TestSet, share: float, name: str, protocol: EvaluationProtocol) -> Score:
        """Score a prediction of `predict`; cached by protocol and labels."""
        kept = path.with_name(f"{path.stem}.{digest_of([name, test.split.label_digest])[:12]}.json")
        if kept.is_file():
            return Score(**json.loads(kept.read_text()))
        started = time.perf_counter()
        rows = list(_score_slices(path, test.split, protocol))
        result = protocol.result()
        n, left_out = int(result.pop("n")), int(result.pop("left_out"))
        score = Score(name, self.profile, share, result, n, left_out, time.perf_counter() - started, rows)
        write_json(kept, asdict(score))
        return score


def _score_slices(path: Path, split: Split, protocol: EvaluationProtocol) -> Iterator[dict[str, Any]]:
    truth = split.instances if protocol.wants_instances else split.labels
    if truth is None:
        what = "instance ids" if protocol.wants_instances else "labels"
        raise DataError(f"domain {split.domain!r} has no {what} for its {split.name} split.")
    for z, mask in enumerate(read_predictions(path)):
        slice_score = protocol.update(z, mask, truth.read(z))
        yield {"slice": z, **slice_score.values, "left_out": slice_score.left_out}


def read_predictions(path: Path) -> Iterator[Array]:
    """Masks ``(H, W)`` bool of a prediction file, slice by slice."""
    with tifffile.TiffFile(path) as stack:
        for page in stack.pages:
            yield page.asarray() > 0


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """Per-slice rows as CSV, atomically."""
    names = list(dict.fromkeys(key for row in rows for key in row))
    with atomic(path) as part, part.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, names)
        writer.writeheader()
        writer.writerows(rows)
