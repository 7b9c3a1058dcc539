"""Weak labels and the annotation desk."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from dabench.errors import ConfigError, DataError
from dabench.files.digests import digest_file
from dabench.types import PointRequest

if TYPE_CHECKING:
    import numpy as np

    from dabench.interfaces.rater_errors import RaterErrors
    from dabench.ops.resampling import Resampling
    from dabench.types import Array, PointAnswer, PreferenceAnswer, PreferenceQuestion


class Truth(Protocol):
    """Dense labels of the target's training split. Only raters inside the annotation desk hold one."""

    def labels(self, z: int) -> Array:
        """``(H, W)`` uint8 {0, 1, 255} of slice ``z``."""

    def __len__(self) -> int:
        """Number of slices."""


class WeakLabel(ABC):
    """A kind of annotation: how it is simulated, stored, metered and priced. Must not hand out dense labels.

    What is said here of requests and their shares fits a kind whose request is a share of the units of some slices
    (`PointRequest`) and whose answers say their slice as ``z``; a kind that is asked otherwise says so itself.
    """

    #: Seconds one unit costs (a point, a patch); `price` may refine it.
    seconds_per_unit: float = 1.0
    #: Of the file that a run writes its answers to.
    suffix: ClassVar[str] = ".csv"
    #: Whether requests show what a model made, so that they and their answers lie on the pixels that it sees. Those of
    #: other kinds lie on the stored pixels, where a person marks them; `resampled` brings them to the model.
    of_model: ClassVar[bool] = False

    @abstractmethod
    def simulate(self, request: Any, truth: Truth, rng: np.random.Generator, error_rate: float) -> list[Any]:
        """Answer a request from truth as a person with this error rate would."""

    def simulate_person(self, request: Any, truth: Truth, rng: np.random.Generator, errors: RaterErrors) -> list[Any]:
        """Answer as a person who also errs in other ways; by default at their rate alone.

        The objects that they overlook are gone from ``truth``. Where ``errors`` is a rate alone, the answers are those
        of `simulate`.
        """
        return self.simulate(request, truth, rng, errors.rate)

    def combine(self, given: Sequence[Sequence[Any]]) -> list[Any]:
        """One list of answers of those of several raters to the same request. Raises ConfigError where none can be."""
        del given
        raise ConfigError(f"{type(self).__name__}: answers of several raters cannot be made one.")

    @abstractmethod
    def write(self, answers: Sequence[Any], path: Path, about: Mapping[str, Any] | None = None) -> None:
        """Write answers in the open file format, atomically; ``about`` is kept with them (domain, split, seed)."""

    @abstractmethod
    def read(self, path: Path) -> list[Any]:
        """Read what `write` wrote, or what a person made. Raises DataError with line and value."""

    @abstractmethod
    def match(self, request: Any, recorded: Sequence[Any]) -> list[Any]:
        """Answer a request from a person's recorded answers; what they left open is answered with "cannot say"."""

    def recorded_request(self, path: Path) -> Any | None:
        """The request that a recorded file itself holds, with all that was shown; None where only a stage knows it."""
        del path
        return None

    def check_file(self, path: Path, split: Mapping[str, Any]) -> None:
        """Raises DataError for a recorded file that says it is of other images, or lacks what it names.

        Args:
            path: what a user gave.
            split: ``domain``, ``split``, ``shape`` (of the pixels that answers lie on), ``images_digest`` of the
                target's training split.
        """

    def digest(self, path: Path) -> str:
        """Names all of a recorded file that decides an answer."""
        return digest_file(path)

    def used(self, asked: Sequence[Any], answers: Sequence[Any]) -> dict[str, int]:
        """What became of a person's answers: ``asked``, ``answered`` and ``used`` where the kind has questions.

        Args:
            asked: an answer to each question that there is, also where the person left it open.
            answers: those that were handed out.
        """
        del asked, answers
        return {}

    def answer_self(self, request: Any) -> list[Any]:
        """Answer from the request alone, as the rater ``self`` does, at no cost. Raises ConfigError where none can."""
        raise ConfigError(f"rater 'self' cannot answer {type(request).__name__}: it needs a person, or labels.")

    def resampled(self, answers: Sequence[Any], resampling: Resampling) -> list[Any]:
        """The same answers on other pixels of the same slices. Raises ConfigError where the kind has no way."""
        del answers, resampling
        raise ConfigError(
            f"{type(self).__name__}: a weak label of this kind cannot be brought to another pixel size.",
            "Leave the pixels as they are: --pixel-size native.",
        )

    # ------------------------------------------------------------------------------------------------------- metering
    def request(self, share: float, slices: Sequence[int]) -> Any | None:
        """The request for a share of all units of these slices; None where only a stage knows what to ask."""
        return PointRequest(share, tuple(slices))

    def key(self, request: Any, shape: tuple[int, int, int]) -> Hashable:
        """Names a request: one with the key of an earlier one is answered from memory.

        Raises:
            DataError: it leaves a split of this shape (slices, rows, columns).
        """
        for z in request.slices:
            if not 0 <= z < shape[0]:
                raise DataError(f"a request for slice {z}: the training split has slices 0 to {shape[0] - 1}")
        named: Hashable = request
        return named

    def charge(self, keys: Sequence[Any], shape: tuple[int, int, int]) -> float:
        """Share of the split that requests with these keys take together; what two of them ask for counts once."""
        shares: dict[int, float] = {}
        for request in keys:
            shares |= {z: max(request.fraction, shares.get(z, 0.0)) for z in request.slices}
        return sum(shares.values()) / shape[0]

    def check(self, answers: Sequence[Any], shape: tuple[int, int, int]) -> None:
        """Raises DataError, with the value, for answers that leave a split of this shape (slices, rows, columns)."""
        for answer in answers:
            if not 0 <= answer.z < shape[0]:
                raise DataError(f"an answer on slice {answer.z}: the training split has slices 0 to {shape[0] - 1}")

    def units(self, answers: Sequence[Any]) -> int:
        """How many units (points, patches, boxes) these answers hold; by default one each."""
        return len(answers)

    def price(self, answers: Sequence[Any]) -> float:
        """Seconds of a person's time that these answers cost."""
        return self.seconds_per_unit * self.units(answers)


