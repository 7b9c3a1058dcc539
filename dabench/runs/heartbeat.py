"""A stage that makes no update for long is named while it goes on: its plugin may hang, or be slow."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

#: Seconds without an update after which the stage is named; then after twice as many, and so on.
QUIET = 120.0


@contextmanager
def heartbeat(what: str, quiet: float = QUIET) -> Iterator[Callable[[], None]]:
    """Inside, call what is given after each update; where no call comes, a line on stderr says so.

    Args:
        what: the stage and whose it is.
        quiet: seconds before the first line.
    """
    last, done = [time.monotonic()], Event()

    def beat() -> None:
        last[0] = time.monotonic()

    def watch() -> None:
        seen, wait = last[0], quiet
        while not done.wait(max(0.01, seen + wait - time.monotonic())):
            if last[0] != seen:
                seen, wait = last[0], quiet
            elif time.monotonic() >= seen + wait:
                sys.stderr.write(
                    f"{what}: no update for {wait:g} s. It may be slow, or it may hang. Press Ctrl-C to stop "
                    "it; the same command continues from the last checkpoint.\n"
                )
                sys.stderr.flush()
                wait *= 2

    watcher = Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield beat
    finally:
        done.set()
        watcher.join()
