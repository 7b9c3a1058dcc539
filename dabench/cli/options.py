"""Options that hold more than one number or word, read."""

from __future__ import annotations

from typing import Any

from dabench.errors import ConfigError, UnknownNameError


def three_numbers(option: str, text: str | None, kind: type = float) -> Any:
    """``Z,Y,X`` as three positive numbers of a kind; None stays None. Raises ConfigError."""
    if text is None:
        return None
    try:
        values = tuple(kind(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != 3 or not all(0 < value < float("inf") for value in values):
        raise ConfigError(f"{option} {text!r}: write three positive numbers z,y,x, for example {option} 30,8,8.")
    return values


def label_values(text: str | None) -> dict[int, int] | None:
    """``0:0,255:1`` as a mapping; None or "" is None. Raises ConfigError."""
    if not text:
        return None
    try:
        pairs = [part.split(":") for part in text.split(",")]
        return {int(value): int(label) for value, label in pairs}
    except ValueError:
        raise ConfigError(f"--label-values {text!r}: write pairs VALUE:LABEL, for example 0:0,255:1.") from None


def slice_range(option: str, text: str | None, example: str = "0:10") -> slice | None:
    """``A:B`` as slices, of which either may be left out; None stays None. Raises ConfigError."""
    if text is None:
        return None
    try:
        first, last = (int(part) if part else None for part in text.split(":"))
    except ValueError:
        raise ConfigError(f"{option} {text!r}: write A:B, for example {option} {example}.") from None
    return slice(first, last)


def one_of(option: str, value: str, allowed: tuple[str, ...]) -> Any:
    """The value, if it is one of these. Raises UnknownNameError, or ConfigError for an empty one."""
    if value not in allowed:
        raise UnknownNameError(f"value of {option}", value, allowed) if value else ConfigError(f"{option} is empty.")
    return value
