"""How often the preference for a whole image is that for its patches, from what two runs were answered.

Both runs keep their answers (``annotation/preferences``, of older runs ``preferences.jsonl``): where was asked, the
masks that were shown with their thresholds, and which one was picked. Masks that are equal are shown once, under the
first of their thresholds. Older files do not say the thresholds: there a pick can be named only where nothing was left
out, or where it is the first one, because the threshold nearest 0.5 is always shown first.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dabench.annotation.preference_set import PreferenceSet, Question
from dabench.annotation.set_answers import set_answers
from dabench.errors import DataError
from dabench.types import PreferenceAnswer, Window


@dataclass(frozen=True)
class Answer:
    """One answered patch: slice, place, number of masks that were shown, and the picked one (None: cannot say).

    ``thresholds`` are all that give the picked mask, where the file says them.
    """

    z: int
    window: Window
    shown: int
    choice: int | None
    thresholds: frozenset[float] = frozenset()


def agreeing_patches(whole: Sequence[Answer], patches: Sequence[Answer]) -> list[int]:
    """For every whole image, on how many of its patches the same candidate was picked.

    Args:
        whole: answers for images, here tiles of a slice. Those whose pick cannot be named are left out, as are those
            that overlap an earlier tile, which has some of their patches.
        patches: answers for patches of the same tiles. One that was not asked about (all masks equal), or whose pick
            cannot be named, does not agree.

    Returns:
        A number per image. Where files do not say thresholds it is the least that there can be: what cannot be named
        may agree as well.
    """
    full = max((a.shown for a in (*whole, *patches)), default=0)
    by_slice: dict[int, list[Answer]] = {}
    for answer in patches:
        by_slice.setdefault(answer.z, []).append(answer)
    images = [a for a in whole if _on_grid(a.window) and _picked(a, full) is not None]
    return [
        sum(
            _inside(patch.window, image.window) and _same_pick(patch, image, full)
            for patch in by_slice.get(image.z, ())
        )
        for image in images
    ]


def answers_of(run_dir: Path) -> Path | None:
    """Where a run keeps its preferences; None where it has none."""
    found = (run_dir / "annotation" / name for name in ("preferences", "preferences.jsonl"))
    return next((path for path in found if path.exists()), None)


def read_answers(path: Path) -> list[Answer]:
    """Answers of a run. Raises DataError for files that are missing or damaged; names the line."""
    if path.is_dir():
        choices = PreferenceSet.open(path)
        asked = zip(choices.questions, set_answers(choices), strict=True)
        return [_of_set(question, answer, choices.manifest.thresholds) for question, answer in asked]
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot read preferences: {error}") from None
    return [_answer(line, f"{path}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]


def _of_set(question: Question, said: PreferenceAnswer, thresholds: Sequence[float]) -> Answer:
    picked = frozenset[float]()
    if said.choice is not None and question.thresholds:
        picked = thresholds_of(question.thresholds[said.choice], question.thresholds, thresholds)
    return Answer(said.z, said.window, len(question.digests), said.choice, picked)


def thresholds_of(picked: float, shown: Sequence[float], every: Sequence[float]) -> frozenset[float]:
    """All thresholds that give the mask of the picked one.

    Of thresholds that give one mask the nearest to 0.5 is shown, and masks shrink as thresholds grow: one that is not
    shown gives the mask of the next one towards 0.5.

    Example:
        >>> sorted(thresholds_of(0.4, shown=(0.5, 0.4), every=(0.3, 0.4, 0.5, 0.6)))
        [0.3, 0.4]
    """

    def stands_in(threshold: float) -> float:
        nearer = [s for s in shown if min(threshold, 0.5) <= s <= max(threshold, 0.5)] or shown
        return min(nearer, key=lambda s: abs(s - threshold))

    return frozenset(t for t in every if stands_in(t) == picked)


def _answer(line: str, where: str) -> Answer:
    try:
        content = json.loads(line)
        z, y, x, height, width = (int(number) for number in content["patch"])
        choice = content["choice"]
        return Answer(
            z, Window(y, x, height, width), len(content["candidates"]), None if choice is None else int(choice)
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{where}: not an answer: {error}") from None


def _same_pick(patch: Answer, image: Answer, full: int) -> bool:
    if patch.thresholds and image.thresholds:
        return bool(patch.thresholds & image.thresholds)
    return _picked(patch, full) == image.choice


def _picked(answer: Answer, full: int) -> int | None:
    """The pick among all candidates, None where it cannot be named."""
    return answer.choice if answer.thresholds or answer.shown == full or answer.choice == 0 else None


def _on_grid(window: Window) -> bool:
    """Whether a tile lies on the regular grid of tiles; the last of a row or column may be moved onto others."""
    return window.y % window.height == 0 and window.x % window.width == 0


def _inside(patch: Window, image: Window) -> bool:
    return (
        image.y <= patch.y
        and image.x <= patch.x
        and patch.y + patch.height <= image.y + image.height
        and patch.x + patch.width <= image.x + image.width
    )
