"""One rater of a data set: the queue of questions, and the answers so far."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dabench.annotation.answers import Answer

if TYPE_CHECKING:
    from dabench.annotation.preference_set import PreferenceSet
    from dabench.volumes.annotating.order import Place


class RaterQueue:
    """What is known of a rater: all of it from the rater's own file, which is read again when others wrote to it.

    Args:
        choices: the data set.
        name: of the rater.
        queue: the questions in the rater's order.

    Raises:
        DabenchError: the name is none, or the file is damaged.
    """

    def __init__(self, choices: PreferenceSet, name: str, queue: Sequence[Place]) -> None:
        """Read the file, where there is one."""
        self.name, self.queue, self.lock = name, queue, threading.Lock()
        self._choices, self._file = choices, choices.path / f"{name}.jsonl"
        self._size, self._standing = -1, dict[int, Answer]()
        self.answers()

    def answers(self) -> list[Answer]:
        """The answers that stand, in their order."""
        if self._bytes() != self._size:
            self._size = self._bytes()
            self._standing = {answer.n: answer for answer in self._choices.answers(self.name)}
        return list(self._standing.values())

    def append(self, record: Mapping[str, Any]) -> None:
        """Append an answer or an undo to the file; on disk when this returns."""
        line = self._choices.append(self.name, record)
        written = len(json.dumps(line)) + 1
        if self._bytes() != self._size + written:
            return  # another process wrote as well: all is read again
        self._size += written
        if "undo" in line:
            del self._standing[line["undo"]]
        else:
            self._standing[line["n"]] = Answer.model_validate(line)

    def open_places(self) -> Iterator[int]:
        """Places of the queue without an answer, in order; a question that was left out does not come again."""
        answers = self.answers()
        answered = {(a.question, a.repeat) for a in answers}
        skipped = {a.question for a in answers if a.answer == "skip"}
        for i, place in enumerate(self.queue):
            name = self._choices.questions[place.question].id
            if (name, place.repeat) not in answered and not (place.repeat and name in skipped):
                yield i

    def _bytes(self) -> int:
        return self._file.stat().st_size if self._file.exists() else 0
