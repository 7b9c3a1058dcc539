"""Options that hold several numbers."""

from __future__ import annotations

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
