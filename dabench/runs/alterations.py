"""What was found altered and is made again: recorded in any case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dabench.interfaces.observer import Observer
from dabench.tracking.events import Altered
from dabench.tracking.journal import Journal


class Alterations(Observer):
    """Hands on all that it is told, and has the journal say what was altered."""

    def __init__(self, observer: Observer, known: Sequence[Altered] = ()) -> None:
        """``known`` is what another process found before, in stages that this run reads."""
        self._observer, self._known = observer, tuple(known)
        self._journal: Journal | None = None
        #: What was found in this process.
        self.found: list[Altered] = []

    def write_to(self, journal: Journal) -> None:
        """Write what is known so far, and from now on whatever is found."""
        self._journal = journal
        for event in (*self._known, *self.found):
            journal.append(event)

    def begun(self, work: str, total: int, state: str = "new") -> None:
        self._observer.begun(work, total, state)

    def advanced(self, work: str, done: int, total: int, values: Mapping[str, float] | None = None) -> None:
        self._observer.advanced(work, done, total, values)

    def ended(self, work: str, status: str, values: Mapping[str, float] | None = None, reason: str = "") -> None:
        if status == "altered":
            self.found.append(Altered(work, reason))
            if self._journal is not None:
                self._journal.append(self.found[-1])
        self._observer.ended(work, status, values, reason)