class Desk(Protocol):
    """The annotation desk as a stage sees it: the only door to target training labels."""

    def ask(self, kind: str, request: Any = None, rater: str | None = None) -> list[Any]:
        """Ask for weak labels of a registered kind; the same request gets the same answers and is paid once.

        Args:
            kind: one of those that the stage's StageSpec asks for.
            request: of that kind; None asks for the budget's share of all slices (nothing, where the share is 0).
            rater: "self" asks no person (the request decides, at no cost); None asks the run's rater.

        Raises:
            BudgetError: the requests so far and this one go past the budget; nothing is handed out.
            ConfigError: the stage does not ask for this kind, or the rater cannot answer.
        """

    def share(self, kind: str) -> float:
        """Fraction of the target's training split for which this kind may be asked; 0 for what is not asked for."""

    def points(self) -> Mapping[int, PointAnswer]:
        """The sparse points of the target's training split, by slice, within the budget. Same answer every time."""

    def point_budget(self) -> float:
        """Share of ``points``: fraction of all centres of the target's training split that are given."""

    def preferences(self, questions: Sequence[PreferenceQuestion], rater: str | None = None) -> list[PreferenceAnswer]:
        """Ask which candidate is best on each patch.

        ``rater`` "self" asks no person (the question's hint decides, at no cost); None asks the run's rater.
        Raises BudgetError when the questions go past the patch budget; then nothing is handed out.
        """

    def recorded_questions(self) -> Sequence[PreferenceQuestion] | None:
        """Questions that people have answered on masks of their own data set: a stage trains on these masks.

        None where there is no such set: the stage makes its own questions. Pass them to `preferences` for the answers.
        """

    def patch_budget(self) -> float:
        """Share of ``preferences``: fraction of the split's patches that may be asked about."""

    def rng(self, what: str) -> np.random.Generator:
        """Generator of a draw that belongs to annotation: the same for every method and training seed."""
