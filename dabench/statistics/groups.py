"""Many pairs at once: Holm's correction, and groups of entries that cannot be told apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for their number (Holm 1979), in the order given: the k-th smallest times what is left."""
    corrected = [1.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, p_values[index] * (len(p_values) - rank)))
        corrected[index] = largest
    return corrected


def compact_letters(entries: Sequence[str], different: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """Letters by entry; two entries share one if and only if they are not among the ``different`` pairs.

    Each letter is one of the largest groups without a different pair (Piepho 2004). They follow the order of
    ``entries``.
    """
    alike = {entry: set(entries) - {entry} for entry in entries}
    for first, second in different:
        alike[first].discard(second)
        alike[second].discard(first)
    place = {entry: index for index, entry in enumerate(entries)}
    groups = sorted(_largest_groups(alike, set(), set(entries), set()), key=lambda g: sorted(place[e] for e in g))
    return {entry: "".join(_letter(i) for i, g in enumerate(groups) if entry in g) for entry in entries}


def _largest_groups(
    alike: Mapping[str, set[str]], group: set[str], left: set[str], seen: set[str]
) -> Iterator[frozenset[str]]:
    """All groups, ``group`` in each, that no further member can join (Bron and Kerbosch 1973, with a pivot)."""
    if not left and not seen:
        yield frozenset(group)
        return
    pivot = max(sorted(left | seen), key=lambda entry: len(alike[entry] & left))
    for entry in sorted(left - alike[pivot]):
        yield from _largest_groups(alike, group | {entry}, left & alike[entry], seen & alike[entry])
        left, seen = left - {entry}, seen | {entry}


def _letter(index: int) -> str:
    """A to z, then a2 to z2, and so on."""
    turn, place = divmod(index, 26)
    return chr(ord("a") + place) + (str(turn + 1) if turn else "")
