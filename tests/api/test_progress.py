"""Bars: what has to be seen is seen on the narrowest terminal in use."""

from __future__ import annotations

import io
import itertools

import pytest
from rich.console import Console
from rich.text import Text

from dabench.api.progress import BarDisplay, Display, PlainDisplay, counted, make_display

LOSSES = {"total": 1.234, "segmentation": 0.512, "adversarial": 0.3, "pseudo labels": 0.0123, "contrast": 12.5}


def line(width: int, work: str, losses: dict[str, float], monkeypatch: pytest.MonkeyPatch) -> str:
    """What stands on a terminal after 600 of 15000 updates, of 0.5 s each."""
    console = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
    clock = itertools.count(0.0, 0.5)
    display = BarDisplay(console)
    monkeypatch.setattr(display._progress, "get_time", lambda: float(next(clock)))
    for step in range(601):
        display.advanced(work, step, 15000, losses)
    with console.capture() as captured:
        console.print(display._progress.get_renderable())
    lines = Text.from_ansi(captured.get()).plain.splitlines()
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize("work", ["supervised", "pyramid of probability", "a stage whose name is longer than its room"])
def test_at_80_columns_step_total_and_time_left_come_before_losses(work: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = line(80, work, LOSSES, monkeypatch)
    assert len(shown) <= 80
    assert shown.startswith(work[:23])
    step, hours = shown.index("600/15000"), shown.index("2:0")  # 14400 updates of half a second: 2:00:00
    assert step < hours < shown.index("total 1")
    assert shown.rstrip().endswith("…")


def test_a_wide_terminal_shows_every_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "total 1.23  segmentation 0.512" in line(200, "supervised", LOSSES, monkeypatch)
    assert "contrast 12.5" in line(200, "supervised", LOSSES, monkeypatch)


def test_work_without_losses_has_its_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "600/15000" in line(80, "predict", {}, monkeypatch)


@pytest.mark.parametrize(
    ("state", "told"),
    [("cached", "reused"), ("resumes", "continues"), ("new", "training, 40 updates"), ("frozen", "not trained")],
)
def test_work_in_every_state_of_a_plan_has_a_line(state: str, told: str) -> None:
    console = Console(file=io.StringIO(), width=80)
    PlainDisplay(console).begun("supervised", 40, state)
    assert told in console.file.getvalue()


def test_bars_beside_a_result_need_two_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    terminals: set[bool] = set()
    monkeypatch.setattr(Console, "is_terminal", property(lambda console: console.stderr in terminals))
    assert type(make_display(quiet=False, stderr=True)) is Display
    terminals.add(True)
    assert type(make_display(quiet=False, stderr=True)) is Display, "the output goes to a pager or a file"
    terminals.add(False)
    assert type(make_display(quiet=False, stderr=True)) is BarDisplay
    assert type(make_display(quiet=True, stderr=True)) is Display


def test_what_is_counted_comes_through_and_a_pipe_gets_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(counted("abc", "verify")) == ["a", "b", "c"]
    assert list(counted([], "verify")) == []
    assert capsys.readouterr() == ("", "")
