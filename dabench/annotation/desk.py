"""The annotation desk: answers requests for weak labels, meters their cost, refuses past the budget.

It alone opens the target's training labels during a run, to answer, and lets go of them. Methods get a desk, never
truth. What a kind of label is, how a share of it is counted and what it costs, the weak label says (`WeakLabel`).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from dabench.annotation.raters import Rater, RecordedRater, SelfRater, TruthRater, draw_rng
from dabench.annotation.stage_desk import StageDesk
from dabench.errors import BudgetError, ConfigError, DataError, UnknownNameError
from dabench.files.digests import digest_of
from dabench.interfaces import Budget, Desk, RaterErrors, Truth, WeakLabel
from dabench.ops.agreement import Clicks
from dabench.ops.choice import candidate_digests, informative
from dabench.ops.resampling import Resampling
from dabench.types import Array, PointAnswer, PreferenceAnswer, PreferenceQuestion, PreferenceRequest, Window

_Question = tuple[int, Window, tuple[str, ...]]
RATERS = ("truth", "self", "recorded")
#: Points that are held out, at least; fewer choose nothing, and then all train and all judge.
_FEWEST = 5


class AnnotationDesk(Desk):
    """The desk of one run, over the target's training split.

    Args:
        truth: dense labels of the split, or what opens them at each question; None where it has none.
        shape: (slices, rows, columns) of the split.
        budget: share of each kind that may be annotated.
        weak_labels: kinds of annotation by name.
        rater: who answers the kinds that no file is given for: ``truth`` (simulated), ``self`` (no person), or
            ``recorded``: every kind needs a file.
        rater_error: errors of the simulated rater, or their rate alone.
        seed: of the draw; the same for every method and training seed, so that all see the same points.
        recorded: kind of annotation -> a person's file: these kinds are answered from it.
        label_digest: names the content of the labels; part of a stage's key once the labels decide an answer.
        resampling: what brings stored slices to the pixels that the model sees; None where those are the same. Answers
            are given, metered and written on the stored ones, and handed out on the model's (`WeakLabel.of_model`).
        seen: the labels on the model's pixels, or what opens them.
        about: what recorded files are compared with (`WeakLabel.check_file`).
        allow_unanswered: whether a run may use less than half of the questions of a person's file.
        held_out: share of a person's points that no stage is given: a choice without labels is judged by them
            (`clicks`). Of the simulated rater's none is.
    """

    def __init__(
        self,
        truth: Truth | Callable[[], Truth] | None,
        shape: tuple[int, int, int],
        budget: Budget,
        weak_labels: Mapping[str, WeakLabel],
        rater: str = "truth",
        rater_error: RaterErrors | float = 0.0,
        seed: int = 0,
        recorded: Mapping[str, Path] | None = None,
        label_digest: str = "",
        resampling: Resampling | None = None,
        seen: Truth | Callable[[], Truth] | None = None,
        about: Mapping[str, Any] | None = None,
        *,
        allow_unanswered: bool = False,
        held_out: float = 0.0,
    ) -> None:
        """Read nothing yet. Raises ConfigError for settings that contradict each other."""
        for name, share in budget.shares.items():
            if not 0 <= share <= 1:
                raise ConfigError(f"budget of {name} = {share}: expected a share between 0 and 1")
        if rater not in RATERS:
            raise ConfigError(f"rater {rater!r}: use one of {', '.join(RATERS)}")
        self._shape, self._budget, self._weak, self._seed = shape, budget, dict(weak_labels), seed
        self._resampling = resampling
        self._about, self._allow_unanswered, self._share_held_out = dict(about or {}), allow_unanswered, held_out
        self._self, self._recorded = SelfRater(), RecordedRater(recorded or {})
        raters: dict[str, Rater] = {
            "truth": TruthRater(truth, seed, rater_error, label_digest, seen),
            "self": self._self,
            "recorded": self._recorded,
        }
        self._default = raters[rater]
        self._raters: dict[str, Rater] = dict.fromkeys(recorded or {}, self._recorded)
        #: What was handed out, by kind and key of the request.
        self._given: dict[str, dict[Hashable, list[Any]]] = {}
        self._preferences: dict[_Question, PreferenceAnswer] = {}
        self._ledger: list[dict[str, Any]] = []

    # --------------------------------------------------------------------------------------------------------- asking
    def ask(self, kind: str, request: Any = None, rater: str | None = None) -> list[Any]:
        """Ask for weak labels of any registered kind; see `Desk.ask`."""
        if rater not in (None, "self"):
            raise ConfigError(f"rater {rater!r}: a stage may name 'self' or leave it to the run")
        weak = self._label(kind)
        if request is None:
            request = weak.request(self.share(kind), range(self._shape[0]))
            if request is None:
                raise ConfigError(f"weak label {kind!r} has no request of its own: the stage must give the questions.")
            if not self.share(kind):
                return []
        if rater == "self" or self.rater(kind) is self._self:
            weak.key(request, self._shape_for(weak))
            return self._self.answer(kind, request, weak)
        answers = self._handed_out(kind, request)
        return self._seen(weak, self._for_training(answers) if kind == "points" else answers)

    def _handed_out(self, kind: str, request: Any) -> list[Any]:
        """Answers on the pixels that they were given on, asked and paid for once."""
        given, key = self._given.setdefault(kind, {}), self._weak[kind].key(request, self._shape_for(self._weak[kind]))
        if key not in given:
            self._refuse_beyond(kind, [*given, key])
            given[key] = self._answers(kind, request)
        return given[key]

    def _for_training(self, answers: list[PointAnswer]) -> list[PointAnswer]:
        """Points without those that are held out; what regions say of the count stays."""
        held = self._held
        return [dataclasses.replace(a, points=a.points[~held[a.z]]) if a.z in held else a for a in answers]

    @cached_property
    def _held(self) -> dict[int, Array]:
        """Which of a person's points are held out, ``(N,)`` bool by slice: the same draw for every method."""
        rater = self.rater("points")
        if not self._share_held_out or not isinstance(rater, RecordedRater):
            return {}
        answers: list[PointAnswer] = rater.recorded(self._weak, "points")
        lengths = [len(answer.points) for answer in answers]
        count = math.floor(self._share_held_out * sum(lengths) + 1e-9)
        if count < _FEWEST:
            return {}
        held = self.rng("held-out points").permutation(sum(lengths)) < count
        return {a.z: part for a, part in zip(answers, np.split(held, np.cumsum(lengths)[:-1]), strict=True)}

    def rater(self, kind: str) -> Rater:
        """Who answers a kind."""
        return self._raters.get(kind, self._default)

    def use(self, kind: str, rater: Rater) -> None:
        """Let another rater answer a kind."""
        self._raters[kind] = rater

    def _shape_for(self, weak: WeakLabel) -> tuple[int, int, int]:
        """Of the split on the pixels that answers lie on."""
        return (self._shape[0], *self._resampling.target) if self._resampling and weak.of_model else self._shape

    def _seen(self, weak: WeakLabel, answers: list[Any]) -> list[Any]:
        """Answers on the pixels that the model sees. Raises ConfigError where their kind has no way there."""
        return weak.resampled(answers, self._resampling) if self._resampling and not weak.of_model else answers

    def share(self, kind: str) -> float:
        """Share of the split for which a kind may be asked. Raises UnknownNameError for one that is not registered."""
        self._label(kind)
        return self._budget.share(kind)

    def _label(self, kind: str) -> WeakLabel:
        if kind not in self._weak:
            raise UnknownNameError("weak label", kind, self._weak)
        return self._weak[kind]

    def _refuse_beyond(self, kind: str, keys: Sequence[Hashable]) -> None:
        """Raises BudgetError when all that was asked so far and the new request take more than the kind's share."""
        budget, charged = self.share(kind), self._weak[kind].charge(keys, self._shape_for(self._weak[kind]))
        if budget == 0 or charged > budget + 1e-9:
            raise BudgetError(
                f"{kind}: the requests so far and this one take {charged:.1%} of the training split, "
                f"but the budget is {budget:.1%}. No answers were given.",
                f"Ask for less, or raise the budget ({_option(kind)}).",
            )

    def _answers(self, kind: str, request: Any) -> list[Any]:
        weak, rater = self._weak[kind], self.rater(kind)
        answers = rater.answer(kind, request, weak)
        self._check(kind, answers)
        used: dict[str, int] = {}
        if isinstance(rater, RecordedRater):
            # A file with questions of its own is asked about all of them, another one about those of the stage.
            asked = answers if rater.request(weak, kind) is None else rater.recorded(self._weak, kind)
            used = weak.used(asked, answers)
            self._refuse_unanswered(kind, used)
        content = digest_of([kind, rater.label, plain(answers)])
        entry = {"kind": kind, "count": weak.units(answers), "seconds": weak.price(answers), "digest": content}
        self._ledger.append(entry | {"rater": rater.label} | used)
        return answers

    def _refuse_unanswered(self, kind: str, used: Mapping[str, int]) -> None:
        """Raises DataError where a person's file answers less than half of what is asked."""
        asked, count = used.get("asked", 0), used.get("used", 0)
        if asked and 2 * count < asked and not self._allow_unanswered:
            raise DataError(
                f"{self._recorded.file(kind)}: of {asked} questions {used['answered']} are answered and {count} of the "
                f"answers can be used ({count / asked:.0%}); at least half are needed.",
                "Answer more of them, check that the file belongs to this run, or allow it: --allow-unanswered.",
            )

    def _check(self, kind: str, answers: Sequence[Any]) -> None:
        """Raises DataError for answers that leave the split; names the file that they were recorded in."""
        try:
            self._weak[kind].check(answers, self._shape_for(self._weak[kind]))
        except DataError as error:
            if self.rater(kind) is not self._recorded:
                raise
            raise DataError(f"{self._recorded.file(kind)}: {error.message}", error.mend) from None

    def check(self, asks: Iterable[str]) -> None:
        """Refuse, before anything trains, kinds and recorded answers that cannot be of this split. Hands out nothing.

        Args:
            asks: kinds of annotation that some stage asks for.

        Raises:
            DataError: a recorded file cannot be read, is empty, or leaves the training split; names file and value.
            ConfigError: a kind cannot be brought to the pixel size of the model.
        """
        for kind in sorted(kind for kind in set(asks) if self.share(kind) > 0):
            self._seen(self._label(kind), [])
            if self.rater(kind) is self._recorded:
                self._check_recorded(kind)

    def _check_recorded(self, kind: str) -> None:
        weak, path = self._weak[kind], self._recorded.file(kind)
        weak.check_file(path, {**self._about, "shape": self._shape_for(weak)})
        answers = self._recorded.recorded(self._weak, kind)
        self._check(kind, answers)
        if not weak.units(answers):
            raise DataError(f"{path}: contains no {kind}.", "The formats are in docs/annotation.md.")
        if self._recorded.request(weak, kind) is not None:
            self._refuse_unanswered(kind, weak.used(answers, answers))

    # --------------------------------------------------------------------------------------------- points, preferences
    def points(self) -> Mapping[int, PointAnswer]:
        """The sparse points of the split by slice; none at a budget of 0. Drawn and paid for once."""
        if not self._budget.points:
            return {}
        return {answer.z: answer for answer in self.ask("points")}

    def point_budget(self) -> float:
        """Share of all centres of the split that are given."""
        return self._budget.points

    @property
    def held_out(self) -> int:
        """How many of a person's points no stage is given; 0 where so few would choose nothing."""
        return sum(int(part.sum()) for part in self._held.values())

    def clicks(self, asks: Sequence[str], *, held_out: bool = True) -> dict[int, Clicks]:
        """What the points say of a model, by slice of those that say anything; nothing where no stage asks for points.

        Args:
            asks: what the stages of the run ask for.
            held_out: judge by the points that no stage was given, where there are any.
        """
        if "points" not in asks or not self._budget.points:
            return {}
        weak = self._label("points")
        answers = self._handed_out("points", weak.request(self._budget.points, range(self._shape[0])))
        found = {answer.z: self._clicks(answer, held_out=held_out) for answer in self._seen(weak, answers)}
        return {z: clicks for z, clicks in found.items() if clicks}

    def _clicks(self, answer: PointAnswer, *, held_out: bool) -> Clicks:
        nothing = np.zeros(len(answer.points), bool)
        judged = self._held.get(answer.z, nothing) if held_out and self._held else None
        return Clicks.of(answer, self._budget.points, judged)

    def patch_budget(self) -> float:
        """Share of all patches of the split that may be asked about."""
        return self._budget.patches

    def preferences(self, questions: Sequence[PreferenceQuestion], rater: str | None = None) -> list[PreferenceAnswer]:
        """Ask which candidate is best on each patch; answers in the order of the questions.

        A patch whose candidates are all equal is not asked, not paid and answered with None. A question asked before
        is answered from memory; ``self`` is free.

        Raises:
            BudgetError: the questions go past the budget; nothing was handed out.
            ConfigError: another rater than ``self`` was named, or the rater cannot answer.
        """
        weak = self._label("preferences")
        weak.key(PreferenceRequest(tuple(questions)), self._shape_for(weak))
        if rater is not None or self.rater("preferences") is self._self:
            return self.ask("preferences", PreferenceRequest(tuple(questions)), rater)
        keys = [(q.z, q.window, candidate_digests(q.candidates)) for q in questions]
        known = self._preferences
        new = {k: q for k, q in zip(keys, questions, strict=True) if k not in known and informative(q.candidates)}
        if new:
            known.update(zip(new, self.ask("preferences", PreferenceRequest(tuple(new.values()))), strict=True))
        return [known.get(key) or _nothing_to_say(key) for key in keys]

    def recorded_questions(self) -> Sequence[PreferenceQuestion] | None:
        """Questions of a person's data set that were answered, with their masks; None without a set."""
        if self.rater("preferences") is not self._recorded or not self.patch_budget():
            return None
        weak = self._label("preferences")
        request = self._recorded.request(weak, "preferences")
        return None if request is None else request.questions

    def rng(self, what: str) -> np.random.Generator:
        """Generator of a draw that belongs to annotation; seeded by the budget's seed, never by the training seed."""
        return draw_rng(what, self._seed)

    # -------------------------------------------------------------------------------------------------------- records
    def for_stage(self, asks: Sequence[str]) -> Desk:
        """This desk as a stage may use it: what its StageSpec does not ask for is not there."""
        return StageDesk(self, frozenset(asks))

    def ledger(self) -> list[dict[str, Any]]:
        """What was handed out: kind, count, seconds, digest of the answers, rater. ``self`` is free and not entered."""
        return [dict(entry) for entry in self._ledger]

    def digest(self, asks: Sequence[str]) -> str:
        """Names all that decides the answers to these kinds of request, for a stage's key.

        A kind whose budget is 0 adds nothing: then neither labels nor rater decide anything.

        Raises:
            ConfigError: the rater cannot answer one of them.
            UnknownNameError: no weak label of that name is registered.
        """
        asked = {kind: self.share(kind) for kind in sorted(set(asks)) if self.share(kind) > 0}
        named = {kind: self.rater(kind).identity(kind, self._weak[kind]) for kind in asked}
        if "points" in named and self._share_held_out and isinstance(self.rater("points"), RecordedRater):
            named["points"]["held_out"] = self._share_held_out
        return digest_of({kind: {"share": share, **named[kind]} for kind, share in asked.items()})

    def write(self, folder: Path, about: Mapping[str, Any] | None = None) -> list[Path]:
        """Write what was handed out, a file or folder a kind (``points.csv``), in formats that a person's has too.

        Args:
            folder: the run's directory.
            about: kept with the answers (domain, split, seed), and the kind's share as ``fraction``.

        Returns:
            What was written; nothing for a kind that was not requested.
        """
        written = []
        for kind, given in sorted(self._given.items()):
            answers, weak = [answer for part in given.values() for answer in part], self._weak[kind]
            if answers:
                path = folder / f"{kind}{weak.suffix}"
                weak.write(answers, path, {**(about or {}), "fraction": str(self.share(kind))})
                written.append(path)
        return written


def plain(answer: Any) -> Any:
    """An answer as plain values: what decides whether two are the same, and the digest of what was handed out."""
    if dataclasses.is_dataclass(answer) and not isinstance(answer, type):
        values = {f: getattr(answer, f.name) for f in dataclasses.fields(answer) if f.compare}
        # What came later counts where it is used: answers without it keep their digests.
        return {f.name: plain(v) for f, v in values.items() if not (v is None and f.metadata.get("optional"))}
    if isinstance(answer, np.ndarray | np.generic):
        return answer.tolist()
    if isinstance(answer, Mapping):
        return {str(key): plain(value) for key, value in answer.items()}
    if isinstance(answer, Sequence) and not isinstance(answer, str):
        return [plain(part) for part in answer]
    return answer if answer is None or isinstance(answer, bool | int | float | str) else str(answer)


def _option(kind: str) -> str:
    return {"points": "--points", "preferences": "--patches"}.get(kind, f"--set budget.shares.{kind}=…")


def _nothing_to_say(key: _Question) -> PreferenceAnswer:
    z, window, digests = key
    return PreferenceAnswer(z, window, (), 0.0, "nobody", candidate_digests=digests)
