"""A prediction, resolved before a voxel is predicted: what is asked, what follows, what it will take."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from dabench import __version__
from dabench.data.blocks import placement_of, voxel_of
from dabench.data.doubts import image_notes
from dabench.data.origin import files_of
from dabench.data.placement import moved
from dabench.data.volumes import SliceRange
from dabench.errors import ConfigError, DataError
from dabench.files.digests import digest_of
from dabench.files.source import source_digest
from dabench.inference import Tiling, profile_named
from dabench.inference.wrapped import needs_whole_slices
from dabench.ops.resampling import Resampling
from dabench.runs.pixels import nm
from dabench.training.sampling import gap_slices
from dabench.volumes.instances import least_voxels
from dabench.volumes.output import OmeZarr, format_of
from dabench.volumes.prediction.chunking import Chunking, check_chunk, choose_chunk
from dabench.volumes.prediction.images import ImageSource
from dabench.volumes.prediction.pixels import matching, seen_points
from dabench.volumes.prediction.points import Points, read_prompts
from dabench.volumes.prediction.request import Precision, Request, Voxel
from dabench.volumes.prediction.worker import Assignment, PredictorSource

if TYPE_CHECKING:
    from dabench.components.registry import Registry
    from dabench.interfaces import Placement
    from dabench.models import Model, ModelCard

#: Where the code begins that decides the bytes of a prediction, beside the plugins of the model and of the readers.
_PREDICTS = "dabench.volumes.prediction.volume"
#: Pixels of the smallest object that is kept: the rule of das-2d@1.
SMALLEST = 16
_CARRIED = ("DABENCH_PLUGIN_FILES", "DABENCH_STRICT_PLUGINS", "DABENCH_LINKED_FOLDERS")


@dataclass(frozen=True)
class PredictionPlan:
    """Everything that is known beforehand.

    Attributes:
        request: what was asked.
        model: the trained model.
        images: what is read, and how.
        shape: of the scan.
        dtype: of its voxels.
        slices: the first slice and the one after the last.
        voxel: nm (z, y, x), or None.
        placement: where the images say that they lie in space, or None.
        chunking: how the output is cut.
        threshold: probability from which a voxel is a mitochondrion.
        precision: ``bfloat16`` runs the model under autocast, ``auto`` is decided by `precision.measured`.
        min_voxels: least size of an object.
        points: prompts by slice of the scan, or None.
        plugins: digest of the source that the model is built from, and of the readers.
        notes: what a user should know.
    """

    request: Request
    model: Model = field(repr=False)
    images: ImageSource
    shape: tuple[int, int, int]
    dtype: str
    slices: tuple[int, int]
    voxel: Voxel | None
    placement: Placement | None
    chunking: Chunking
    threshold: float
    precision: Precision
    min_voxels: int
    points: Points | None = field(repr=False)
    plugins: str = ""
    notes: tuple[str, ...] = ()

    @property
    def seen_points(self) -> Points | None:
        """The prompts on the pixels that the model sees."""
        return seen_points(self.points, self.images.resampling)

    @property
    def device(self) -> str:
        """Where chunks are predicted: where the model is here, or on the GPUs of a cluster."""
        return "cuda" if self.request.gpus else str(self.model.device)

    @property
    def labels(self) -> tuple[str, ...]:
        """Label images of the output."""
        return ("mask",) if self.request.instances == "none" else ("mask", "instances")

    @property
    def by_model(self) -> bool:
        """Whether the objects are the model's own; else they are the components of the mask."""
        return self.model.predictor.gives_instances and self.request.instances != "none"

    @property
    def partial(self) -> Path:
        """The folder in which the output is made; it takes another name only when it is complete."""
        return self.request.output.with_name(f"{self.request.output.name}.partial")

    def output(self, path: Path) -> OmeZarr:
        """The OME-Zarr folder at a path."""
        card = self.model.card
        about: dict[str, Any] = {"dabench_version": __version__, "model": card.name, "model_digest": card.digest}
        about |= {"run": card.cell_id, "config_digest": card.digests.config, "images": str(self.images.path)}
        about |= {"images_fingerprint": self.images.fingerprint(), "voxel_nm": self.voxel}
        about |= {"intensity": self.images.intensity, "statistics": self.images.statistics}
        about |= {"profile": self.chunking.tiling.profile.name, "tile": self.chunking.tiling.tile}
        about |= {"threshold": self.threshold, "slices": list(self.slices)}
        about |= {"objects_of": "model" if self.by_model else "mask"} if "instances" in self.labels else {}
        about |= {"pixel_size": self.request.pixel_size, "model_pixel_nm": card.pixel_size}
        about |= {"resampled_to": self._resampled_to}
        shape, block = self.chunking.shape, self.chunking.chunk
        placement = None if self.placement is None else moved(self.placement, self.slices[0])
        return OmeZarr(path, shape, block, self.voxel, self.labels, self.slices[0], about, placement)

    @property
    def _resampled_to(self) -> list[int] | None:
        """(rows, columns) that the model sees of a slice, where those are not the stored ones."""
        return None if self.images.resampling is None else list(self.images.resampling.target)

    def assignment(self, source: PredictorSource) -> Assignment:
        """What every process is told."""
        carried = {name: os.environ[name] for name in _CARRIED if name in os.environ}
        return Assignment(
            name=digest_of(self.configuration()),
            model=source,
            device=self.device,
            bfloat16=self.precision == "bfloat16",
            images=self.images,
            shape=self.shape,
            first=self.slices[0],
            tiling=self.chunking.tiling,
            gap=self.chunking.gap,
            threshold=self.threshold,
            points=self.seen_points,
            environment=carried,
        )

    def configuration(self) -> dict[str, Any]:
        """All that decides the bytes of the output, as JSON values."""
        tiling = self.chunking.tiling
        points = None if self.points is None else digest_of({z: xy.tolist() for z, xy in self.points.items()})
        return {
            "model": self.model.card.digest,
            "plugins": self.plugins,
            "images": [str(self.images.path.absolute()), self.images.fingerprint(), list(self.shape), self.dtype],
            "intensity": [self.images.intensity, self.images.statistics],
            "slices": list(self.slices),
            "voxel": self.voxel,
            "resampled_to": self._resampled_to,
            "tile": tiling.tile,
            "profile": tiling.profile.name,
            "batch": tiling.batch_size,
            "gap": self.chunking.gap,
            "chunk": list(self.chunking.chunk),
            "points": points,
            "threshold": self.threshold,
            "precision": self.precision,
            "device": torch.device(self.device).type,
            "instances": [self.request.instances, self.min_voxels, self.request.split],
            "output": [self.request.output.suffix.lower(), self.request.what],
            "source": source_digest(_PREDICTS),
            "torch": torch.__version__,
        }

    def describe(self) -> dict[str, Any]:
        """The plan as plain values, for ``--dry-run`` and ``--json``."""
        chunks, voxels = self.chunking, math.prod(self.chunking.shape)
        return {
            "model": self.model.card.name,
            "images": str(self.images.path),
            "output": str(self.request.output),
            "shape": list(chunks.shape),
            "voxel_nm": self.voxel,
            "pixel_size": self.request.pixel_size,
            "model_pixel_nm": self.model.card.pixel_size,
            "resampled_to": self._resampled_to,
            "intensity": self.images.intensity,
            "profile": chunks.tiling.profile.name,
            "tile": chunks.tiling.tile,
            "threshold": self.threshold,
            "precision": self.precision,
            "device": self.device,
            "points": None if self.points is None else sum(map(len, self.points.values())),
            "instances": self.request.instances,
            "min_voxels": self.min_voxels,
            "split": self.request.split,
            "objects_of": "model" if self.by_model else "mask",
            "chunk": list(chunks.chunk),
            "chunks": chunks.count,
            "tiles": chunks.all_tiles,
            "recomputed": chunks.recomputed,
            "memory_bytes": chunks.memory,
            # Probabilities take a third to a half of a byte when compressed; labels next to nothing.
            "output_bytes": voxels * 2 // 3,
            "notes": list(self.notes),
        }


