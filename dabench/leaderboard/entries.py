"""From rows to entries: which cells are one line of a board, which of them count, and what is missing."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from textwrap import shorten

from dabench.leaderboard.board import APART, SEEN, BoardKey
from dabench.leaderboard.labels import Identity, identity, labels, with_origins
from dabench.leaderboard.metric import Metric
from dabench.leaderboard.rows import Row, order
from dabench.leaderboard.suite_plan import SuitePlan, setting_of
from dabench.tracking.record import HERE

#: Why a finished cell takes no part: shown as its status.
OTHER_DATA = "other data"
NOT_RUN = "not run"
NOT_SCORED = "not scored"
#: Characters of a reason under a board; all of it is with the cell.
_REASON = 140


@dataclass(frozen=True)
class Gap:
    """What an entry lacks on one task: its seeds (none: the whole task), and why."""

    task: str
    seeds: tuple[int, ...]
    why: str

    def __str__(self) -> str:
        """In words, for a person."""
        seeds = f" seed {', '.join(map(str, self.seeds))}" if self.seeds else ""
        return f"{self.task}{seeds}: {self.why}" if self.task else self.why


@dataclass(frozen=True)
class Entry:
    """One line of a board: its cells of any status, and cells that were asked for and are not there."""

    label: str
    rows: tuple[Row, ...]
    absent: tuple[Gap, ...] = ()

    @cached_property
    def bracket(self) -> str:
        """``lower`` or ``upper`` for what brackets a table, ``seen`` for weights that may know the target; ""."""
        if any("weights_saw" in row.tags for row in self.rows):
            return SEEN
        found = {row.tags.get("bracket", "none") for row in self.rows} - {"none", ""}
        return found.pop() if len(found) == 1 else ""

    @property
    def is_apart(self) -> bool:
        """Whether it saw target labels, or may have: never ranked. A lower bracket is ranked."""
        return self.bracket in APART

    @cached_property
    def tags(self) -> dict[str, str]:
        """Tags that all of its cells share."""
        first, *rest = [row.tags for row in self.rows] or [{}]
        return {k: v for k, v in first.items() if all(tags.get(k) == v for tags in rest)}

    def scored(self, metric: Metric) -> list[Row]:
        """Finished cells that have the metric."""
        return [row for row in self.rows if row.status == "ok" and math.isfinite(row.scores.get(metric, math.nan))]

    def missing(self, tasks: Iterable[str], metric: Metric) -> tuple[str, ...]:
        """Cells that are not there or did not end well, and why; of ``tasks``, those that it never ran.

        Seeds of one reason are told together.
        """
        scored = {id(row) for row in self.scored(metric)}
        gaps: dict[tuple[str, str], list[int]] = {}
        for row in self.rows:
            if id(row) not in scored:
                gaps.setdefault((row.tags["task"], _why(row)), []).append(seed_of(row))
        for gap in self.absent:
            gaps.setdefault((gap.task, gap.why), []).extend(gap.seeds)
        known = {row.tags["task"] for row in self.rows} | {gap.task for gap in self.absent}
        if "" not in known:
            gaps |= {(task, NOT_RUN): [] for task in tasks if task not in known}
        told = sorted(((task, tuple(sorted(seeds)), why) for (task, why), seeds in gaps.items()))
        return tuple(str(Gap(*gap)) for gap in told)


def seed_of(row: Row) -> int:
    """The training seed."""
    return int(row.tags.get("seed", "0"))


def _why(row: Row) -> str:
    if row.status == "ok":
        return NOT_SCORED
    first = row.reason.partition("\n")[0]
    return f"{row.status} ({shorten(first, _REASON, placeholder=' ...')})" if first else row.status


def by_setting(rows: Iterable[Row]) -> dict[BoardKey, list[Row]]:
    """Rows that may share a table, settings in the order of their words. A row without a task is none's."""
    found: dict[BoardKey, list[Row]] = {}
    for row in sorted(rows, key=order):
        if "task" in row.tags:
            found.setdefault(setting_of(row.tags), []).append(row)
    return dict(sorted(found.items(), key=lambda item: str(item[0])))


