"""The preference data of one run: tiles, the candidates' probabilities, which patches were answered and how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dabench.ops.candidates import pad_candidates, threshold_candidates
from dabench.ops.patches import owned_patches, tile_windows
from dabench.plugin import (
    Array,
    CropId,
    Predictor,
    PreferenceAnswer,
    PreferenceOptimizer,
    PreferenceQuestion,
    TrainingData,
    Window,
)

#: policy, reference, candidates, valid, preferred: what `PreferenceOptimizer.loss` takes.
Patches = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
_TILES_AT_ONCE = 16
#: Large training sets are asked in parts: a question carries its candidates.
_QUESTIONS_AT_ONCE = 8192


@dataclass(frozen=True)
class Answered:
    """One answered patch: its window inside the tile, and the chosen candidate, in `threshold_candidates`' order."""

    local: Window
    choice: int


class PreferenceData:
    """Everything that stage 2 learns from, fixed before its first update: preference optimisation is off-line."""

    def __init__(
        self,
        tiles: list[CropId],
        proposal: Array,
        answers: list[list[Answered]],
        thresholds: tuple[float, ...],
    ) -> None:
        """Keep what `collect` found.

        ``proposal``, whose thresholds are the candidates, are *logits* ``(N, S, S)`` in half precision (a probability
        near 1 would lose its distance from 1); ``answers`` has a list for each tile.
        """
        self.tiles, self._proposal = tiles, proposal
        self._answers, self._thresholds = answers, thresholds
        answered = [i for i, found in enumerate(answers) if found]
        # Without a single answer the anchor is all there is: every tile serves.
        self._drawn = answered or list(range(len(tiles)))
        self._numbers = {tile: i for i, tile in enumerate(tiles)}

    @property
    def answered(self) -> int:
        """Number of answered patches."""
        return sum(len(found) for found in self._answers)

    def draw(self, count: int, rng: np.random.Generator) -> list[CropId]:
        """``count`` random tiles that hold an answer."""
        return [self.tiles[self._drawn[pick]] for pick in rng.integers(len(self._drawn), size=count)]

    def numbers(self, tiles: Sequence[CropId]) -> list[int]:
        """Indices of tiles."""
        return [self._numbers[tile] for tile in tiles]

    def proposal(self, tiles: Sequence[int]) -> Tensor:
        """The probability behind the candidates of tiles, ``(B, S, S)`` float32."""
        return _probability(self._proposal[list(tiles)])

    def patches(self, tiles: Sequence[int], policy: Tensor, reference: Tensor) -> Patches | None:
        """Answered patches of these tiles, both models' logits cut from ``(B, S, S)``; None when there are none."""
        cut_policy, cut_reference, masks, chosen = [], [], [], []
        proposal = self.proposal(tiles).to(policy.device)
        for row, tile in enumerate(tiles):
            for answer in self._answers[tile]:
                rows, columns = answer.local.slices
                cut_policy.append(policy[row, rows, columns])
                cut_reference.append(reference[row, rows, columns])
                masks.append(threshold_candidates(proposal[row, rows, columns], self._thresholds).masks)
                chosen.append(answer.choice)
        if not masks:
            return None
        # L that does not divide the tile gives patches that differ by a pixel; the common part is compared.
        height, width = min(m.shape[1] for m in masks), min(m.shape[2] for m in masks)
        candidates, valid = pad_candidates([m[:, :height, :width] for m in masks])
        preferred = torch.tensor(chosen, device=candidates.device)
        return (
            torch.stack([p[:height, :width] for p in cut_policy]),
            torch.stack([p[:height, :width] for p in cut_reference]),
            candidates,
            valid,
            preferred,
        )


