"""Texts of others as a terminal may show them: without what moves its cursor, changes its title or hides a line."""

from __future__ import annotations

import re
from typing import Any

#: Escape sequences: commands to a system (titles, links) to their end, control sequences, and those of two characters.
_SEQUENCE = re.compile(
    r"(?:\x1b[\]P^_X]|[\x9d\x90\x9e\x9f\x98])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?|\x1b[ -/]*[0-~]?"
)
#: What is left of control characters but tab and line feed, and marks that turn the direction of what follows.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    r"""A text without escape sequences, control characters and marks of direction.

    >>> printable("Dice \x1b[2K\x1b[1A\x1b]0;title\x07high\r")
    'Dice high'
    """
    return _CONTROL.sub("", _SEQUENCE.sub("", text)) if not text.isprintable() else text


def printable_values(value: Any) -> Any:
    """Plain values, as JSON gives them, with every text and key in them made `printable`."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable_values(key): printable_values(part) for key, part in value.items()}
    return [printable_values(part) for part in value] if isinstance(value, list) else value