def free_entries(rows: Sequence[Row]) -> list[Entry]:
    """Entries of rows of one setting that belong to no suite: all with the same settings but task and seed."""
    groups: dict[Identity, list[Row]] = {}
    for row in rows:
        groups.setdefault(identity(row.tags), []).append(row)
    names = labels(groups)
    ordered = sorted(groups, key=lambda one: names[one])
    return [entry for one in ordered for entry in _by_origin(names[one], groups[one], ())]


def row_entries(rows: Sequence[Row]) -> list[Entry]:
    """Entries of rows of one setting that say which row of their suite they are (tag ``row``)."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.tags["row"], []).append(row)
    return [entry for label in sorted(groups) for entry in _by_origin(label, groups[label], ())]


def suite_entries(rows: Sequence[Row], suite_plan: SuitePlan, setting: BoardKey) -> list[Entry]:
    """The rows of a suite's table in one setting: each cell that it asks for, run or not."""
    planned = [cell for cell in suite_plan.cells if cell.setting == setting]
    row_of = {cell.cell_id: cell.row for cell in planned}
    there = {row.cell_id for row in rows}
    found = []
    for label in dict.fromkeys(cell.row for cell in planned):
        absent = [cell for cell in planned if cell.row == label and cell.cell_id not in there]
        gaps = [Gap(c.task, (c.seed,), f"excluded ({c.excluded})" if c.excluded else NOT_RUN) for c in absent]
        own = [row for row in rows if row_of.get(row.cell_id) == label]
        found += _by_origin(label, own, tuple(gaps))
    return found + [
        Entry(row, (), (Gap("", (), f"unavailable ({why})"),)) for row, why in suite_plan.unavailable.items()
    ]


def _by_origin(label: str, rows: Sequence[Row], absent: tuple[Gap, ...]) -> list[Entry]:
    """One entry where each cell comes from one place; where a cell comes from several, one entry a place."""
    once = _once(rows)
    places = Counter((row.tags["task"], seed_of(row)) for row in once)
    origins = sorted({row.origin for row in once}, key=lambda name: (name != HERE, name))
    if all(count == 1 for count in places.values()):
        return [Entry(with_origins(label, origins), tuple(once), absent)]
    parts = {name: tuple(row for row in once if row.origin == name) for name in origins}
    return [Entry(with_origins(label, [name]), part, absent) for name, part in parts.items()]


def _once(rows: Iterable[Row]) -> list[Row]:
    """One row for each task, seed and origin: finished before not, more scores before fewer, later before earlier."""
    found: dict[tuple[str, int, str], Row] = {}
    for row in sorted(rows, key=lambda r: (r.status == "ok", len(r.scores), *reversed(order(r)[:3]))):
        found[row.tags["task"], seed_of(row), row.origin] = row
    return sorted(found.values(), key=lambda r: (r.tags["task"], seed_of(r), order(r)))


def same_test_data(rows: Sequence[Row]) -> list[Row]:
    """The rows, those set apart whose test split is not the one that most rows of their task were scored on."""
    digests: dict[str, Counter[str]] = {}
    for row in rows:
        if row.status == "ok" and (digest := _test_digest(row)):
            digests.setdefault(row.tags["task"], Counter())[digest] += 1
    usual = {task: min(seen, key=lambda d: (-seen[d], d)) for task, seen in digests.items()}
    return [_apart(row, usual) for row in rows]


def _test_digest(row: Row) -> str:
    """Digest of the split that a row was scored on, the last of those it read; "" where the row does not say."""
    digest = row.tags.get("data_digest", "none").rpartition("+")[2]
    return "" if digest == "none" else digest


def _apart(row: Row, usual: Mapping[str, str]) -> Row:
    digest = _test_digest(row)
    if row.status != "ok" or not digest or digest == usual[row.tags["task"]]:
        return row
    why = f"its test split is {digest}, but {usual[row.tags['task']]} for most others"
    return replace(row, status=OTHER_DATA, reason=why)
