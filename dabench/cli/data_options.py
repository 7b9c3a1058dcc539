"""Options of commands that take labels: numbers, ranges of slices, what label values are."""

from __future__ import annotations

import math
from typing import Any


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


def label_values(option: str, texts: str | list[str] | None) -> dict[int, int]:
    """``0:0,255:1`` (or ``255=1``) as stored value to label; {} for none. Raises ConfigError."""
    from dabench.errors import ConfigError

    found = {}
    parts = [texts] if isinstance(texts, str) else texts or []
    for part in (pair for text in parts for pair in text.split(",")):
        stored, colon, label = part.replace("=", ":").partition(":")
        if not colon or not stored.strip().lstrip("-").isdigit() or not label.strip().isdigit():
            raise ConfigError(f"{option} {','.join(parts)!r}: write pairs VALUE:LABEL, for example  {option} 0:0,255:1")
        if int(label) not in (0, 1, 255):
            raise ConfigError(f"{option} {','.join(parts)!r}: label {int(label)} is none of 0, 1 and 255 (ignore).")
        found[int(stored)] = int(label)
    return found


def label_kind(text: str) -> Any:
    """``auto``, ``semantic`` or ``instance``. Raises UnknownNameError."""
    from dabench.errors import UnknownNameError

    known = ("auto", "semantic", "instance")
    if text not in known:
        raise UnknownNameError("label kind", text, known)
    return text
