"""Whether slices that lie in files of their own belong together: the numbers in the files' names."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SHOWN = 6


@dataclass(frozen=True)
class Numbering:
    """The numbers in names of files: ``numbers`` by slice (None where a name is built in another way than most)."""

    names: tuple[str, ...]
    numbers: tuple[int | None, ...]

    @classmethod
    def of(cls, names: Sequence[str]) -> Numbering:
        """The number of a name is the one that differs between names, the last where several do."""
        parts = [re.split(r"(\d+)", name) for name in names]
        patterns = Counter(tuple(part[::2]) for part in parts)
        usual = patterns.most_common(1)[0][0] if patterns else ()
        digits = [tuple(map(int, part[1::2])) if tuple(part[::2]) == usual else () for part in parts]
        kept = [numbers for numbers in digits if numbers]
        varying = [i for i in range(len(usual) - 1) if len({numbers[i] for numbers in kept}) > 1]
        column = varying[-1] if varying else len(usual) - 2
        whole = len(varying) < 2 or len({numbers[column] for numbers in kept}) == len(kept)
        found = [numbers[column] if numbers and whole else None for numbers in digits]
        return cls(tuple(names), tuple(found))

    def doubts(self) -> list[str]:
        """What is strange about them: names of another pattern, a number twice, a gap."""
        if not any(number is not None for number in self.numbers):
            return []
        said = []
        odd = [name for name, number in zip(self.names, self.numbers, strict=True) if number is None]
        if odd:
            said.append(f"{_listed(odd)}: named otherwise than the other slices")
        counted = Counter(number for number in self.numbers if number is not None)
        if twice := sorted(number for number, count in counted.items() if count > 1):
            said.append(f"several slices bear the number {_listed(twice)}")
        if gaps := _gaps(sorted(counted)):
            said.append(f"no slice bears the number {_listed(gaps)}")
        return said


def mismatch(images: Sequence[str], labels: Sequence[str]) -> str:
    """Why images and labels are no pairs, by the names of their files; "" where they are or bear no numbers.

    Numbers of the labels that are those of the images and a constant are pairs, as when one program counts from 1.
    """
    ours, theirs = Numbering.of(images).numbers, Numbering.of(labels).numbers
    if not {*ours} - {None} or not {*theirs} - {None}:
        return ""
    if len(ours) != len(theirs):
        return _missing(ours, theirs)
    shifts = {
        None if a is None or b is None else b - a for a, b in zip(ours, theirs, strict=True) if (a, b) != (None, None)
    }
    if len(shifts) <= 1 and shifts != {None}:
        return ""
    z = next(i for i, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b)
    return f"slice {z} is {images[z]} and {labels[z]}; {_missing(ours, theirs)}"


def shift(images: Sequence[str], labels: Sequence[str]) -> int:
    """What is added to the numbers of images to have those of the labels; 0 where nothing is."""
    pairs = zip(Numbering.of(images).numbers, Numbering.of(labels).numbers, strict=False)
    return next((b - a for a, b in pairs if a is not None and b is not None), 0)


def _missing(ours: Iterable[int | None], theirs: Iterable[int | None]) -> str:
    images, labels = ({number for number in side if number is not None} for side in (ours, theirs))
    said = [
        f"no {what} has the number {_listed(sorted(gone))}"
        for what, gone in (("label", images - labels), ("image", labels - images))
        if gone
    ]
    return ", ".join(said) or "their numbers differ"


def _gaps(numbers: Sequence[int]) -> list[int]:
    """Numbers that are left out, where numbers go up by one step; a few, the first of each gap."""
    if len(numbers) < 3:
        return []
    step = Counter(b - a for a, b in pairwise(numbers)).most_common(1)[0][0]
    return [a + step for a, b in pairwise(numbers) if b - a > step]


def _listed(items: Sequence[object]) -> str:
    shown = ", ".join(map(str, items[:_SHOWN]))
    return shown + (f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else "")
