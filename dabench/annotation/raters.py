"""Raters, who answer at the annotation desk: simulated from truth, no person (self), or a person's recorded file."""

from __future__ import annotations

import dataclasses
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dabench.annotation.truth import opened
from dabench.errors import ConfigError, DataError
from dabench.interfaces import RaterErrors, Truth, WeakLabel
from dabench.ops.components import label_components
from dabench.types import Array, PointAnswer, PointRequest

#: Shorter ways to say what a user gives so that somebody answers, and what asks nobody.
_GIVE = {
    "points": "(--points clicks.csv)",
    "preferences": "(--preferences choices), or use --po upo, which needs none",
}
_NONE = {"points": "--points 0", "preferences": "--patches 0"}


def _mend(kind: str) -> str:
    give = _GIVE.get(kind, f"(--set budget.files.{kind}=FILE)")
    none = _NONE.get(kind, f"budget.shares.{kind}=0")
    return (
        f"Give a file of {kind} {give}, simulate them from labels (--rater truth), or set their budget to 0 ({none})."
    )


class Rater(ABC):
    """Answers requests for one kind of annotation after another. Knows nothing of budgets."""

    #: What rows and files call it.
    label: str

    @abstractmethod
    def answer(self, kind: str, request: Any, weak: WeakLabel) -> list[Any]:
        """Answer a request; the same request gets the same answer. Raises ConfigError or DataError where it cannot."""

    @abstractmethod
    def identity(self, kind: str, weak: WeakLabel) -> dict[str, Any]:
        """All that decides its answers, for a stage's key. Raises ConfigError or DataError where it cannot answer."""


class TruthRater(Rater):
    """Simulates a person from dense labels, with errors. The row says ``simulated``.

    Args:
        truth: dense labels of the training split, or what opens them; None where it has none.
        seed: of the draw; not the training seed, so that every method and training seed sees the same answers.
        errors: the person's errors, or their rate alone.
        label_digest: names the content of the labels.
        seen: the same labels on the pixels that a model sees; None where those are the same.
        number: of several raters, from 0; each errs on other questions and overlooks other objects.
    """

    def __init__(
        self,
        truth: Truth | Callable[[], Truth] | None,
        seed: int,
        errors: RaterErrors | float,
        label_digest: str,
        seen: Truth | Callable[[], Truth] | None = None,
        number: int = 0,
    ) -> None:
        self._errors = errors if isinstance(errors, RaterErrors) else RaterErrors(errors)
        self.label = self._errors.label + (f" rater={number}" if number else "")
        self._truth, self._seed, self._digest, self._number = truth, seed, label_digest, number
        self._seen = seen or truth

    def answer(self, kind: str, request: Any, weak: WeakLabel) -> list[Any]:
        self._need_truth(kind)
        held = self._seen if weak.of_model else self._truth
        assert held is not None
        truth = opened(held)
        if self._errors.missed:
            truth = Overlooked(truth, self._errors.missed, self._seed, self._number)
        answers = weak.simulate_person(request, truth, draw_rng(kind, self._seed, self._number), self._errors)
        return [_signed(answer, self.label) for answer in answers]

    def identity(self, kind: str, weak: WeakLabel) -> dict[str, Any]:
        del weak
        self._need_truth(kind)
        more = self._errors.others | ({"number": self._number} if self._number else {})
        return {"rater": "truth", "error": self._errors.rate, **more, "seed": self._seed, "labels": self._digest}

    def _need_truth(self, kind: str) -> None:
        if self._truth is None:
            raise DataError(
                f"the target's training split has no labels from which {kind} could be simulated.",
                _mend(kind),
            )


class Overlooked:
    """Labels as seen by a person who overlooks a share of all objects and sees background there.

    Args:
        truth: the labels.
        share: of the 8-connected components of a slice, each overlooked with this probability.
        seed: of the draw; a slice's depends on no other slice.
        number: of the rater.
    """

    def __init__(self, truth: Truth, share: float, seed: int, number: int = 0) -> None:
        self._truth, self._share = truth, share
        self._seed = [seed, zlib.crc32(b"overlooked"), number]

    def labels(self, z: int) -> Array:
        """``(H, W)`` uint8 {0, 1, 255} of slice ``z``."""
        label = self._truth.labels(z)
        objects = label_components(label == 1)
        gone = np.random.default_rng([*self._seed, z]).random(int(objects.max()) + 1) < self._share
        gone[0] = False
        seen: Array = np.where(gone[objects], 0, label).astype(np.uint8)
        return seen

    def __len__(self) -> int:
        """Number of slices."""
        return len(self._truth)


