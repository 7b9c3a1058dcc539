"""The preference data of one run: tiles, which of their patches were answered, with what masks, and how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dabench.ops.candidates import pad_candidates
from dabench.ops.choice import unpack_masks
from dabench.plugin import (
    Array,
    CropId,
    PackedMasks,
    Predictor,
    PreferenceAnswer,
    PreferenceOptimizer,
    PreferenceQuestion,
    TrainingData,
    Window,
)
from dabench_prefer_das.pool import local, probability_of
from dabench_prefer_das.questions import ask_own, predict_tiles

#: policy, reference, candidates, valid, preferred: what `PreferenceOptimizer.loss` takes.
Patches = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Answered:
    """One answered patch: its window inside the tile, the candidates, and a row of their weights for each vote."""

    local: Window
    masks: PackedMasks
    weights: list[tuple[float, ...]]


class PreferenceData:
    """Everything that stage 2 learns from, fixed before its first update: preference optimisation is off-line."""

    def __init__(
        self, tiles: list[CropId], proposal: Array, prompts: list[Array], answers: list[list[Answered]]
    ) -> None:
        """Keep what `collect` found, a list entry a tile.

        ``proposal`` is the reference's *logits* ``(N, S, S)`` in half precision (a probability near 1 would lose its
        distance from 1), ``prompts`` the points (x, y) that the models are shown with each tile, in its own pixels.
        """
        self.tiles, self._proposal, self._prompts, self._answers = tiles, proposal, prompts, answers
        answered = [i for i, found in enumerate(answers) if found]
        # Without a single answer the anchor is all there is: every tile serves.
        self._drawn = answered or list(range(len(tiles)))
        self._numbers = {tile: i for i, tile in enumerate(tiles)}

    @property
    def answered(self) -> int:
        """Number of patches with a preference."""
        return sum(len(found) for found in self._answers)

    def draw(self, count: int, rng: np.random.Generator) -> list[CropId]:
        """``count`` random tiles that hold an answer."""
        return [self.tiles[self._drawn[pick]] for pick in rng.integers(len(self._drawn), size=count)]

    def numbers(self, tiles: Sequence[CropId]) -> list[int]:
        """Indices of tiles."""
        return [self._numbers[tile] for tile in tiles]

    def proposal(self, tiles: Sequence[int]) -> Tensor:
        """The reference's probability on tiles, ``(B, S, S)`` float32."""
        return probability_of(self._proposal[list(tiles)])

    def prompts(self, tiles: Sequence[int]) -> list[Tensor]:
        """The points of each tile under which its candidates were made, ``(N, 2)`` (x, y)."""
        return [torch.from_numpy(self._prompts[tile]) for tile in tiles]

    def patches(self, tiles: Sequence[int], policy: Tensor, reference: Tensor) -> Patches | None:
        """Answered patches of these tiles, both models' logits cut from ``(B, S, S)``; None when there are none."""
        cut_policy, cut_reference, masks, weights = [], [], [], []
        for row, tile in enumerate(tiles):
            for answer in self._answers[tile]:
                rows, columns = answer.local.slices
                for vote in answer.weights:
                    cut_policy.append(policy[row, rows, columns])
                    cut_reference.append(reference[row, rows, columns])
                    masks.append(torch.from_numpy(unpack_masks(answer.masks)).to(policy.device))
                    weights.append(torch.tensor(vote, device=policy.device))
        if not masks:
            return None
        # L that does not divide the tile gives patches that differ by a pixel; the common part is compared.
        height, width = min(m.shape[1] for m in masks), min(m.shape[2] for m in masks)
        candidates, valid = pad_candidates([m[:, :height, :width] for m in masks])
        return (
            torch.stack([p[:height, :width] for p in cut_policy]),
            torch.stack([p[:height, :width] for p in cut_reference]),
            candidates,
            valid,
            torch.nn.utils.rnn.pad_sequence(weights, batch_first=True),
        )


def collect(
    data: TrainingData,
    predictor: Predictor,
    optimizer: PreferenceOptimizer,
    thresholds: tuple[float, ...],
    size: int,
    candidate_views: int,
    *,
    prompted: bool = False,
) -> PreferenceData:
    """The questions of a data set that people answered, else the stage's own; with the answers.

    Args:
        data: of the stage.
        predictor: the reference.
        optimizer: says which patches are asked about.
        thresholds: of the stage's own candidates.
        size: side of a tile.
        candidate_views: quarter turns that the reference's probability is averaged over.
        prompted: whether the stage's own candidates are made with given points as prompts.
    """
    recorded = None if optimizer.rater == "self" else data.desk.recorded_questions()
    if recorded is not None:
        return _recorded(data, predictor, recorded, size, candidate_views)
    asked = ask_own(data, predictor, optimizer, thresholds, size, candidate_views, prompted=prompted)
    found: list[list[Answered]] = [[] for _ in asked.tiles]
    for index, answer in zip(asked.of_tile, asked.answers, strict=True):
        _add(found[index], asked.tiles[index], answer)
    return PreferenceData(asked.tiles, asked.proposal, asked.prompts, found)


def _add(found: list[Answered], tile: CropId, answer: PreferenceAnswer) -> None:
    """Keep an answer that prefers something, with its masks."""
    if answer.question is not None and (weights := answer.weights(answer.question.shape[0])):
        found.append(Answered(local(tile, answer.window), answer.question, weights))


# ------------------------------------------------------------------------------------------------- people's data sets
def _recorded(
    data: TrainingData, predictor: Predictor, questions: Sequence[PreferenceQuestion], size: int, views: int
) -> PreferenceData:
    """Train on the masks and under the prompts of the set; the reference is the model trained here."""
    _, height, width = data.target_shape()
    prompts: dict[CropId, Array] = {}
    fitting: list[tuple[CropId, PreferenceQuestion]] = []
    for question in questions:
        tile = _tile_of(question, size, height, width)
        if tile is None:
            continue
        points = _points_in(tile, question)
        # A tile is shown under one choice of prompts; questions of a set's own tile were made under the same.
        if np.array_equal(prompts.setdefault(tile, points), points):
            fitting.append((tile, question))
    answers = data.desk.preferences([question for _, question in fitting])
    tiles = list(prompts)
    number = {tile: i for i, tile in enumerate(tiles)}
    found: list[list[Answered]] = [[] for _ in tiles]
    for (tile, _), answer in zip(fitting, answers, strict=True):
        _add(found[number[tile]], tile, answer)
    shown = [prompts[tile] for tile in tiles]
    proposal = np.empty((len(tiles), size, size), np.float16)
    predict_tiles(data, predictor, tiles, shown, views, proposal)
    return PreferenceData(tiles, proposal, shown, found)


def _tile_of(question: PreferenceQuestion, size: int, height: int, width: int) -> CropId | None:
    """The tile that the candidates were made in; where tiles have another size here, one about the patch.

    None where a patch is larger than a tile.
    """
    patch, tile = question.window, question.tile
    if tile is not None and (tile.height, tile.width) == (size, size):
        return CropId(question.z, tile)
    if max(patch.height, patch.width) > size:
        return None
    y = min(max(0, patch.y + patch.height // 2 - size // 2), max(0, height - size))
    x = min(max(0, patch.x + patch.width // 2 - size // 2), max(0, width - size))
    return CropId(question.z, Window(y, x, size, size))


def _points_in(tile: CropId, question: PreferenceQuestion) -> Array:
    points = np.zeros((0, 2), np.float32) if question.prompts is None else question.prompts
    return tile.window.to_local(points)
