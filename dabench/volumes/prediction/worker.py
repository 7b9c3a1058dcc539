"""One chunk from pixels to bytes: what every process of a prediction does, wherever it runs."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from dabench.components.registry import Registry
from dabench.data.blocks import read_block
from dabench.files.workspace import Workspace
from dabench.inference import Sections, TileGrid, predict_chunk
from dabench.inference.probabilities import need_probabilities
from dabench.inference.returned import returned_ids, returned_mask, returned_probability
from dabench.inference.volume import partner
from dabench.inference.wrapped import AutocastPredictor
from dabench.models import load_model
from dabench.types import Block, Window

if TYPE_CHECKING:
    from dabench.inference import Tiling
    from dabench.interfaces import Predictor, Volume
    from dabench.models import Model
    from dabench.types import Array
    from dabench.volumes.prediction.images import ImageSource


class PredictorSource(Protocol):
    """Where a process gets its model from; it travels to other processes and machines."""

    def load(self, registry: Registry) -> Predictor:
        """A predictor on the device that it is to run on."""


@dataclass(frozen=True)
class RunModel:
    """A run or a model file that every process finds by the same path."""

    reference: str
    workspace: Path
    device: str

    def load(self, registry: Registry) -> Predictor:
        """See `dabench.models.load_model`."""
        return load_model(self.reference, registry, Workspace(self.workspace), self.device).predictor


@dataclass(frozen=True)
class ModelBytes:
    """A model file's content, for machines that do not see this one's files."""

    content: bytes = field(repr=False)
    device: str

    @classmethod
    def of(cls, model: Model, device: str) -> ModelBytes:
        """What `Model.save` writes."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / _FILE
            model.save(path)
            return cls(path.read_bytes(), device)

    def load(self, registry: Registry) -> Predictor:
        """See `dabench.models.load_model`."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / _FILE
            path.write_bytes(self.content)
            return load_model(path, registry, Workspace(Path(folder)), self.device).predictor


_FILE = "model.safetensors"
#: Rows that are made whole numbers at a time.
_BAND = 64


@dataclass(frozen=True)
class Assignment:
    """All that decides what a chunk becomes; the same for every process.

    Attributes:
        name: of the prediction; a process that knows it keeps its model.
        model: where the predictor comes from.
        device: where it runs.
        bfloat16: whether it runs under autocast.
        images: what is read.
        shape: (slices, rows, columns) of the scan.
        first: slice of the scan that is slice 0 of the output.
        tiling: how slices are cut.
        gap: slices to the partner of each, for a model of pairs; 0: none.
        threshold: probability from which a voxel is a mitochondrion.
        points: prompts by slice of the scan, on the pixels that the model sees; None is automatic mode.
        environment: settings of the session that other machines need.
    """

    name: str
    model: PredictorSource
    device: str
    bfloat16: bool
    images: ImageSource
    shape: tuple[int, int, int]
    first: int
    tiling: Tiling
    gap: int
    threshold: float
    points: Mapping[int, Array] | None = field(default=None, repr=False)
    environment: Mapping[str, str] = field(default_factory=dict)

    def grid(self, block: Block) -> TileGrid:
        """The tiles that a box of the output needs."""
        resampling = self.images.resampling
        if resampling is None:
            return TileGrid(self.shape[1:], block.window, self.tiling)
        return TileGrid(resampling.target, resampling.inverse.needed(block.window), self.tiling)

    def planes(self, block: Block) -> list[tuple[int, ...]]:
        """For every slice of a box of the output the slices of the scan that it is predicted from."""
        own = range(self.first + block.z, self.first + block.z + block.depth)
        return [(z, partner(z, self.gap, self.shape[0])) if self.gap else (z,) for z in own]


@dataclass(frozen=True)
class ChunkResult:
    """A predicted box, ``(depth, height, width)``: probability floor(256 p) and mask 0/1, uint8; tiles, seconds.

    ``instances``, of a model that makes objects: uint32, those of each slice numbered from 1; else None.
    """

    number: int
    block: Block
    probability: Array = field(repr=False)
    mask: Array = field(repr=False)
    tiles: int
    seconds: float
    instances: Array | None = field(default=None, repr=False)


class ChunkReader:
    """The open images of one process."""

    def __init__(self, assignment: Assignment) -> None:
        """Open without reading."""
        os.environ.update(assignment.environment)
        self._assignment = assignment
        self._images: Volume = assignment.images.open(Registry.load())

    def read(self, block: Block) -> Array:
        """The pixels that a box of the output needs, ``(N, h, w)``: every slice once, with the margin of its tiles."""
        seen = self._assignment.grid(block).seen
        wanted = sorted({z for planes in self._assignment.planes(block) for z in planes})
        runs = [read_block(self._images, _box(first, last, seen)) for first, last in _runs(wanted)]
        return np.concatenate(runs) if len(runs) > 1 else runs[0]


class Worker:
    """Holds the model and the open images of one process."""

    def __init__(self, assignment: Assignment, predictor: Predictor | None = None) -> None:
        """Load the model, unless this process has it already."""
        os.environ.update(assignment.environment)
        self._assignment = assignment
        found = predictor or assignment.model.load(Registry.load())
        self._predictor = AutocastPredictor(found) if assignment.bfloat16 else found

    @cached_property
    def _reader(self) -> ChunkReader:
        return ChunkReader(self._assignment)

    def read(self, block: Block) -> Array:
        """See `ChunkReader.read`."""
        return self._reader.read(block)

    def predict(self, number: int, block: Block, pixels: Array | None = None) -> ChunkResult:
        """Predict a box from its pixels, or read them. Raises PredictionError for what is no probability."""
        started = time.perf_counter()
        sections = self._sections(block, self.read(block) if pixels is None else pixels)
        grid, cut = self._assignment.grid(block), self._assignment.threshold
        resampling = self._assignment.images.resampling
        back = resampling and resampling.inverse
        probability, mask = np.empty((2, *block.shape), np.uint8)
        ids = np.empty(block.shape, np.uint32) if self._predictor.gives_instances else None
        for k, found in enumerate(predict_chunk(self._predictor, sections, grid, self._assignment.device)):
            need_probabilities(found.probability, self._assignment.first + block.z + k)
            probability[k] = quantised(returned_probability(found, back, block.window))
            mask[k] = returned_mask(self._predictor, found, cut, back, block.window)
            if ids is not None and found.instances is not None:
                ids[k] = returned_ids(found.instances, back, block.window)
        tiles, seconds = len(grid) * block.depth, time.perf_counter() - started
        return ChunkResult(number, block, probability, mask, tiles, seconds, ids)

    def _sections(self, block: Block, pixels: Array) -> Sections:
        planes, points = self._assignment.planes(block), self._assignment.points
        place = {z: row for row, z in enumerate(sorted({z for own in planes for z in own}))}
        nothing = np.zeros((0, 2), np.float32)
        given = None if points is None else [points.get(own[0], nothing) for own in planes]
        return Sections(pixels, [tuple(place[z] for z in own) for own in planes], given)


def quantised(probability: Array) -> Array:
    """floor(256 p) as uint8, 255 for 1: 128 and more is exactly p >= 0.5."""
    levels = np.empty(probability.shape, np.uint8)
    for band in range(0, len(probability), _BAND):  # what lies between stays in the processor's cache
        rows = slice(band, band + _BAND)
        levels[rows] = np.minimum(probability[rows] * np.float32(256), np.float32(255))
    return levels


def _runs(numbers: list[int]) -> list[tuple[int, int]]:
    """First and last of every stretch of consecutive numbers, which are sorted."""
    breaks = [i for i, (a, b) in enumerate(pairwise(numbers), 1) if b > a + 1]
    starts, ends = [0, *breaks], [*breaks, len(numbers)]
    return [(numbers[a], numbers[b - 1]) for a, b in zip(starts, ends, strict=True)]


def _box(first: int, last: int, seen: Window) -> Block:
    return Block(first, seen.y, seen.x, last - first + 1, seen.height, seen.width)


def use_threads(count: int) -> None:
    """Cores that a process takes."""
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)
