"""What a person sees while a run works: a bar with ETA and losses on a terminal, plain lines otherwise."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from dabench.runs.scoring import Score
    from dabench.training.loop import Update

#: Seconds between plain lines of one stage.
_EVERY = 10.0


class Display(AbstractContextManager["Display"]):
    """Base: says nothing (``--json``)."""

    def notify(self, what: str, *values: Any) -> None:
        """Take one event of the runner and hand it to ``on_<what>``."""
        handler = getattr(self, f"on_{what}", None)
        if handler is not None:
            handler(*values)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class PlainDisplay(Display):
    """One line when a stage starts, every ten seconds, and when it is scored."""

    def __init__(self, console: Console) -> None:
        """Write to this console."""
        self._console, self._last = console, 0.0

    def on_stage(self, name: str, state: str, iterations: int) -> None:
        """A stage begins, continues or is reused."""
        words = {
            "cached": "reused",
            "resumes": "continues from its checkpoint",
            "new": f"training, {iterations} updates",
        }
        self._say(f"{name}: {words[state]}")

    def on_update(self, name: str, update: Update) -> None:
        """One update is done."""
        last = update.step + 1 == update.total
        if last or time.monotonic() - self._last > _EVERY:
            self._last = time.monotonic()
            self._say(f"{name}: {update.step + 1}/{update.total}  {losses(update)}  {update.seconds:.0f} s")

    def on_predict(self, name: str, done: int, total: int) -> None:
        """One test slice is predicted."""
        if done == total:
            self._say(f"{name}: predicted {total} test slices")

    def on_score(self, name: str, score: Score) -> None:
        """A stage is scored."""
        shown: list[str] = [key for key in ("dice", "aji", "pq") if key in score.metrics] or list(score.metrics)
        numbers = "  ".join(f"{key} {score.metrics[key]:.3f}" for key in shown)
        self._say(f"{name}: {numbers}  (test points {score.test_points:.0%})")

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, soft_wrap=True)


class BarDisplay(PlainDisplay):
    """A progress bar a stage."""

    def __init__(self, console: Console) -> None:
        """Draw on this console."""
        super().__init__(console)
        columns = (TextColumn("{task.description:<14}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, TextColumn("{task.fields[losses]}"), console=console, transient=True)
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> BarDisplay:
        """Show the bars."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def on_update(self, name: str, update: Update) -> None:
        """Advance the stage's bar."""
        self._advance(name, update.step + 1, update.total, losses(update))

    def on_predict(self, name: str, done: int, total: int) -> None:
        """Advance the prediction's bar."""
        self._advance(f"{name} test", done, total, "")

    def _advance(self, name: str, done: int, total: int, text: str) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total, losses="")
        self._progress.update(self._tasks[name], completed=done, losses=text)
        if done == total:
            self._progress.remove_task(self._tasks.pop(name))


def losses(update: Update) -> str:
    """Named losses, the total first."""
    return "  ".join(f"{name} {value:.3g}" for name, value in update.losses.items())


def make_display(*, quiet: bool) -> Display:
    """The display that fits: none, bars on a terminal, or plain lines."""
    if quiet:
        return Display()
    console = Console()
    return BarDisplay(console) if console.is_terminal else PlainDisplay(console)


class PhaseDisplay(AbstractContextManager["PhaseDisplay"]):
    """Phases of one long work, told as (phase, done, of). This one says nothing (``--json``)."""

    def advance(self, phase: str, done: int, count: int) -> None:
        """So much of a phase is done."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class PlainPhases(PhaseDisplay):
    """A line every ten seconds and at the end of a phase, with the time that is left."""

    def __init__(self, console: Console) -> None:
        """Write to this console."""
        self._console, self._last = console, time.monotonic()
        self._begun: dict[str, tuple[float, int]] = {}

    def advance(self, phase: str, done: int, count: int) -> None:
        """Write a line if it is time."""
        now = time.monotonic()
        # What was done before the first report, perhaps by a run that was stopped, says nothing about the speed.
        start, before = self._begun.setdefault(phase, (now, done))
        if done < count and now - self._last < _EVERY:
            return
        self._last = now
        left = f", {clock((now - start) / (done - before) * (count - done))} left" if before < done < count else ""
        self._console.print(f"{phase}: {done}/{count}{left}", highlight=False, soft_wrap=True)


class BarPhases(PhaseDisplay):
    """A bar a phase, with the time that is left."""

    def __init__(self, console: Console) -> None:
        """Draw on this console."""
        columns = (TextColumn("{task.description:<24}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=console)
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> BarPhases:
        """Show the bars."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def advance(self, phase: str, done: int, count: int) -> None:
        """Move the phase's bar."""
        if phase not in self._tasks:
            self._tasks[phase] = self._progress.add_task(phase, total=count)
        self._progress.update(self._tasks[phase], completed=done)


def clock(seconds: float) -> str:
    """``47 s``, ``3:05 min`` or ``2:10 h``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02} min" if minutes < 100 else f"{minutes // 60}:{minutes % 60:02} h"


def make_phase_display(*, quiet: bool) -> PhaseDisplay:
    """The display that fits: none, bars on a terminal, or plain lines."""
    if quiet:
        return PhaseDisplay()
    console = Console()
    return BarPhases(console) if console.is_terminal else PlainPhases(console)
