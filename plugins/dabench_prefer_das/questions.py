"""The questions that stage 2 makes itself: candidates by thresholds, and which patches are asked about."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dabench.ops.augmentation import View
from dabench.ops.candidates import threshold_candidates
from dabench.ops.informed import informed
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
from dabench_prefer_das.pool import Pool, local, probability_of

_TILES_AT_ONCE = 16
#: Large training sets are asked in parts: a question carries its candidates.
_QUESTIONS_AT_ONCE = 8192


@dataclass(frozen=True)
class Asked:
    """All tiles, the reference's logits on them, the prompts of each; and each answer with the index of its tile."""

    tiles: list[CropId]
    proposal: Array
    prompts: list[Array]
    of_tile: list[int]
    answers: list[PreferenceAnswer]


def ask_own(
    data: TrainingData,
    predictor: Predictor,
    optimizer: PreferenceOptimizer,
    thresholds: tuple[float, ...],
    size: int,
    views: int,
    *,
    prompted: bool,
) -> Asked:
    """Predict every tile of the target's training split with the reference, choose patches, and ask for preferences."""
    depth, height, width = data.target_shape()
    windows = tile_windows(height, width, size)
    owned = owned_patches(height, width, size, optimizer.patches_per_side)
    tiles = [CropId(z, window) for z in range(depth) for window in windows]
    prompts = _draw_prompts(data, tiles) if prompted else [np.zeros((0, 2), np.float32)] * len(tiles)
    proposal = _remembered(data, predictor, tiles, prompts, views)
    places = [(i, patch) for i in range(len(tiles)) for patch in owned[i % len(windows)]]
    pool = Pool(tiles, places, proposal, thresholds)
    drawn = optimizer.select(pool.informative(), data.desk.patch_budget(), data.desk.rng("patches"))
    which, at_random = _wanted(data, optimizer, pool, np.asarray(drawn))
    chosen = [places[k] for k in which]
    hints = _hints(data, optimizer, tiles, proposal, {i for i, _ in chosen}) if optimizer.rater == "self" else {}
    given: list[PreferenceAnswer] = []
    for first in range(0, len(chosen), _QUESTIONS_AT_ONCE):
        questions = [
            _question(data, tiles[i], patch, proposal[i], thresholds, prompts[i], hints.get(i), random)
            for (i, patch), random in list(zip(chosen, at_random, strict=True))[first : first + _QUESTIONS_AT_ONCE]
        ]
        given += data.desk.preferences(questions, optimizer.rater)
    return Asked(tiles, proposal, prompts, [i for i, _ in chosen], given)


def _wanted(data: TrainingData, optimizer: PreferenceOptimizer, pool: Pool, drawn: Array) -> tuple[Array, Array]:
    """The patches that are asked about, and which of them were drawn at random."""
    wanted = optimizer.wanted(pool)
    if wanted is None:
        return drawn, np.ones(len(drawn), bool)
    return informed(drawn, wanted, optimizer.random_share, data.desk.rng("asked at random"))


def _draw_prompts(data: TrainingData, tiles: list[CropId]) -> list[Array]:
    """A random number of the given points of each tile, in its own (x, y); the same for every training seed."""
    given, rng, found = data.desk.points(), data.desk.rng("prompts"), []
    for tile in tiles:
        inside = tile.window.to_local(given[tile.z].points) if tile.z in given else np.zeros((0, 2), np.float32)
        order = rng.permutation(len(inside))
        found.append(inside[np.sort(order[: rng.integers(len(inside) + 1)])])
    return found


def _remembered(
    data: TrainingData, predictor: Predictor, tiles: list[CropId], prompts: list[Array], views: int
) -> Array:
    """What `predict_tiles` gives; once for all optimizers."""
    side, name = tiles[0].window.height, f"tiles-{tiles[0].window.height}-turns-{views}"
    if any(len(points) for points in prompts):
        name += "-prompts-" + hashlib.sha256(b"".join(p.tobytes() + b"|" for p in prompts)).hexdigest()[:12]

    def fill(logits: Array) -> None:
        predict_tiles(data, predictor, tiles, prompts, views, logits)

    return data.remember(name, (len(tiles), side, side), fill)


def predict_tiles(
    data: TrainingData, predictor: Predictor, tiles: list[CropId], prompts: list[Array], views: int, logits: Array
) -> None:
    """Fill ``(N, S, S)`` with the logits of all tiles' probabilities, averaged over so many quarter turns first."""
    for first in range(0, len(tiles), _TILES_AT_ONCE):
        some = slice(first, first + _TILES_AT_ONCE)
        images = torch.from_numpy(np.stack([data.target_crop(tile) for tile in tiles[some]]))[:, None].to(data.device)
        points = [torch.from_numpy(p).to(data.device) for p in prompts[some]]
        with torch.no_grad():
            mean = torch.stack([_turned(predictor, images, points, turns) for turns in range(views)]).mean(dim=0)
        logits[some] = mean.logit(eps=1e-7).half().cpu().numpy()


def _turned(predictor: Predictor, images: Tensor, points: list[Tensor], turns: int) -> Tensor:
    """The probability ``(B, S, S)`` of images and points seen after quarter turns, turned back."""
    view = View((images.shape[-2], images.shape[-1]), turns=turns)
    shown = [view.points(p) for p in points] if any(len(p) for p in points) else None
    seen = predictor.predict(torch.rot90(images, turns, (-2, -1)), shown).probability
    return torch.rot90(seen, -turns, (-2, -1))


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
    prompts: Array,
    hint: Tensor | None,
    at_random: bool,
) -> PreferenceQuestion:
    inside = local(tile, patch)
    candidates = threshold_candidates(probability_of(logits[inside.slices]), thresholds)
    image = data.target_crop(CropId(tile.z, patch)).copy()  # a view would keep its whole slice alive
    return PreferenceQuestion(
        tile.z,
        patch,
        image,
        candidates.masks.numpy(),
        None if hint is None else hint[inside.slices].numpy(),
        candidates.thresholds,
        prompts + np.array([tile.window.x, tile.window.y], np.float32),
        tile.window,
        None if at_random else "informative",
    )