def make_prediction_plan(request: Request, model: Model, registry: Registry) -> PredictionPlan:
    """Resolve a request. Of the images, 16 slices are looked at for blank ones.

    Raises:
        ConfigError: settings that contradict each other or the model.
        DataError: images or points that are missing, damaged or do not fit.
    """
    card, notes = model.card, list[str]()
    if format_of(request.output) != "zarr" and request.what == "instances" and request.instances == "none":
        raise ConfigError("--what instances and --instances none: there would be nothing to write.")
    if request.precision == "auto" and request.gpus:
        raise ConfigError(
            "--precision auto only tests this machine, but --gpus-per-job predicts on others.", "Choose a precision."
        )
    if request.split != "none" and (request.instances == "none" or model.predictor.gives_instances):
        why = "no objects are requested" if request.instances == "none" else "the model predicts objects itself"
        raise ConfigError(f"--split {request.split}: {why}.", "Leave out --split.")
    tiling = Tiling(card.tile, profile_named(request.profile or card.inference), request.batch)
    images = ImageSource(request.images.absolute(), request.intensity or card.intensity)
    images.open(registry)  # says what is wrong with the intensity
    stored = images.stored(registry)
    said = request.voxel or voxel_of(stored)
    resampling, of_pixels = matching(request.pixel_size, stored.shape[1:], said, card)
    images = replace(images, resampling=resampling, linked=files_of(stored) if not request.images.is_dir() else ())
    voxel = said or _assumed_voxel(card.voxel, notes)
    notes.extend(of_pixels)
    slices = _slices(request.slices, stored.shape[0])
    shape = (slices[1] - slices[0], *stored.shape[1:])
    notes += image_notes(SliceRange(stored, *slices, str(request.images)), str(request.images), request.blank)
    gap = gap_of(model, voxel, stored.shape[0])
    points = read_prompts(request, registry, stored.shape, voxel) if request.points else None
    _note_points(points, slices, model, notes)
    whole, objects = needs_whole_slices(model.predictor), model.predictor.gives_instances
    chunk = check_chunk(request.chunk, shape, whole_slices=whole) if request.chunk else None
    chunk = chunk or choose_chunk(shape, tiling, gap, resampling, whole_slices=whole, objects=objects)
    return PredictionPlan(
        request=request,
        model=model,
        images=images,
        shape=stored.shape,
        dtype=str(stored.dtype),
        slices=slices,
        voxel=voxel,
        placement=placement_of(stored),
        chunking=Chunking(shape, chunk, tiling, gap, objects, resampling),
        threshold=card.threshold if request.threshold is None else _threshold(request.threshold),
        precision=request.precision,
        min_voxels=_least(request, voxel, resampling),
        points=points,
        plugins=_plugins(card, registry),
        notes=tuple(notes),
    )


