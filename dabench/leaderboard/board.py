"""What a leaderboard is made of: one board per setting, one standing per entry. Plain records; nothing is read here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dabench.leaderboard.metric import Metric
from dabench.statistics.intervals import Interval
from dabench.statistics.pairs import PairTest

#: What `Standing.bracket` is called: without adaptation, and trained on target labels.
LOWER, UPPER = "lower", "upper"
#: It began with weights that were trained on the target's data, or nobody knows.
SEEN = "seen"
#: Never ranked.
APART = (UPPER, SEEN)


@dataclass(frozen=True)
class BoardKey:
    """What a board holds fixed. Rows of different settings never share a table."""

    data: str
    preset: str
    protocol: str
    inference: str
    #: ``native``, ``match``, or ``auto`` of a cell that leaves it to its domains and has not run.
    pixel_size: str = "native"


@dataclass(frozen=True)
class CellLink:
    """One cell behind a standing; ``panels`` are paths of pictures, ``origin`` is who ran it (``here`` or another).

    ``checked`` is what is known of it (`dabench.leaderboard.checked`), ``doubt`` what is wrong with it.
    """

    cell_id: str
    task: str
    seed: int
    status: str
    reason: str = ""
    path: str = ""
    origin: str = "here"
    panels: tuple[str, ...] = ()
    checked: str = ""
    doubt: str = ""


@dataclass(frozen=True)
class Standing:
    """One entry of a board, over all of its tasks and seeds.

    ``scores`` by task, then metric. ``overall`` is the mean of the task means of the board's metric, None where a task
    of the board is missing. ``rank`` is the mean rank with its interval, None for upper brackets and incomplete
    entries. ``groups`` are letters: entries that share one cannot be told apart. ``difference`` is its mean less that
    of ``reference``, with ``p`` corrected for all entries that are compared so. ``checked`` is what is known of all of
    its finished cells, the least of what is known of each. ``tags`` are those that all of its cells share.
    """

    entry: str
    scores: Mapping[str, Mapping[Metric, Interval]]
    overall: Interval | None = None
    rank: Interval | None = None
    groups: str = ""
    bracket: str = ""
    reference: str = ""
    difference: Interval | None = None
    p: float | None = None
    gap_closed: float | None = None
    annotation_seconds: float | None = None
    train_seconds: float | None = None
    peak_memory_bytes: float | None = None
    pareto: bool = False
    checked: str = ""
    missing: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    cells: tuple[CellLink, ...] = ()

    @property
    def is_apart(self) -> bool:
        """Whether it saw target labels, or may have, and so is never ranked."""
        return self.bracket in APART

    @property
    def is_below(self) -> bool:
        """Whether its mean lies below that of its reference."""
        return self.difference is not None and self.difference.mean < 0


@dataclass(frozen=True)
class PublishedRow:
    """What a paper prints for an entry, per cent as 0 to 1: by task, then metric. Never ranked with ours."""

    entry: str
    source: str
    scores: Mapping[str, Mapping[Metric, float]]
    note: str = ""


@dataclass(frozen=True)
class Board:
    """One table: entries best first, then upper brackets, then incomplete ones.

    ``figures`` are SVG texts by title (critical differences, quality against cost). ``notes`` say in words what rules
    were used: how missing cells are treated, how many seeds there are, what is simulated.
    """

    setting: BoardKey
    metric: Metric
    metrics: tuple[Metric, ...]
    tasks: tuple[str, ...]
    standings: tuple[Standing, ...]
    published: tuple[PublishedRow, ...] = ()
    differences: tuple[PairTest, ...] = ()
    figures: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    suite: str = ""