class SelfRater(Rater):
    """Asks no person: the weak label answers from the request (UPO, Prefer-DAS Eq. 11). Costs nothing."""

    label = "self"

    def answer(self, kind: str, request: Any, weak: WeakLabel) -> list[Any]:
        self.identity(kind, weak)
        return weak.answer_self(request)

    def identity(self, kind: str, weak: WeakLabel) -> dict[str, Any]:
        if type(weak).answer_self is WeakLabel.answer_self:
            raise ConfigError(
                f"rater 'self' cannot give {kind}, which need a person or labels.", f"Set the budget of {kind} to 0."
            )
        return {"rater": "self"}


class RecordedRater(Rater):
    """Looks answers up in a person's files.

    Args:
        files: kind of annotation -> file in that kind's open format.
    """

    label = "recorded"

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = {kind: Path(path) for kind, path in files.items()}
        self._read: dict[str, list[Any]] = {}
        self._requests: dict[str, Any] = {}

    def answer(self, kind: str, request: Any, weak: WeakLabel) -> list[Any]:
        return weak.match(request, self.recorded({kind: weak}, kind))

    def recorded(self, weak: Mapping[str, WeakLabel], kind: str) -> list[Any]:
        """All answers of a kind's file; read once. Raises ConfigError or DataError."""
        if kind not in self._read:
            self._read[kind] = weak[kind].read(self.file(kind))
        return self._read[kind]

    def request(self, weak: WeakLabel, kind: str) -> Any | None:
        """The request that a kind's file holds itself, read once; None where only a stage knows what to ask."""
        if kind not in self._requests:
            self._requests[kind] = weak.recorded_request(self.file(kind))
        return self._requests[kind]

    def identity(self, kind: str, weak: WeakLabel) -> dict[str, Any]:
        return {"rater": "recorded", "file": weak.digest(self.file(kind))}

    def file(self, kind: str) -> Path:
        """The file with a kind of answers. Raises ConfigError where none was given, DataError where it is not there."""
        path = self._files.get(kind)
        if path is None:
            raise ConfigError(f"rater 'recorded' has no file with {kind}.", _mend(kind))
        if not path.exists():
            raise DataError(f"{path}: no such file with recorded {kind}.")
        return path


class AskedRater(Rater):
    """Answers nothing and notes what it was asked: the questions of a data set that people will answer.

    Attributes:
        requests: in the order in which they came.
    """

    label = "no rater yet"

    def __init__(self) -> None:
        """Nothing was asked yet."""
        self.requests: list[Any] = []

    def answer(self, kind: str, request: Any, weak: WeakLabel) -> list[Any]:
        del kind
        self.requests.append(request)
        return weak.match(request, [])

    def identity(self, kind: str, weak: WeakLabel) -> dict[str, Any]:
        del kind, weak
        return {"rater": self.label}


def _signed(answer: Any, label: str) -> Any:
    """An answer under the rater's whole name; weak labels know the rate alone."""
    if not isinstance(getattr(answer, "rater", None), str) or answer.rater == label:
        return answer
    return dataclasses.replace(answer, rater=label)


def draw_rng(kind: str, seed: int, number: int = 0) -> np.random.Generator:
    """The generator of one kind's draw: the same for every method, training seed and moment of asking.

    Args:
        kind: of annotation.
        seed: of the budget.
        number: of the rater, where several answer.
    """
    return np.random.default_rng([seed, zlib.crc32(kind.encode()), *([number] if number else [])])


def simulate_points(weak: WeakLabel, truth: Truth, share: float, seed: int) -> dict[int, PointAnswer]:
    """Points of a share of all components of a split, by slice: interactive test prompts (Prefer-DAS+).

    Args:
        weak: the weak label ``points``.
        truth: dense labels of the split.
        share: fraction of components in [0, 1].
        seed: of the draw.
    """
    request = PointRequest(share, tuple(range(len(truth))))
    answers: Sequence[PointAnswer] = weak.simulate(request, truth, draw_rng("points", seed), 0.0)
    return {answer.z: answer for answer in answers}