def _plugins(card: ModelCard, registry: Registry) -> str:
    """Digest of the source that makes the model, and of that which reads the images."""
    parts = [(part.kind, part.name) for part in card.parts]
    readers = [("reader", name) for name in registry.names("reader")]
    return source_digest(*(registry.module(*part) for part in [*parts, *readers]))


def _assumed_voxel(card: Voxel | None, notes: list[str]) -> Voxel | None:
    """What the model was adapted to, for images that do not say it."""
    if card is None:
        notes.append("voxel size unknown; --voxel z,y,x (nm) writes it into the output")
    else:
        notes.append(
            f"the images do not state their voxel size. Using {nm(card)}, the size of the data that the model "
            "was adapted to, also for points in nm; to change it: --voxel z,y,x"
        )
    return card


def _least(request: Request, voxel: Voxel | None, resampling: Resampling | None) -> int:
    """Voxels of the smallest object that is kept; the default size is in the model's pixels."""
    if request.instances == "none":
        return 0
    if request.min_size is None:
        return math.ceil(SMALLEST / (resampling.area if resampling else 1))
    return least_voxels(request.min_size, voxel, 2 if request.instances == "2d" else 3)


def _slices(asked: tuple[int, int] | None, depth: int) -> tuple[int, int]:
    first, last = asked or (0, depth)
    if not 0 <= first < last <= depth:
        raise ConfigError(f"--slices {first}:{last}: write A:B with 0 <= A < B <= {depth}, the number of slices.")
    return first, last


def _threshold(value: float) -> float:
    if not 0 < value < 1:
        raise ConfigError(f"--threshold {value:g}: a probability between 0 and 1.")
    return value


def gap_of(model: Model, voxel: Voxel | None, depth: int) -> int:
    """Slices to the partner of each, for a model of pairs in a scan of so many slices; 0 for any other."""
    neighbour = model.predictor.neighbour
    if not neighbour:
        return 0
    if voxel is None:
        raise ConfigError(
            f"the model looks at a section {neighbour:g} nm away, but the scan does not state its slice thickness.",
            "Add --voxel z,y,x (nm).",
        )
    gap = gap_slices(neighbour, voxel[0], depth)
    if gap >= depth:
        raise DataError(f"the model needs pairs of slices {gap} apart, but the scan has {depth}.")
    return gap


def _note_points(points: Points | None, slices: tuple[int, int], model: Model, notes: list[str]) -> None:
    if points is None:
        return
    outside = sum(len(xy) for z, xy in points.items() if not slices[0] <= z < slices[1])
    if outside:
        notes.append(f"{outside} points lie on slices that are not predicted")
    if not model.takes_points:
        notes.append("the model ignores points: it was trained without them")
