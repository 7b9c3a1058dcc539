"""The page on which people say which candidate mask is best: what it shows next, and what was answered."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from dabench.errors import ConfigError
from dabench.ops.choice import disagreement
from dabench.ops.pictures import levels
from dabench.volumes.annotating.order import Place, candidate_order, question_order, with_repeats
from dabench.volumes.annotating.outlines import outline, png
from dabench.volumes.annotating.rater_queue import RaterQueue
from dabench.volumes.annotating.server import Pictures, StaleError

if TYPE_CHECKING:
    from dabench.annotation.preference_set import PreferenceSet, Question
    from dabench.types import Array

#: Seconds a question before any was answered.
_GUESS = 5.0
#: Answers whose seconds say how long the next ones take.
_RECENT = 30
#: Percentiles of the grey values that are shown black and white.
_SHOWN = (0.5, 99.5)
#: Questions whose drawing is kept: those that raters see now and next.
_DRAWN = 64
_Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]


@dataclass(frozen=True)
class Asking:
    """How questions are asked.

    Attributes:
        order: ``random``, or ``informative``: those first whose candidates differ most.
        random_share: share of questions drawn at random all the same, so that estimates can be made from these.
        repeats: share of questions that come a second time.
        seed: of order, repeats and the candidates' places; written with every answer.
        idle: seconds without a movement after which a question's time stands still.
    """

    order: Literal["random", "informative"] = "random"
    random_share: float = 0.3
    repeats: float = 0.08
    seed: int = 0
    idle: float = 30.0


class _Drawn(NamedTuple):
    """What a question looks like to every rater: outlines as stored, and how many slices there are around it."""

    picture: bytes
    outlines: tuple[str, ...]
    differ: str
    before: int
    after: int


class Given(BaseModel):
    """What the page sends: the place in the queue, the kind of answer, and the chosen places as they were shown."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    item: int = Field(ge=0)
    answer: Literal["choose", "tie", "bad", "skip"]
    places: tuple[int, ...] = ()
    seconds: _Seconds


