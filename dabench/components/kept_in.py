"""Code of plugins, kept from ending the process that runs it, and from writing between what a command prints."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from dabench.components.time_limit import time_limit
from dabench.errors import PluginError


@contextmanager
def kept_in(what: str = "a plugin") -> Iterator[None]:
    """Inside, a plugin is loaded: what it prints goes to stderr, and nothing that it does ends or stops the process.

    Args:
        what: the plugin, as messages name it.

    Raises:
        SystemExit: it asked for the end, by ``os._exit`` too.
        PluginError: it raised KeyboardInterrupt without a Ctrl-C, or did not end in time.
    """
    with _ctrl_c_noted() as pressed, redirect_stdout(sys.stderr), no_exit():
        try:
            with time_limit(what):
                yield
        except KeyboardInterrupt as error:
            if pressed:
                sys.stderr.write(f"\ninterrupted while {what} was being loaded\n")
                raise
            raise PluginError("it raised KeyboardInterrupt without a Ctrl-C") from error


@contextmanager
def no_exit() -> Iterator[None]:
    """Inside, ``os._exit`` raises SystemExit: it would end the process silently. Child processes may use it."""
    here, leave = os.getpid(), os._exit

    def refused(code: int = 0) -> None:
        if os.getpid() != here:
            leave(code)
        raise SystemExit(f"os._exit({code})")

    os._exit = refused  # type: ignore[assignment]
    try:
        yield
    finally:
        os._exit = leave


@contextmanager
def _ctrl_c_noted() -> Iterator[list[int]]:
    """Whether Ctrl-C was pressed inside; only the main thread hears of it."""
    pressed: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield pressed
        return
    handler = before

    def note(number: int, frame: Any) -> Any:
        pressed.append(number)
        return handler(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)
