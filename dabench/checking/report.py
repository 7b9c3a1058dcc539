"""What a check of a run found: named checks, each ok, failed, marked, or not checked with the reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OK, FAILED, NOT_CHECKED, OTHER_DATA = "ok", "failed", "not checked", "other data"
#: The verdict on a run that did not end well and says so: there is nothing that could be verified.
NO_RESULT = "no result"
#: Nothing is known to be wrong, and it cannot be shown right here; what comes first decides the word for the run.
TOO_GOOD, TEST_OPENED, OTHER_CODE, OTHER_MACHINE = "too good", "test opened", "other code", "other machine"
MARKS = (TOO_GOOD, TEST_OPENED, OTHER_DATA, OTHER_CODE, OTHER_MACHINE)

#: Problems that one check lists; more are counted.
_LISTED = 8


@dataclass(frozen=True)
class Check:
    """One named check. ``lines`` are its problems, or why it was not made, or what was found in order."""

    name: str
    state: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class RunReport:
    """All checks of one run directory. ``origin`` is whose run it is, ``status`` how it says that it ended."""

    path: Path
    cell_id: str
    status: str
    origin: str
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether no check failed; some may not have been made."""
        return not self.failed

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that found something wrong."""
        return tuple(c for c in self.checks if c.state == FAILED)

    @property
    def verdict(self) -> str:
        """``failed``; ``no result`` of a run that did not end well; the first of `MARKS` that is there; else ``ok``."""
        states = {check.state for check in self.checks}
        if FAILED not in states and self.status != OK:
            return NO_RESULT
        return next((state for state in (FAILED, *MARKS) if state in states), OK)

    @property
    def unchecked(self) -> tuple[Check, ...]:
        """The checks that could not be made here."""
        return tuple(c for c in self.checks if c.state == NOT_CHECKED)

    def problems(self) -> list[str]:
        """Every problem with the name of its check."""
        return [f"{check.name}: {line}" for check in self.failed for line in check.lines]

    def as_json(self) -> dict[str, Any]:
        """Everything, for a program."""
        checks = [{"name": c.name, "state": c.state, "lines": list(c.lines)} for c in self.checks]
        about = {"cell_id": self.cell_id, "directory": self.path.name, "origin": self.origin, "status": self.status}
        return {**about, "ok": self.ok, "verdict": self.verdict, "checks": checks}


@dataclass
class Findings:
    """Collects what one check sees: a problem outweighs a mark, which outweighs reasons for not checking."""

    problems: list[str] = field(default_factory=list)
    marks: list[tuple[str, str]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def problem(self, text: str) -> None:
        """Something is wrong."""
        self.problems.append(text)

    def mark(self, state: str, text: str) -> None:
        """Nothing is known to be wrong, but it cannot be shown right here; ``state`` is one of `MARKS`."""
        self.marks.append((state, text))

    def skip(self, reason: str) -> None:
        """Something that belongs to this check could not be looked at."""
        self.reasons.append(reason)

    def note(self, text: str) -> None:
        """Something is in order."""
        self.notes.append(text)

    def check(self, name: str) -> Check:
        """The outcome. A check with parts in order and parts not looked at is in order, and says both."""
        if self.problems:
            more = len(self.problems) - _LISTED
            rest = (f"... and {more} more",) if more > 0 else ()
            return Check(name, FAILED, (*self.problems[:_LISTED], *rest))
        if self.marks:
            state = min((state for state, _ in self.marks), key=MARKS.index)
            return Check(name, state, tuple(text for _, text in self.marks))
        if self.reasons and not self.notes:
            return Check(name, NOT_CHECKED, tuple(self.reasons))
        return Check(name, OK, (*self.notes, *(f"not checked: {reason}" for reason in self.reasons)))
