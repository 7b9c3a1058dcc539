"""Progress of work, passed to a display: a terminal, a notebook, a test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

#: Called with (done, total) of one piece of work.
Progress = Callable[[int, int], None]


class Observer:
    """Told of pieces of work by name: a stage, the prediction of a volume, a job of a suite.

    The base shows nothing; a display overrides what it shows. Nothing that it does changes a result.

    Example:
        >>> class Lines(Observer):
        ...     def advanced(self, work, done, total, values=None):
        ...         print(f"{work}: {done}/{total}")
        >>> Lines().progress("predict")(3, 8)
        predict: 3/8
    """

    def begun(self, work: str, total: int, state: str = "new") -> None:
        """Work begins, or what it would make is there already.

        Args:
            work: its name.
            total: steps that it has, 0 where they are not known.
            state: ``new``, ``resumes`` or ``cached``.
        """

    def advanced(self, work: str, done: int, total: int, values: Mapping[str, float] | None = None) -> None:
        """So many steps are done; ``values`` are named numbers of the last one, such as losses."""

    def ended(self, work: str, status: str, values: Mapping[str, float] | None = None, reason: str = "") -> None:
        """Work has ended: ``scored`` with its metrics, or ``ok``, ``failed`` and the like with its ``seconds``.

        ``altered``: what was made earlier is not as it was written, and is made again; ``reason`` names the files.
        """

    def progress(self, work: str) -> Progress:
        """`advanced` of one piece of work, for what only counts."""
        return partial(self.advanced, work)
