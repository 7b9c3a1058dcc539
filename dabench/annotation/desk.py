"""The annotation desk: answers requests for weak labels, meters their cost, refuses past the budget.

It is the only holder of the target's training labels during a run. Methods get a desk, never truth.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dabench.annotation.raters import Rater, RecordedRater, SelfRater, TruthRater, draw_rng
from dabench.errors import BudgetError, ConfigError, DataError
from dabench.files.digests import digest_of
from dabench.interfaces import Budget, Desk, Truth, WeakLabel
from dabench.ops.choice import candidate_digests, informative
from dabench.types import PointAnswer, PointRequest, PreferenceAnswer, PreferenceQuestion, PreferenceRequest, Window

_Key = tuple[int, Window, tuple[str, ...]]
RATERS = ("truth", "self", "recorded")


class AnnotationDesk(Desk):
    """The desk of one run, over the target's training split.

    Args:
        truth: dense labels of the split, or None where it has none.
        shape: (slices, rows, columns) of the split.
        budget: shares of components and of patches that may be annotated.
        weak_labels: kinds of annotation by name; ``points`` and ``preferences`` are asked here.
        rater: ``truth`` (simulated), ``self`` (nobody) or ``recorded`` (a person's files).
        rater_error: share of wrong answers of the simulated rater.
        seed: of the draw; the same for every method and training seed, so that all see the same points.
        recorded: kind of annotation -> a person's file; only with rater ``recorded``.
        label_digest: names the content of the labels; part of a stage's key once the labels decide an answer.
    """

    def __init__(
        self,
        truth: Truth | None,
        shape: tuple[int, int, int],
        budget: Budget,
        weak_labels: Mapping[str, WeakLabel],
        rater: str = "truth",
        rater_error: float = 0.0,
        seed: int = 0,
        recorded: Mapping[str, Path] | None = None,
        label_digest: str = "",
    ) -> None:
        """Read nothing yet. Raises ConfigError for settings that contradict each other."""
        for name, share in (("points", budget.points), ("patches", budget.patches)):
            if not 0 <= share <= 1:
                raise ConfigError(f"budget of {name} = {share}: it is a share between 0 and 1")
        if rater not in RATERS:
            raise ConfigError(f"rater {rater!r}: use one of {', '.join(RATERS)}")
        if recorded and rater != "recorded":
            given = ", ".join(str(path) for path in recorded.values())
            raise ConfigError(f"recorded answers ({given}) with rater {rater!r}.", "Use rater 'recorded'.")
        self._shape, self._budget, self._weak, self._seed = shape, budget, dict(weak_labels), seed
        self._self = SelfRater()
        raters: dict[str, Rater] = {
            "truth": TruthRater(truth, seed, rater_error, label_digest),
            "self": self._self,
            "recorded": RecordedRater(recorded or {}),
        }
        self._rater = raters[rater]
        self._points: dict[int, PointAnswer] | None = None
        self._answers: dict[_Key, PreferenceAnswer] = {}
        self._ledger: list[dict[str, Any]] = []

    # -------------------------------------------------------------------------------------------------------- points
    def points(self) -> Mapping[int, PointAnswer]:
        """The sparse points of the split by slice; none at a budget of 0. Drawn and paid for once."""
        if self._points is None:
            self._points = self._draw_points() if self._budget.points > 0 else {}
        return self._points

    def point_budget(self) -> float:
        """Share of all centres of the split that are given."""
        return self._budget.points

    def check(self, asks: Iterable[str]) -> None:
        """Refuse, before anything trains, recorded answers that cannot be of this split. Hands out nothing.

        Args:
            asks: kinds of annotation that some stage asks for.

        Raises:
            DataError: a recorded file cannot be read, is empty, or leaves the training split; names file and value.
        """
        asked = set(asks)
        if isinstance(self._rater, RecordedRater) and "points" in asked and self._budget.points > 0:
            request = PointRequest(self._budget.points, tuple(range(self._shape[0])))
            answers: list[PointAnswer] = self._rater.answer("points", request, self._weak["points"])
            self._check_inside(answers)
            if not any(len(answer.points) for answer in answers):
                raise DataError(f"{self._rater.file('points')}: holds no point.", "docs/annotation.md has the formats.")
        if isinstance(self._rater, RecordedRater) and "preferences" in asked and self._budget.patches > 0:
            self._check_patches(self._rater.file("preferences"), self._rater.recorded(self._weak, "preferences"))

    def _check_patches(self, file: Path, answers: Iterable[PreferenceAnswer]) -> None:
        slices, height, width = self._shape
        for z, window in ((answer.z, answer.window) for answer in answers):
            if z >= slices or window.y + window.height > height or window.x + window.width > width:
                raise DataError(
                    f"{file}: a patch on slice {z}, {window}, leaves the training split of {slices} slices of "
                    f"{height} x {width} pixels.",
                    "Preferences belong to the volume that they were recorded on.",
                )

    def _draw_points(self) -> dict[int, PointAnswer]:
        request = PointRequest(self._budget.points, tuple(range(self._shape[0])))
        answers: list[PointAnswer] = self._rater.answer("points", request, self._weak["points"])
        self._check_inside(answers)
        content = [(answer.z, answer.points.tolist()) for answer in answers]
        self._enter("points", sum(len(answer.points) for answer in answers), answers, content)
        return {answer.z: answer for answer in answers}

    def _check_inside(self, answers: Iterable[PointAnswer]) -> None:
        slices, height, width = self._shape
        whole = Window(0, 0, height, width)
        file = f"{self._rater.file('points')}: " if isinstance(self._rater, RecordedRater) else ""
        mend = "Points are voxels of the training split: z counts its slices from 0, y its rows, x its columns."
        for answer in answers:
            if not 0 <= answer.z < slices:
                raise DataError(
                    f"{file}points on slice {answer.z}: the training split has slices 0 to {slices - 1}", mend
                )
            inside = whole.contains(answer.points)
            if not inside.all():
                x, y = answer.points[~inside][0]
                raise DataError(
                    f"{file}point (x {x:g}, y {y:g}) on slice {answer.z} lies outside {height} x {width} pixels", mend
                )

    def rng(self, what: str) -> np.random.Generator:
        """Generator of a draw that belongs to annotation; seeded by the budget's seed, never by the training seed."""
        return draw_rng(what, self._seed)

    # --------------------------------------------------------------------------------------------------- preferences
    def patch_budget(self) -> float:
        """Share of all patches of the split that may be asked about."""
        return self._budget.patches

    def preferences(self, questions: Sequence[PreferenceQuestion], rater: str | None = None) -> list[PreferenceAnswer]:
        """Ask which candidate is best on each patch; answers in the order of the questions.

        A patch whose candidates are all equal is not asked, not paid and answered with None. A question asked before
        is answered from memory. Patches count against the budget as `charge` says, ``self`` is free.

        Raises:
            BudgetError: the questions go past the budget; nothing was handed out.
            ConfigError: another rater than ``self`` was named, or the rater cannot answer.
        """
        if rater not in (None, "self"):
            raise ConfigError(f"rater {rater!r}: a stage may name 'self' or leave it to the run")
        keys = [self._key(question) for question in questions]
        if rater == "self" or self._rater is self._self:
            return self._self.answer("preferences", PreferenceRequest(tuple(questions)), self._weak["preferences"])
        new = {
            k: q for k, q in zip(keys, questions, strict=True) if k not in self._answers and informative(q.candidates)
        }
        self._refuse_beyond(new)
        self._ask(new)
        return [self._answers.get(key) or _nothing_to_say(key) for key in keys]

    def _key(self, question: PreferenceQuestion) -> _Key:
        slices, height, width = self._shape
        window, shown = question.window, question.candidates
        if not (
            0 <= question.z < slices
            and 0 <= window.y <= height - window.height
            and 0 <= window.x <= width - window.width
        ):
            raise DataError(f"a question on slice {question.z}, {window}: it leaves the training split {self._shape}")
        if shown.ndim != 3 or len(shown) < 1 or shown.shape[1:] != (window.height, window.width):
            raise DataError(f"a question on slice {question.z}: candidates {shown.shape} do not fit {window}")
        return question.z, window, candidate_digests(shown)

    def _refuse_beyond(self, new: Mapping[_Key, PreferenceQuestion]) -> None:
        """Raises BudgetError when the patches asked so far and the new ones are more than the budget's share."""
        patches = {(z, window) for z, window, _ in (*self._answers, *new)}
        if not new or self._budget.patches >= 1:
            return
        shares = [charge(self._shape, window) for _, window in patches]
        if self._budget.patches == 0 or sum(shares) - max(shares) > self._budget.patches - max(shares) * 1e-6:
            raise BudgetError(
                f"{len(new)} patch preferences asked after {len(self._answers)}: together {sum(shares):.1%} of all "
                f"patches of the training split, the budget is {self._budget.patches:.1%}. Nothing was handed out.",
                "Ask about fewer patches or raise the budget (--patches).",
            )

    def _ask(self, new: Mapping[_Key, PreferenceQuestion]) -> None:
        if not new:
            return
        answers: list[PreferenceAnswer] = self._rater.answer(
            "preferences", PreferenceRequest(tuple(new.values())), self._weak["preferences"]
        )
        self._answers.update(zip(new, answers, strict=True))
        content = [(a.z, str(a.window), a.candidate_digests, a.choice) for a in answers]
        self._enter("preferences", len(answers), answers, content)

    # -------------------------------------------------------------------------------------------------------- records
    def _enter(self, kind: str, count: int, answers: Sequence[Any], content: Any) -> None:
        seconds = self._weak[kind].price(answers)
        digest = digest_of([kind, self._rater.label, content])
        entry = {"kind": kind, "count": count, "seconds": seconds, "digest": digest, "rater": self._rater.label}
        self._ledger.append(entry)

    def for_stage(self, asks: Sequence[str]) -> Desk:
        """This desk as a stage may use it: what its StageSpec does not ask for is not there."""
        return _StageDesk(self, frozenset(asks))

    def ledger(self) -> list[dict[str, Any]]:
        """What was handed out: kind, count, seconds, digest of the answers, rater. ``self`` is free and not entered."""
        return [dict(entry) for entry in self._ledger]

    def digest(self, asks: Sequence[str]) -> str:
        """Names all that decides the answers to these kinds of request, for a stage's key.

        A kind whose budget is 0 adds nothing: then neither labels nor rater decide anything.

        Raises:
            ConfigError: the rater cannot answer one of them.
        """
        shares = {"points": self._budget.points, "preferences": self._budget.patches}
        asked = {kind: shares[kind] for kind in sorted(set(asks)) if self._share(shares, kind) > 0}
        return digest_of({kind: {"share": share, **self._rater.identity(kind)} for kind, share in asked.items()})

    @staticmethod
    def _share(shares: Mapping[str, float], kind: str) -> float:
        if kind not in shares:
            raise ConfigError(f"the annotation desk has no {kind!r}.", f"A stage may ask for {', '.join(shares)}.")
        return shares[kind]

    def write(self, folder: Path, about: Mapping[str, str] | None = None) -> list[Path]:
        """Write what was handed out to ``points.csv`` and ``preferences.jsonl``, formats that a person's file has too.

        Args:
            folder: the run's directory.
            about: kept with the points (domain, split, seed, fraction).

        Returns:
            The files written; none for a kind that nobody was asked for.
        """
        handed: dict[str, Sequence[Any]] = {
            "points": list((self._points or {}).values()),
            "preferences": list(self._answers.values()),
        }
        files = {"points": folder / "points.csv", "preferences": folder / "preferences.jsonl"}
        written = [kind for kind, answers in handed.items() if answers]
        for kind in written:
            self._weak[kind].write(handed[kind], files[kind], about)
        return [files[kind] for kind in written]


def charge(shape: tuple[int, int, int], window: Window) -> float:
    """Share of the patch budget that one patch takes: 1 / N, N patches of its size covering every slice.

    Args:
        shape: (slices, rows, columns) of the split.
        window: the patch.
    """
    slices, height, width = shape
    return 1 / (slices * math.ceil(height / window.height) * math.ceil(width / window.width))


def _nothing_to_say(key: _Key) -> PreferenceAnswer:
    z, window, digests = key
    return PreferenceAnswer(z, window, None, 0.0, "nobody", candidate_digests=digests)


class _StageDesk(Desk):
    """Hands out only what a stage's key names, so that no cached stage has seen more than its key says."""

    def __init__(self, desk: AnnotationDesk, asks: frozenset[str]) -> None:
        self._desk, self._asks = desk, asks

    def points(self) -> Mapping[int, PointAnswer]:
        return self._desk.points() if "points" in self._asks else {}

    def point_budget(self) -> float:
        return self._desk.point_budget() if "points" in self._asks else 0.0

    def preferences(self, questions: Sequence[PreferenceQuestion], rater: str | None = None) -> list[PreferenceAnswer]:
        # Nobody is asked where the stage names the rater "self".
        if rater != "self" and "preferences" not in self._asks:
            raise ConfigError("this stage asks for preferences, which its StageSpec does not say (asks).")
        return self._desk.preferences(questions, rater)

    def patch_budget(self) -> float:
        return self._desk.patch_budget() if "preferences" in self._asks else 0.0

    def rng(self, what: str) -> np.random.Generator:
        return self._desk.rng(what)