def collect(
    data: TrainingData,
    predictor: Predictor,
    optimizer: PreferenceOptimizer,
    thresholds: tuple[float, ...],
    size: int,
    candidate_views: int,
) -> PreferenceData:
    """Predict every tile of the target's training split with the reference, choose patches, and ask for preferences."""
    depth, height, width = data.target_shape()
    windows = tile_windows(height, width, size)
    owned = owned_patches(height, width, size, optimizer.patches_per_side)
    tiles = [CropId(z, window) for z in range(depth) for window in windows]
    proposal = _predict(data, predictor, tiles, candidate_views)
    places = [(i, patch) for i in range(len(tiles)) for patch in owned[i % len(windows)]]
    informative = np.array([_differs(proposal[i], _local(tiles[i], patch), thresholds) for i, patch in places])
    chosen = [places[k] for k in optimizer.select(informative, data.desk.patch_budget(), data.desk.rng("patches"))]
    hints = _hints(data, optimizer, tiles, proposal, {i for i, _ in chosen}) if optimizer.rater == "self" else {}
    given: list[PreferenceAnswer] = []
    for first in range(0, len(chosen), _QUESTIONS_AT_ONCE):
        some = chosen[first : first + _QUESTIONS_AT_ONCE]
        questions = [_question(data, tiles[i], patch, proposal[i], thresholds, hints.get(i)) for i, patch in some]
        given += data.desk.preferences(questions, optimizer.rater)
    return PreferenceData(tiles, proposal, _by_tile(tiles, chosen, given), thresholds)


def _predict(data: TrainingData, predictor: Predictor, tiles: list[CropId], turns: int) -> Array:
    """Logits of all tiles' probabilities, averaged over so many quarter turns first; ``(N, S, S)`` float16."""
    side = tiles[0].window.height

    def fill(logits: Array) -> None:
        for first in range(0, len(tiles), _TILES_AT_ONCE):
            crops = [data.target_crop(tile) for tile in tiles[first : first + _TILES_AT_ONCE]]
            images = torch.from_numpy(np.stack(crops))[:, None].to(data.device)
            with torch.no_grad():
                seen = [predictor.predict(torch.rot90(images, k, (-2, -1))).probability for k in range(turns)]
            mean = torch.stack([torch.rot90(p, -k, (-2, -1)) for k, p in enumerate(seen)]).mean(dim=0)
            logits[first : first + len(crops)] = mean.logit(eps=1e-7).half().cpu().numpy()

    return data.remember(f"tiles-{side}-turns-{turns}", (len(tiles), side, side), fill)


def _probability(logits: Array) -> Tensor:
    """Probabilities, float32 on the CPU, of logits in half precision."""
    return torch.from_numpy(np.asarray(logits, np.float32)).sigmoid()


def _differs(logits: Array, local: Window, thresholds: tuple[float, ...]) -> bool:
    """Whether any two candidates of a patch differ: some pixel lies between the lowest and the highest threshold."""
    patch = _probability(logits[local.slices])
    return bool(((patch > min(thresholds)) & (patch <= max(thresholds))).any())


def _local(tile: CropId, patch: Window) -> Window:
    return Window(patch.y - tile.window.y, patch.x - tile.window.x, patch.height, patch.width)


def _hints(
    data: TrainingData, optimizer: PreferenceOptimizer, tiles: list[CropId], proposal: Array, which: set[int]
) -> dict[int, Tensor]:
    """The optimizer's own refinement of the reference's masks of these tiles, ``(S, S)`` bool."""
    hints: dict[int, Tensor] = {}
    wanted = sorted(which)
    for first in range(0, len(wanted), _TILES_AT_ONCE):
        some = wanted[first : first + _TILES_AT_ONCE]
        images = torch.from_numpy(np.stack([data.target_crop(tiles[i]) for i in some])).to(data.device)
        masks = torch.from_numpy(proposal[some] > 0).to(data.device)
        hints |= dict(zip(some, optimizer.hint(images, masks).cpu(), strict=True))
    return hints


def _question(
    data: TrainingData,
    tile: CropId,
    patch: Window,
    logits: Array,
    thresholds: tuple[float, ...],
    hint: Tensor | None,
) -> PreferenceQuestion:
    local = _local(tile, patch)
    candidates = threshold_candidates(_probability(logits[local.slices]), thresholds).masks.numpy()
    image = data.target_crop(CropId(tile.z, patch)).copy()  # a view would keep its whole slice alive
    return PreferenceQuestion(tile.z, patch, image, candidates, None if hint is None else hint[local.slices].numpy())


def _by_tile(
    tiles: list[CropId], chosen: list[tuple[int, Window]], answers: list[PreferenceAnswer]
) -> list[list[Answered]]:
    found: list[list[Answered]] = [[] for _ in tiles]
    for (index, patch), answer in zip(chosen, answers, strict=True):
        if answer.choice is not None:
            found[index].append(Answered(_local(tiles[index], patch), answer.choice))
    return found
