"""Whether two volumes of a card are one: images that are their own labels, slices in two splits."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dabench.data.card import Card, SplitCard


def overlaps(card: Card) -> list[str]:
    """What stands twice on a card, by path and by digest: images as labels, slices of one volume in train and test."""
    said = [
        f"split {name!r}: images and labels are one file ({part.images})"
        for name, part in card.splits.items()
        if part.labels and _same(card, part.images, part.labels)
    ]
    for (one, a), (other, b) in combinations(card.splits.items(), 2):
        common = _common(a, b) if _same(card, a.images, b.images) else None
        if common and "test" in (one, other):
            said.append(f"{common} of {a.images} are in split {one!r} and in split {other!r}")
    return said


def _same(card: Card, one: str, other: str) -> bool:
    digest = card.sha256.get(one)
    return one == other or (digest is not None and digest == card.sha256.get(other))


def _common(one: SplitCard, other: SplitCard) -> str:
    """The slices that both splits have; "" for none."""
    first = max(part.slices[0] if part.slices else 0 for part in (one, other))
    ends = [part.slices[1] for part in (one, other) if part.slices]
    if not ends:
        return "all slices"
    return f"slices {first} to {min(ends) - 1}" if first < min(ends) else ""
