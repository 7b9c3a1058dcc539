"""A comparison in words, in tables, and for a program."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from dabench.files.tables import Cell, Column, Number, Table, escaped
from dabench.leaderboard.board import BoardKey
from dabench.leaderboard.published.order import orders, told
from dabench.leaderboard.published.table import Comparison, Figure, Line, Result

#: Results of fewer seeds are shown in brackets: they are not called results.
_SEEDS = 3
#: What a status is called here, where it is called otherwise.
_STATUSES = {"new": "not run yet", "missing": "data missing", "excluded": "left out"}
_COLUMNS = (Column("row", "text"), *map(Column, ("ours", "theirs", "ours - theirs", "gain, ours", "gain, theirs")))
_GAINS = (Column("row", "text"), Column("metric", "name"), Column("ours"), Column("theirs"))


def head(table: Comparison) -> Iterator[str]:
    """What was made how, before any number."""
    yield f"ours:   {_setting(table.setting)}, seeds {' '.join(map(str, table.seeds)) or 'none'}"
    yield f"theirs: {table.source}; {_setting(table.theirs_setting)}, as far as the paper says"
    if not table.comparable:
        yield (
            f"Ours and theirs were made differently ({_differing(table)}): compare differences between rows (gains), "
            "not numbers."
        )
    yield (
        f"Per cent. ± is the standard deviation over seeds; (brackets): fewer than {_SEEDS} seeds. "
        f"Gain: difference from the first row, {table.first!r}, without test points, per seed."
    )
    if table.stale:
        yield f"{len(table.stale)} cells were made with other code or data than the present ones (stale)."


def tables(table: Comparison) -> Iterator[Table]:
    """One table per task and metric, then the gains averaged over tasks."""
    order = list(dict.fromkeys(metric.plain for metric in table.metrics))
    for task in table.tasks:
        lines = [line for line in table.lines if line.task == task]
        for metric in order:
            rows = [_numbers(line) for line in lines if line.metric.plain == metric]
            if rows:
                yield Table.of(_COLUMNS, rows, f"{task}, {metric.title}")
    if table.gains:
        yield _gains(table)


def missing(table: Comparison) -> Iterator[str]:
    """What has no number and why: a line for all rows, tasks and seeds with one reason."""
    cells = [(r.status, r.reason.split("\n")[0], r.cell.row, r.cell.config) for r in table.missing]
    seeds = _gathered(((status, why, c.task, row), str(c.seed)) for status, why, row, c in cells)
    rows = _gathered(((status, why, task, " ".join(s)), row) for (status, why, task, row), s in seeds.items())
    tasks = _gathered(((status, why, s, ", ".join(r)), task) for (status, why, task, s), r in rows.items())
    for (status, why, s, r), found in tasks.items():
        yield f"{_STATUSES.get(status, status)}: {r} ({' '.join(found)}, seeds {s})" + (f": {why}" if why else "")
    for row, why in table.unavailable.items():
        yield f"not in dabench: {row}: {why}"


def _gathered(pairs: Iterable[tuple[tuple[str, ...], str]]) -> dict[tuple[str, ...], list[str]]:
    """Second members by first."""
    found: dict[tuple[str, ...], list[str]] = {}
    for key, member in pairs:
        found.setdefault(key, []).append(member)
    return found


def as_markdown(table: Comparison, level: int = 3) -> str:
    """The whole comparison as Markdown, under a heading of this level."""
    title, below = "#" * level, "#" * (level + 1)
    parts = [f"{title} {table.suite}", table.title, *head(table)]
    parts += ["\n".join(f"- {escaped(line)}" for line in told(table))]
    parts += [found.to_markdown(level + 1).rstrip() for found in tables(table)]
    if gone := [f"- {escaped(line)}" for line in missing(table)]:
        parts += [f"{below} Missing", "\n".join(gone)]
    if table.note:
        parts += [f"{below} About the published numbers", table.note]
    return "\n\n".join(parts) + "\n"


def as_json(table: Comparison) -> dict[str, Any]:
    """The whole comparison for a program."""
    kept = ("suite", "title", "source", "note", "first", "tasks", "theirs_tasks", "seeds", "comparable")
    return {
        **{name: getattr(table, name) for name in kept},
        "metrics": [str(metric) for metric in table.metrics],
        "setting": asdict(table.setting),
        "theirs_setting": asdict(table.theirs_setting),
        "lines": [{**asdict(line), "metric": str(line.metric), "difference": line.difference} for line in table.lines],
        "gains": [{**asdict(gain), "metric": str(gain.metric)} for gain in table.gains],
        "order": [{**asdict(order), "metric": str(order.metric), "pairs": order.pairs} for order in orders(table)],
        "missing": [_listed(result) for result in table.missing],
        "stale": [_listed(result) for result in table.stale],
        "unavailable": dict(table.unavailable),
    }


def _listed(result: Result) -> dict[str, Any]:
    cell = result.cell
    about = {"row": cell.row, **cell.place, "cell_id": cell.config.cell_id}
    return {**about, "status": result.status, "reason": result.reason}


def _setting(setting: BoardKey) -> str:
    pixels = ", matched pixel sizes" if setting.pixel_size == "match" else ""
    return f"{setting.data} data, preset {setting.preset}, inference {setting.inference}, {setting.protocol}{pixels}"


def _differing(table: Comparison) -> str:
    names = ("data", "preset", "inference", "protocol", "pixel_size")
    ours, theirs = ([getattr(s, n) for n in names] for s in (table.setting, table.theirs_setting))
    return ", ".join(f"{n} {a} against {b}" for n, a, b in zip(names, ours, theirs, strict=True) if a != b)


def _gains(table: Comparison) -> Table:
    title = f"mean gain over tasks (ours: {' '.join(table.tasks)}; theirs: {' '.join(table.theirs_tasks) or 'none'})"
    rows = [
        (
            gain.row + gain.metric.label,
            gain.metric.plain.title,
            _of(gain.ours, gain.ours_tasks, len(table.tasks)),
            _of(gain.theirs, gain.theirs_tasks, len(table.theirs_tasks)),
        )
        for gain in table.gains
    ]
    return Table.of(_GAINS, rows, title)


def _numbers(line: Line) -> tuple[Cell, ...]:
    return (
        line.row + line.metric.label,
        _figure(line.ours),
        _value(line.theirs),
        _value(line.difference, sign=True),
        _figure(line.ours_gain, sign=True),
        _value(line.theirs_gain, sign=True),
    )


def _figure(figure: Figure | None, *, sign: bool = False) -> Cell:
    """Mean ± sd; in brackets with fewer seeds than a result needs."""
    if figure is None:
        return None
    number = Number(figure.mean, figure.sd, sign=sign)
    return number if figure.n >= _SEEDS else f"({number})"


def _value(value: float | None, *, sign: bool = False) -> Cell:
    return None if value is None else Number(value, sign=sign)


def _of(gain: float | None, count: int, tasks: int) -> Cell:
    """A mean gain, and of how many tasks it is where it is not of all."""
    found = _value(gain, sign=True)
    return f"{found} ({count} of {tasks} tasks)" if 0 < count < tasks else found


def paper_as_markdown(name: str, tables: Sequence[Comparison], level: int = 3) -> str:
    """All tables of a paper on one page: first what is there and what is missing, then each.

    Args:
        name: of the paper, as its suites begin.
        tables: of its suites.
        level: of the first heading.
    """
    columns = [
        Column("table", "text"),
        Column("inference", "name"),
        *map(Column, ("rows", "with results here", "cells missing", "order kept")),
    ]
    overview = Table.of(columns, [_overview(table) for table in tables], f"{name}: what is there")
    return "\n".join([overview.to_markdown(level), *(as_markdown(table, level) for table in tables)])


def _overview(table: Comparison) -> tuple[Cell, ...]:
    rows = dict.fromkeys([line.row for line in table.lines])
    here = {line.row for line in table.lines if line.ours is not None}
    kept = [f"{order.kept} of {order.pairs} ({order.metric.title})" for order in orders(table)]
    return table.suite, table.setting.inference, len(rows), len(here), len(table.missing), ", ".join(kept) or None
