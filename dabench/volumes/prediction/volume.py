"""A prediction from its plan to a finished output: chunks, instances, pyramids, conversion, one rename."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dabench.errors import ConfigError
from dabench.interfaces.choice import split_choice
from dabench.interfaces.observer import Observer
from dabench.tracking.lock import exclusive
from dabench.volumes.instances import SplitSlices, label_volume, link_volume
from dabench.volumes.instances.settings import default_chunk
from dabench.volumes.output import OmeZarr, build_pyramid, format_of, write_as
from dabench.volumes.prediction.chunk_log import CHUNK_LOG, ChunkLog, phases_done
from dabench.volumes.prediction.plan import PredictionPlan
from dabench.volumes.prediction.worker import Assignment

if TYPE_CHECKING:
    from dabench.volumes.prediction.processes import Predicts, Task
    from dabench.volumes.prediction.worker import ChunkResult

_VOLUME, _SLICES = "volume", "slices"


@dataclass(frozen=True)
class Summary:
    """What a prediction came to; ``objects`` is None where none were asked for, ``continued`` chunks were there."""

    path: Path
    shape: tuple[int, int, int]
    seconds: float
    chunks: int
    continued: int
    tiles: int
    predicting_seconds: float
    objects: int | None
    foreground: float

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**vars(self), "path": str(self.path), "shape": list(self.shape)}


def predict_volume(
    plan: PredictionPlan, assignment: Assignment, predicts: Predicts, observer: Observer | None = None
) -> Summary:
    """Predict a volume, or continue one that was interrupted.

    All is made in ``<output>.partial``, whose name ends there: an output that can be opened is complete.

    Args:
        plan: with the statistics of its images.
        assignment: the plan's.
        predicts: the process that predicts (`dabench.volumes.prediction.processes`).
        observer: told of progress.

    Raises:
        ConfigError: the output exists, or was begun with another configuration.
        DataError: images are damaged, or the model gives no numbers.
    """
    check_output(plan)
    with exclusive(plan.partial / "lock"):
        check_output(plan)  # another process may have made it meanwhile
        return _Prediction(plan, assignment, observer or Observer()).run(predicts)


def check_output(plan: PredictionPlan) -> None:
    """Raises ConfigError for an output that would be overwritten or cannot be written."""
    path = plan.request.output
    check_place(plan)
    _sweep(plan)
    if path.exists() and not plan.request.overwrite:
        raise ConfigError(f"--output {path}: exists.", "Choose another name, or add --overwrite.")


def check_place(plan: PredictionPlan) -> None:
    """Raises ConfigError for an output that is, holds or lies in what is read. Resolved, so that no link hides it."""
    path = plan.request.output
    place, images = path.resolve(), split_choice(plan.images.path)[0].resolve()
    if place == images or place in images.parents:
        raise ConfigError(f"--output {path}: the images have the same path.", "Choose another name.")
    if images in place.parents:
        # Images are known by the files of their folder: it must not change while they are predicted.
        raise ConfigError(f"--output {path}: lies in the folder of the images.", "Choose a path outside that folder.")
    others = [other.resolve() for other in (plan.request.points, Path(plan.request.run)) if other]
    if any(place == other or place in other.parents for other in others if other.exists()):
        raise ConfigError(f"--output {path}: this path is, or contains, an input.", "Choose another name.")


def _sweep(plan: PredictionPlan) -> None:
    """Remove what is left of a prediction that was killed after its output had got its name."""
    if "ready" in phases_done(plan.partial / CHUNK_LOG) and not _made(plan).exists() and plan.request.output.exists():
        shutil.rmtree(plan.partial)


def _made(plan: PredictionPlan) -> Path:
    """What is given the output's name in the end."""
    converted = format_of(plan.request.output) != "zarr"
    return plan.partial / (f"converted{plan.request.output.suffix}" if converted else _VOLUME)


