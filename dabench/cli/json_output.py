"""JSON for programs, alone on standard output: whatever else prints while a command runs with --json goes to stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import IO, Any

from typer.core import TyperGroup

#: Where standard output really goes, inside of `prints_aside`.
_real: list[IO[str]] = []


class JsonAlone(TyperGroup):
    """The root command: with ``--json`` behind it, only `print_json` and `print_text` reach standard output."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that the arguments name."""
        if "--json" not in (*ctx._protected_args, *ctx.args):
            return super().invoke(ctx)
        with prints_aside():
            return super().invoke(ctx)


@contextmanager
def prints_aside() -> Iterator[None]:
    """Inside, what plugins, C libraries and other processes print goes to stderr."""
    with _own_output() as real, redirect_stdout(sys.stderr):
        _real.append(real)
        try:
            yield
        finally:
            _real.pop()


@contextmanager
def _own_output() -> Iterator[IO[str]]:
    """A stream to where standard output goes now, while the process's own (file 1) goes to stderr."""
    before = sys.stdout
    if before is not sys.__stdout__ or before is None:  # a notebook's or a test's, not the process's
        yield before
        return
    before.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with os.fdopen(os.dup(kept), "w", encoding="utf-8") as stream:
            yield stream
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def print_json(value: Any, default: Any = None) -> None:
    """Print a value as JSON."""
    print_text(json.dumps(value, indent=1, default=default) + "\n")


def print_text(text: str) -> None:
    """Print what a program reads."""
    stream = _real[-1] if _real else sys.stdout
    stream.write(text)
    stream.flush()
