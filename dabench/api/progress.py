"""What a person sees while work goes on: bars with the time left on a terminal, plain lines otherwise."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from dabench.api.terminal import styled_console
from dabench.interfaces.counting import Item, counted_by
from dabench.interfaces.observer import Observer

if TYPE_CHECKING:
    from rich.console import Console

#: Seconds between plain lines of one piece of work.
_EVERY = 10.0
_STATES = {
    "cached": "reused",
    "resumes": "continues from its checkpoint",
    "new": "training, {total} updates",
    "frozen": "not trained",
}


class Display(Observer, AbstractContextManager["Display"]):
    """Base: shows nothing (``--json``)."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class PlainDisplay(Display):
    """A line when work begins, every ten seconds with the time that is left, at its end, and with its scores."""

    def __init__(self, console: Console) -> None:
        """Write to this console."""
        self._console, self._last = console, time.monotonic()
        self._begun: dict[str, tuple[float, int]] = {}

    def begun(self, work: str, total: int, state: str = "new") -> None:
        self._say(f"{work}: {_STATES[state].format(total=total)}")

    def advanced(self, work: str, done: int, total: int, values: Mapping[str, float] | None = None) -> None:
        now = time.monotonic()
        # What was done before the first report, perhaps by a process that was stopped, says nothing about the speed.
        start, before = self._begun.setdefault(work, (now, done))
        if done < total and now - self._last < _EVERY:
            return
        self._last = now
        left = f"  {clock((now - start) / (done - before) * (total - done))} left" if before < done < total else ""
        named = f"  {losses(values)}" if values else ""
        self._say(f"{work}: {done}/{total}{named}{left}")

    def ended(self, work: str, status: str, values: Mapping[str, float] | None = None, reason: str = "") -> None:
        if status == "scored" and values is not None:
            self._say(f"{work}: {scores(values)}")
        elif reason:
            self._say(f"{work}: {reason}")

    def _say(self, line: str) -> None:
        self._console.print(line, soft_wrap=True)


class BarDisplay(PlainDisplay):
    """A progress bar for each piece of work, gone when it is complete.

    In 80 columns name, step, total and time left are whole; losses have what room is left.
    """

    def __init__(self, console: Console) -> None:
        """Draw on this console."""
        super().__init__(console)
        rest = Column(ratio=1, no_wrap=True, overflow="ellipsis")
        columns = (
            TextColumn("{task.description}", table_column=Column(width=24, no_wrap=True, overflow="ellipsis")),
            BarColumn(bar_width=20),
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            TimeRemainingColumn(table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[losses]}", table_column=rest),
        )
        self._progress = Progress(*columns, console=console, transient=True, expand=True)
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> BarDisplay:
        """Show the bars."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def advanced(self, work: str, done: int, total: int, values: Mapping[str, float] | None = None) -> None:
        if work not in self._tasks:
            self._tasks[work] = self._progress.add_task(work, total=total, losses="")
        self._progress.update(self._tasks[work], completed=done, losses=losses(values or {}))
        if done == total:
            self._progress.remove_task(self._tasks.pop(work))


def losses(values: Mapping[str, float]) -> str:
    """Named losses, the total first."""
    return "  ".join(f"{name} {value:.3g}" for name, value in values.items())


def scores(values: Mapping[str, float]) -> str:
    """The field's three metrics, or whatever a protocol has, and the share of test points that were prompts."""
    shown = [name for name in ("dice", "aji", "pq") if name in values] or [n for n in values if n != "test_points"]
    numbers = "  ".join(f"{name} {values[name]:.3f}" for name in shown)
    return f"{numbers}  (test points {values.get('test_points', 0):.0%})"


def clock(seconds: float) -> str:
    """``47 s``, ``3:05 min`` or ``2:10 h``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02} min" if minutes < 100 else f"{minutes // 60}:{minutes % 60:02} h"


def make_display(*, quiet: bool, stderr: bool = False) -> Display:
    """The display that fits: none, bars on a terminal, or plain lines.

    ``stderr`` leaves the output to the result: bars or nothing, and nothing beside a pager or into a file.
    """
    console = styled_console(stderr=stderr)
    if quiet or (stderr and not (console.is_terminal and styled_console().is_terminal)):
        return Display()
    return BarDisplay(console) if draws_bars(console) else PlainDisplay(console)


def counted(items: Sequence[Item], work: str, *, quiet: bool = False) -> Iterator[Item]:
    """The items, with a bar on the terminal that shows how many are done and how long the rest takes."""
    with make_display(quiet=quiet, stderr=True) as display:
        yield from counted_by(display, items, work)


def draws_bars(console: Console) -> bool:
    """Whether bars can move here: on a terminal, or in a notebook that has ``ipywidgets``."""
    return console.is_terminal or (console.is_jupyter and find_spec("ipywidgets") is not None)


def is_quiet(progress: bool | None) -> bool:
    """Whether nothing is to be shown: True shows, False does not, None shows where a person looks on."""
    if progress is None:
        console = styled_console()
        return not (console.is_terminal or console.is_jupyter)
    return not progress