class _Prediction:
    """One output in the making."""

    def __init__(self, plan: PredictionPlan, assignment: Assignment, observer: Observer) -> None:
        self.plan, self.assignment, self.observer = plan, assignment, observer
        self.folder = plan.partial
        self.chunk_log = ChunkLog(self.folder / CHUNK_LOG, plan.configuration())
        self.output: OmeZarr = plan.output(self.folder / _VOLUME)
        #: The model's objects of each slice, until they are joined through slices.
        self.slices: OmeZarr | None = plan.output(self.folder / _SLICES) if plan.by_model else None
        self.continued = len(self.chunk_log.chunks)
        self.tiles, self.spent = 0, 0.0

    def run(self, predicts: Predicts) -> Summary:
        started = time.perf_counter()
        self._phase("create", self._create)
        self._predict(predicts)
        if "instances" in self.plan.labels:
            self._phase("instances", self._label)
        self._complete() if format_of(self.plan.request.output) == "zarr" else self._convert()
        chunks, objects = self.plan.chunking, self.chunk_log.phases.get("instances")
        foreground = self.chunk_log.phases["predicted"] / math.prod(chunks.shape)
        self._phase("ready", lambda: None)
        _publish(_made(self.plan), self.plan.request.output, self.folder)
        seconds = time.perf_counter() - started
        return Summary(
            self.plan.request.output,
            chunks.shape,
            seconds,
            chunks.count,
            self.continued,
            self.tiles,
            self.spent,
            objects,
            foreground,
        )

    def _phase(self, name: str, work: Callable[[], Any]) -> None:
        """Do what was not done."""
        if name not in self.chunk_log.phases:
            self.chunk_log.phase_done(name, work())

    def _create(self) -> None:
        for made in (self.output, self.slices):
            if made is not None:
                shutil.rmtree(made.path, ignore_errors=True)
                made.create()

    # ----------------------------------------------------------------------------------------------------- chunks
    def _predict(self, predicts: Predicts) -> None:
        count = self.plan.chunking.count
        if self.continued < count:
            sinks = {name: self.output.blocks(name) for name in ("probability", "mask")}
            if self.slices is not None:
                sinks["instances"] = self.slices.blocks("instances")
            done = self.continued
            for result in predicts(self.assignment, self._open()):
                for name, sink in sinks.items():
                    sink.write_block(result.block, getattr(result, name))
                for sink in sinks.values():
                    sink.flush(result.block)
                self.chunk_log.chunk_done(result.number, int(result.mask.sum()))
                done += 1
                self._count(result)
                self.observer.advanced("predict", done, count)
        self._phase("predicted", lambda: sum(self.chunk_log.chunks.values()))

    def _open(self) -> Iterator[Task]:
        return ((n, block) for n, block in enumerate(self.plan.chunking.blocks()) if n not in self.chunk_log.chunks)

    def _count(self, result: ChunkResult) -> None:
        self.tiles += result.tiles
        self.spent += result.seconds

    # ------------------------------------------------------------------------------------------------------ after
    def _label(self) -> int:
        mask, sink = self.output.blocks("mask"), self.output.blocks("instances")
        dims, progress = (2 if self.plan.request.instances == "2d" else 3), self.observer.progress("instances")
        if self.plan.request.split != "none":
            return link_volume(SplitSlices(mask), sink, dims, self.plan.min_voxels, progress)
        if self.slices is not None:
            return link_volume(self.slices.blocks("instances"), sink, dims, self.plan.min_voxels, progress)
        return label_volume(
            mask,
            sink,
            dims,
            self.plan.min_voxels,
            default_chunk(sink.shards, sink.shape),
            self.folder / "scratch",
            progress=progress,
        )

    def _complete(self) -> None:
        """Pyramids of all images."""
        for name in self.output.names:
            self._phase(f"pyramid of {name}", partial(self._pyramid, name))
        self.output.note({"objects": self.chunk_log.phases.get("instances")})
        for leftover in self.output.path.rglob("*.partial"):
            leftover.unlink()  # of a process that was killed while it wrote a file

    def _pyramid(self, name: str) -> None:
        for done, count in build_pyramid(self.output, name):
            self.observer.advanced(f"pyramid of {name}", done, count)

    def _convert(self) -> None:
        """The one array that goes to a TIFF, HDF5 or NIfTI file."""
        request = self.plan.request
        write = write_as(request.output)
        about = {**self.output.about, "objects": self.chunk_log.phases.get("instances")}
        source, progress = replace(self.output, about=about).blocks(request.what), self.observer.progress("convert")
        self._phase("converted", lambda: write(source, _made(self.plan), request.what, progress))


def _publish(made: Path, output: Path, folder: Path) -> None:
    """Give the finished output its name; an older one leaves first."""
    if made.exists():  # else it was renamed before a kill
        if output.exists():
            output.rename(folder / "replaced")
        made.rename(output)
    shutil.rmtree(folder)
