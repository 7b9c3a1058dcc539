"""Scores of a stage on the target's test split: predicted once, kept beside the stage, scored by any protocol."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
import torch

from dabench.evaluation.scoring import THRESHOLD, evaluate_slices, truth_volume
from dabench.files.atomic import atomic, write_text
from dabench.files.digests import digest_of
from dabench.inference.volume import Tiling, predict_slices
from dabench.interfaces import EvaluationProtocol, Predictor, Split, Volume
from dabench.training.sampling import gap_slices
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

    def __init__(self, folder: Path, tiling: Tiling, device: torch.device, code: str) -> None:
        """``folder`` is the stage's own; ``code`` names the source that predicts and scores: another starts anew."""
        self.folder, self.tiling, self.device, self.code = folder, tiling, device, code

    def prediction_path(
        self, test: TestSet, share: float, threshold: float = THRESHOLD, update: int | None = None
    ) -> Path:
        """Where the binary prediction of the split lies: named after all that decides it.

        ``update`` names a snapshot of the stage; None is its last update.
        """
        points = {} if share == 0 else {z: p.tolist() for z, p in (test.prompts(share) or {}).items()}
        tiling = [self.tiling.tile, self.tiling.profile.name]
        content: dict[str, Any] = {"split": test.split.digest, "tiling": tiling, "points": points, "code": self.code}
        content |= {} if threshold == THRESHOLD else {"cut": threshold}
        content |= {} if update is None else {"update": update}
        return self.folder / "predictions" / f"{digest_of(content)[:16]}.tif"

    def predict(
        self,
        predictor: Callable[[], Predictor],
        test: TestSet,
        share: float,
        progress: Progress,
        thresholds: Sequence[float] = (THRESHOLD,),
        update: int | None = None,
    ) -> list[Path]:
        """Binary predictions (0 or 255, deflated) of the whole split at one share of test points; cached.

        Predicted once, cut at each threshold: one path a threshold.
        """
        paths = {t: self.prediction_path(test, share, t, update) for t in thresholds}
        missing = {t: path for t, path in paths.items() if not path.is_file()}
        if missing:
            self._write(missing, predictor(), test, share, progress)
        return list(paths.values())

    def _write(
        self, paths: Mapping[float, Path], model: Predictor, test: TestSet, share: float, progress: Progress
    ) -> None:
        depth = test.images.shape[0]
        slices = predict_slices(
            model,
            test.images,
            tile=self.tiling.tile,
            profile=self.tiling.profile.name,
            points=test.prompts(share),
            batch_size=self.tiling.batch_size,
            device=self.device,
            gap=gap_slices(model.neighbour, test.split.voxel[0], depth),
        )
        with ExitStack() as stack:
            parts = {t: stack.enter_context(atomic(path)) for t, path in paths.items()}
            writers = {t: stack.enter_context(tifffile.TiffWriter(part)) for t, part in parts.items()}
            for z, prediction in slices:
                for threshold, writer in writers.items():
                    mask = model.finish(prediction.mask(threshold)).astype(np.uint8) * 255
                    writer.write(mask, compression="zlib", contiguous=False)
                progress(z + 1, depth)

    def score(self, path: Path, test: TestSet, share: float, name: str, protocol: EvaluationProtocol) -> Score:
        """Score a prediction of `predict`; cached by protocol and labels."""
        kept = path.with_name(f"{path.stem}.{digest_of([name, test.split.label_digest, self.code])[:12]}.json")
        if kept.is_file():
            return Score(**json.loads(kept.read_text()))
        started = time.perf_counter()
        truth = truth_volume(test.split, protocol)
        slices = ((z, mask, truth.read(z)) for z, mask in enumerate(read_predictions(path)))
        report = evaluate_slices(slices, protocol, name)
        # A split without a single countable slice has no metrics, rather than NaN that no store takes.
        metrics = {metric: value for metric, value in report.metrics.items() if not math.isnan(value)}
        seconds = time.perf_counter() - started
        score = Score(name, self.tiling.profile.name, share, metrics, report.n, report.left_out, seconds, report.rows())
        write_text(kept, json.dumps(asdict(score)))  # keys in order: the headline metric first
        return score


def read_predictions(path: Path) -> Iterator[Array]:
    """Masks ``(H, W)`` bool of a prediction file, slice by slice."""
    with tifffile.TiffFile(path) as stack:
        for page in stack.pages:
            yield page.asarray() > 0
