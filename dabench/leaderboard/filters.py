"""Choosing rows by their tags: ``method=a,b`` is any of them, several conditions must all hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from dabench.errors import ConfigError, UnknownNameError
from dabench.leaderboard.rows import Row

#: Tag -> values of which a row must have one.
Filter = Mapping[str, frozenset[str]]


def parse_filters(conditions: Sequence[str], rows: Iterable[Row]) -> Filter:
    """``KEY=VALUE[,VALUE ...]`` conditions, checked against the tags that there are.

    A tag that holds a number takes it in any form (0.15, .15). A value that itself has commas may be given whole.
    Raises ConfigError for what is no condition, UnknownNameError for a tag or value that no row has.
    """
    if not conditions:
        return {}
    seen: dict[str, set[str]] = {}
    for row in rows:
        for key, value in row.tags.items():
            seen.setdefault(key, set()).add(value)
    found: dict[str, frozenset[str]] = {}
    for condition in conditions:
        key, equals, text = condition.partition("=")
        if not equals:
            raise ConfigError(f"--filter {condition!r}: write it as KEY=VALUE.", "Example: --filter task=human2stem")
        key = key.strip().removeprefix("dabench.")
        if key not in seen:
            raise UnknownNameError("tag", key, seen)
        parts = [text] if text in seen[key] else text.split(",")
        wanted = frozenset(_known(key, part.strip(), seen[key]) for part in parts)
        found[key] = found.get(key, wanted) & wanted
    return found


def _known(key: str, value: str, values: set[str]) -> str:
    if value in values:
        return value
    same = [v for v in sorted(values) if _number(v) is not None and _number(v) == _number(value)]
    if not same:
        raise UnknownNameError(f"value of {key}", value, values)
    return same[0]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def matches(tags: Mapping[str, str], conditions: Filter) -> bool:
    """Whether tags meet all conditions; a tag that is not there meets none."""
    return all(tags.get(key) in wanted for key, wanted in conditions.items())
