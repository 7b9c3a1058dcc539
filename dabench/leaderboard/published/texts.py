"""A comparison in words and tables of texts; whoever prints decides how they look."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dabench.leaderboard.board import BoardKey
from dabench.leaderboard.published.table import Comparison, Figure, Line

#: Results of fewer seeds are shown in brackets: they are not called results (DESIGN 6).
_SEEDS = 3
#: What a status is called here, where it is called otherwise.
_STATUSES = {"new": "not run yet", "missing": "data missing", "excluded": "left out"}
_COLUMNS = ("row", "ours", "theirs", "ours - theirs", "gain, ours", "gain, theirs")


@dataclass(frozen=True)
class Section:
    """A table of texts with a title."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


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
        f"Gain: over the first row, {table.first!r}, without test points, seed by seed."
    )
    if table.stale:
        yield f"{len(table.stale)} cells were made by other code or on other data than there are now (stale)."


def sections(table: Comparison) -> Iterator[Section]:
    """One section a task and metric, then the gains averaged over tasks."""
    order = list(dict.fromkeys(metric.plain for metric in table.metrics))
    for task in table.tasks:
        lines = [line for line in table.lines if line.task == task]
        for metric in order:
            body = tuple(_numbers(line) for line in lines if line.metric.plain == metric)
            if body:
                yield Section(f"{task}, {metric.title}", _COLUMNS, body)
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


def as_markdown(table: Comparison) -> str:
    """The whole comparison as Markdown."""
    parts = [f"# {table.suite}", table.title, *head(table)]
    for section in sections(table):
        lines = [section.columns, ("---", *("---:" for _ in section.columns[1:])), *section.rows]
        parts += [f"## {section.title}", "\n".join(f"| {' | '.join(line)} |" for line in lines)]
    if gone := [f"- {line}" for line in missing(table)]:
        parts += ["## Missing", "\n".join(gone)]
    if table.note:
        parts += ["## About the published numbers", table.note]
    return "\n\n".join(parts) + "\n"


def _setting(setting: BoardKey) -> str:
    return f"{setting.data} data, preset {setting.preset}, inference {setting.inference}, {setting.protocol}"


def _differing(table: Comparison) -> str:
    names = ("data", "preset", "inference", "protocol")
    ours, theirs = ([getattr(s, n) for n in names] for s in (table.setting, table.theirs_setting))
    return ", ".join(f"{n} {a} against {b}" for n, a, b in zip(names, ours, theirs, strict=True) if a != b)


def _gains(table: Comparison) -> Section:
    title = f"mean gain over tasks (ours: {' '.join(table.tasks)}; theirs: {' '.join(table.theirs_tasks) or 'none'})"
    body = tuple(
        (
            gain.row + gain.metric.label,
            gain.metric.plain.title,
            _signed(gain.ours) + _of(gain.ours_tasks, len(table.tasks)),
            _signed(gain.theirs) + _of(gain.theirs_tasks, len(table.theirs_tasks)),
        )
        for gain in table.gains
    )
    return Section(title, ("row", "metric", "ours", "theirs"), body)


def _numbers(line: Line) -> tuple[str, ...]:
    return (
        line.row + line.metric.label,
        _figure(line.ours),
        "" if line.theirs is None else f"{line.theirs:.1f}",
        _signed(line.difference),
        _figure(line.ours_gain, "+"),
        _signed(line.theirs_gain),
    )


def _figure(figure: Figure | None, sign: str = "") -> str:
    """Mean ± sd; in brackets with fewer seeds than a result needs."""
    if figure is None:
        return ""
    text = f"{figure.mean:{sign}.1f}" + ("" if figure.sd is None else f" ± {figure.sd:.1f}")
    return text if figure.n >= _SEEDS else f"({text})"


def _signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.1f}"


def _of(count: int, tasks: int) -> str:
    """How many tasks a mean is of, where it is not of all."""
    return f" ({count} of {tasks} tasks)" if 0 < count < tasks else ""
