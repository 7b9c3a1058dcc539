"""A plugin that does not come to an end where it is loaded: named while it goes on, and left out after a limit."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dabench.errors import PluginError

#: Seconds after which a plugin that is still being loaded is named.
NOTICE = 30.0
#: Seconds after which it is left out, unless ``DABENCH_PLUGIN_SECONDS`` says otherwise (0: never).
LIMIT = 300.0
_SETTING = "DABENCH_PLUGIN_SECONDS"


class TooLongError(BaseException):
    """Raised in the code that takes too long; no ``except Exception`` of its own stops it."""


@contextmanager
def time_limit(what: str) -> Iterator[None]:
    """Inside, something is loaded that may hang. Only the main thread can be interrupted.

    Args:
        what: its name, for messages.

    Raises:
        PluginError: it took longer than the limit.
    """
    limit = _limit()
    until = f"it is left out after {limit:g} s ({_SETTING}); Ctrl-C ends the command" if limit else "Ctrl-C ends it"
    told = threading.Timer(NOTICE, _say, [f"{what} is still being loaded after {NOTICE:g} s: {until}"])
    told.daemon = True
    told.start()
    try:
        with interrupted_after(limit):
            yield
    except TooLongError:
        raise PluginError(f"it was not loaded within {limit:g} s ({_SETTING})") from None
    finally:
        told.cancel()


def _limit() -> float:
    try:
        return max(0.0, float(os.environ.get(_SETTING, LIMIT)))
    except ValueError:
        return LIMIT


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


@contextmanager
def interrupted_after(seconds: float) -> Iterator[None]:
    """An alarm of the system, where no other one is set; it ends a sleep, a lock and a read as well.

    Args:
        seconds: 0 sets none. Outside the main thread none is set either.

    Raises:
        TooLongError: what is inside took longer.
    """
    here = threading.current_thread() is threading.main_thread()
    if not seconds or not here or signal.getsignal(signal.SIGALRM) is not signal.SIG_DFL:
        yield
        return

    def too_long(*_: Any) -> None:
        raise TooLongError

    signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
