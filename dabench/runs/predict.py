"""Predictions of a stage on the target's test split: made once, kept beside the stage, read by any protocol."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch

from dabench.errors import PredictionError
from dabench.evaluation.scoring import THRESHOLD
from dabench.files.atomic import atomic, copy_file
from dabench.files.digests import altered, digest_of, write_digests
from dabench.inference.returned import returned_ids, returned_mask
from dabench.inference.volume import Tiling, predict_slices
from dabench.interfaces import Predictor, Split, Volume
from dabench.interfaces.observer import Observer, Progress
from dabench.ops.joining import SliceLinks
from dabench.ops.resampling import Resampling
from dabench.training.sampling import gap_slices
from dabench.types import Array, PointAnswer


@dataclass(frozen=True)
class TestSet:
    """The target's test split ready for prediction: images float32 [0, 1], and prompts by share of true centres.

    Images and points lie on the pixels that the model sees, what ``resampling`` makes of the stored ones.
    """

    split: Split
    images: Volume
    points: Mapping[float, Mapping[int, PointAnswer]]
    resampling: Resampling | None = None

    def prompts(self, share: float) -> dict[int, Array] | None:
        """Points by slice; None is automatic mode."""
        if share == 0:
            return None
        return {z: answer.points for z, answer in self.points[share].items()}


class StagePredictions:
    """The predictions of one stage, made or found. Each file has its digest beside it, checked when it is found."""

    def __init__(
        self, folder: Path, tiling: Tiling, device: torch.device, code: str, observer: Observer | None = None
    ) -> None:
        """``folder`` is the stage's own; ``code`` names the source that predicts and scores: another starts again.

        ``observer`` is told of files that are not as they were written.
        """
        self.folder, self.tiling, self.device, self.code = folder, tiling, device, code
        self._observer = observer or Observer()

    def path(self, test: TestSet, share: float, threshold: float = THRESHOLD, update: int | None = None) -> Path:
        """Where the binary prediction of the split lies: named after all that decides it.

        ``update`` names a snapshot of the stage; None is its last update.
        """
        points = {} if share == 0 else {z: p.tolist() for z, p in (test.prompts(share) or {}).items()}
        tiling = [self.tiling.tile, self.tiling.profile.name]
        content: dict[str, Any] = {"split": test.split.digest, "tiling": tiling, "points": points, "code": self.code}
        content |= {} if test.resampling is None else {"pixels": test.resampling.target}
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

        Predicted once, cut at each threshold: one path a threshold. The objects of a predictor that gives them lie
        beside each (`instances_of`), joined through slices.
        """
        paths = {t: self.path(test, share, t, update) for t in thresholds}
        missing = {t: path for t, path in paths.items() if not self.is_there(path)}
        if missing:
            self._write(missing, predictor(), test, share, progress)
        return list(paths.values())

    def is_there(self, path: Path) -> bool:
        """Whether a file is there as it was written; another one is reported and deleted, scores of it too."""
        if path.is_file() and altered(_digest_path(path)):
            self._observer.ended(path.name, "altered", reason=f"{path} changed since it was written: it is made again")
            for file in path.parent.glob(f"{path.stem}.*"):
                file.unlink()
        return path.is_file()

    def keep_digest(self, path: Path) -> None:
        """Write the digest of a file that was made, and of its objects, beside it."""
        write_digests(_digest_path(path), [file for file in (path, instances_of(path)) if file.is_file()])

    def _write(
        self, paths: Mapping[float, Path], model: Predictor, test: TestSet, share: float, progress: Progress
    ) -> None:
        depth, back = test.images.shape[0], test.resampling and test.resampling.inverse
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
        links = SliceLinks()
        lowest, highest = np.inf, -np.inf
        with ExitStack() as stack:
            # What is opened last gets its name first: a mask is never there without its objects.
            writers = {t: _open(stack, path) for t, path in paths.items()}
            beside = [_open(stack, instances_of(path)) for path in paths.values() if model.gives_instances]
            for z, prediction in slices:
                lowest = min(lowest, float(prediction.probability.min()))
                highest = max(highest, float(prediction.probability.max()))
                for threshold, writer in writers.items():
                    _add(writer, z, depth, returned_mask(model, prediction, threshold, back).astype(np.uint8) * 255)
                if prediction.instances is not None:
                    ids = returned_ids(prediction.instances, back)
                    ids = links.names(ids).astype(np.uint32)[ids]
                    for writer in beside:
                        _add(writer, z, depth, ids)
                progress(z + 1, depth)
            if lowest == highest:
                raise PredictionError(
                    f"the model predicts {lowest:g} for every pixel of the {depth} slices of the test split: "
                    "there is nothing to score."
                )
        for path in paths.values():
            self.keep_digest(path)


def _digest_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _open(stack: ExitStack, path: Path) -> tifffile.TiffWriter:
    return stack.enter_context(tifffile.TiffWriter(stack.enter_context(atomic(path))))


def _add(writer: tifffile.TiffWriter, z: int, depth: int, values: Array) -> None:
    """Write slice ``z``; the first one says that all are one volume, or readers would take it for the whole file."""
    volume = json.dumps({"shape": [depth, *values.shape], "axes": "ZYX"}) if z == 0 else None
    writer.write(values, compression="zlib", contiguous=False, metadata=None, description=volume)


def instances_of(path: Path) -> Path:
    """Where the objects lie that belong to a prediction file: uint32 ids, the same on every slice of an object."""
    return path.with_name(f"{path.stem}.instances{path.suffix}")


def copy_prediction(source: Path, target: Path) -> None:
    """Copy a prediction file, and its objects where there are any."""
    instances_of(target).unlink(missing_ok=True)
    if instances_of(source).is_file():
        copy_file(instances_of(source), instances_of(target))
    copy_file(source, target)


def read_predictions(path: Path, *, ids: bool = False) -> Iterator[Array]:
    """Masks ``(H, W)`` bool of a prediction file, slice by slice; with ``ids`` its objects, where it has any."""
    ids = ids and instances_of(path).is_file()
    with tifffile.TiffFile(instances_of(path) if ids else path) as stack:
        for page in stack.pages:
            yield page.asarray() if ids else page.asarray() > 0
