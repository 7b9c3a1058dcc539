"""Items of a loop, told to an observer as they are done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from dabench.interfaces.observer import Observer

Item = TypeVar("Item")


def counted_by(observer: Observer | None, items: Sequence[Item], work: str) -> Iterator[Item]:
    """The items; the observer is told how many of them are done, before each and at the end.

    Args:
        observer: who is told; None for no observer.
        items: what is worked on, one by one.
        work: its name, as a bar shows it.

    Example:
        >>> class Lines(Observer):
        ...     def advanced(self, work, done, total, values=None):
        ...         print(f"{work}: {done}/{total}")
        >>> for item in counted_by(Lines(), ["a", "b"], "reading"):
        ...     print(item)
        reading: 0/2
        a
        reading: 1/2
        b
        reading: 2/2
    """
    watching = observer or Observer()
    for done, item in enumerate(items):
        watching.advanced(work, done, len(items))
        yield item
    if items:
        watching.advanced(work, len(items), len(items))
