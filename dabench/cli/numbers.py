"""Options that hold several numbers."""

from __future__ import annotations

import math
from typing import Any


def three_numbers(option: str, text: str | None, kind: type = float) -> Any:
    """``Z,Y,X`` as three positive numbers of a kind; None stays None. Raises ConfigError."""
    from dabench.errors import ConfigError

    if text is None:
        return None
    try:
        values = tuple(kind(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != 3 or not all(0 < value < float("inf") for value in values):
        raise ConfigError(f"{option} {text!r}: write three positive numbers z,y,x, for example {option} 30,8,8.")
    return values


def finite_numbers(option: str, text: str | None, example: str) -> Any:
    """As many finite numbers as the example has, ``30,8,8``; None stays None. Raises ConfigError."""
    from dabench.errors import ConfigError

    if text is None:
        return None
    count = example.count(",") + 1
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise ConfigError(f"{option} {text!r}: expected {count} finite numbers, for example  {option} {example}")
    return numbers


def slice_range(option: str, text: str | None) -> tuple[int, int] | None:
    """``FIRST:LAST`` as two whole numbers; None stays None. Raises ConfigError."""
    from dabench.errors import ConfigError

    if text is None:
        return None
    first, colon, last = text.partition(":")
    if not (colon and first.isdigit() and last.isdigit()):
        raise ConfigError(f"{option} {text!r}: expected FIRST:LAST, for example  {option} 0:12")
    return int(first), int(last)