@dataclass
class Session:
    """A data set that is being answered. All that is known of a rater is read from the rater's own file."""

    choices: PreferenceSet
    asking: Asking = field(default_factory=Asking)

    def __post_init__(self) -> None:
        """Fix the order of the questions. Raises ConfigError for a set that cannot be answered here."""
        if not self.choices.path.is_dir():
            raise ConfigError(f"{self.choices.path}: answers cannot be added to a zip.", "Unpack it first.")
        if not self.choices.manifest.images:
            raise ConfigError(
                f"{self.choices.path}: contains masks but no images to show.",
                "Answer the set where it was made, or export it again with its images.",
            )
        questions, scores = self.choices.questions, None
        if self.asking.order == "informative":
            scores = [disagreement(self.choices.masks(question)) for question in questions]
        self._order = question_order(scores, len(questions), self.asking.random_share, self.asking.seed)
        self._queue("anyone")  # a share that is none is said before the page opens
        self.pictures = Pictures()
        self._drawn = lru_cache(maxsize=_DRAWN)(self._draw)
        self._raters: dict[str, RaterQueue] = {}

    def rater(self, name: str) -> RaterQueue:
        """A rater, with every question in the rater's order and those that come again. Raises DabenchError."""
        if name not in self._raters:
            self._raters.setdefault(name, RaterQueue(self.choices, name, self._queue(name)))
        return self._raters[name]

    def _queue(self, name: str) -> list[Place]:
        return with_repeats(self._order, self.asking.repeats, self.asking.seed, name)

    # -------------------------------------------------------------------------------------------------------- reading
    def state(self, rater: str) -> dict[str, Any]:
        """What the page of a rater shows: progress, and the question that is due.

        Raises:
            DabenchError: the name is none, or the rater's file is damaged.
        """
        known = self.rater(rater)
        with known.lock:
            answers, left = known.answers(), list(known.open_places())
        times = [a.seconds for a in answers[-_RECENT:]]
        paid = len({a.question for a in answers if a.answer != "skip"})
        return {
            "done": len(answers),
            "total": len(answers) + len(left),
            "left": len(left),
            "seconds": median(times) if times else _GUESS,
            "recent": times,
            "budget": f"budget {paid}/{len(self.choices.questions)}",
            "undo": bool(answers),
            "item": self._item(rater, left[0], known.queue[left[0]]) if left else None,
            "command": f"dabench run … --preferences {self.choices.path.name}",
        }

    def upcoming(self, rater: str) -> str | None:
        """Draw the question behind the one that is due, while the rater looks at that; the digest of its picture."""
        known = self.rater(rater)
        with known.lock:
            behind = next(islice(known.open_places(), 1, None), None)
        if behind is None:
            return None
        return self.pictures.add(self._drawn(known.queue[behind].question).picture, "png")

    def _item(self, rater: str, number: int, place: Place) -> dict[str, Any]:
        """A question as the page sees it: nothing tells which candidate is which, or whether it comes again."""
        question, drawn = self.choices.questions[place.question], self._drawn(place.question)
        window, context = question.window, question.context
        return {
            "number": number,
            "picture": self.pictures.add(drawn.picture, "png"),
            "size": [context.height, context.width],
            "frame": [window.y - context.y, window.x - context.x, window.height, window.width],
            "candidates": [drawn.outlines[i] for i in self._shown(rater, question, repeat=place.repeat)],
            "differ": drawn.differ,
            "before": drawn.before,
            "after": drawn.after,
        }

    def _draw(self, index: int) -> _Drawn:
        question = self.choices.questions[index]
        masks, window, context = self.choices.masks(question), question.window, question.context
        y, x = window.y - context.y, window.x - context.x
        differ: Array = np.logical_xor(masks.any(axis=0), masks.all(axis=0))
        return _Drawn(
            self._png(question, 0),
            tuple(outline(mask, y, x) for mask in masks),
            outline(differ, y, x),
            self._neighbours(question, -1),
            self._neighbours(question, 1),
        )

    def _shown(self, rater: str, question: Question, *, repeat: bool) -> list[int]:
        return candidate_order(len(question.digests), self.asking.seed, rater, question.id, repeat=repeat)

    def section(self, rater: str, number: int, dz: int) -> str:
        """Digest of the picture of a neighbouring slice. Raises ConfigError where there is none."""
        place = self.rater(rater).queue[number : number + 1]
        if not place:
            raise ConfigError(f"there is no question {number}.")
        return self.pictures.add(self._png(self.choices.questions[place[0].question], dz), "png")

    def _png(self, question: Question, dz: int) -> bytes:
        """A slice with the contrast of the one in question stretched, so that slices stay comparable."""
        low, high = np.percentile(self._image(question, 0), _SHOWN)
        image = self._image(question, dz)
        return png(levels(image, float(low), float(high)) if high > low else image)

    def _image(self, question: Question, dz: int) -> Array:
        image = self.choices.image(question, dz)
        if image is None:
            raise ConfigError(f"question {question.id}: the set has no picture of slice {question.z + dz}.")
        return image

    def _neighbours(self, question: Question, step: int) -> int:
        """Slices in one direction that the set has pictures of."""
        dz = step
        while self.choices.image(question, dz) is not None:
            dz += step
        return abs(dz) - 1

    # -------------------------------------------------------------------------------------------------------- writing
    def answer(self, rater: str, given: Given) -> None:
        """Write an answer to the question that the rater sees; it is on disk when this returns.

        Raises:
            StaleError: the rater sees another question by now.
            DabenchError: places that were not shown, or a file that cannot be written.
        """
        known = self.rater(rater)
        with known.lock:
            due = next(known.open_places(), None)
            if due != given.item:
                raise StaleError("This question was answered in another window; here is the next one.")
            place = known.queue[due]
            question = self.choices.questions[place.question]
            shown = self._shown(rater, question, repeat=place.repeat)
            if any(not 0 <= p < len(shown) for p in given.places):
                raise ConfigError(f"places {list(given.places)}: the question shows {len(shown)} candidates.")
            record = {
                "question": question.id,
                "shown": shown,
                "answer": given.answer,
                "chosen": sorted(shown[p] for p in given.places),
                "seconds": given.seconds,
                "repeat": place.repeat,
                "draw": question.draw or place.draw,
                "seed": self.asking.seed,
            }
            known.append(record)

    def undo(self, rater: str) -> None:
        """Take the last answer that stands back, by a line of its own. Raises StaleError where there is none."""
        known = self.rater(rater)
        with known.lock:
            answers = known.answers()
            if not answers:
                raise StaleError("There is nothing to undo.")
            known.append({"undo": answers[-1].n})
