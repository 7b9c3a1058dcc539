"""A board as a table: what is shown, in which words, with how many digits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from dabench.files.tables import Cell, Column, Number, Section, Table, percent
from dabench.leaderboard.board import Board, PublishedRow, Standing
from dabench.leaderboard.metric import Metric
from dabench.statistics.intervals import Interval

#: Columns that a narrow terminal goes without, the first one first; then tasks, the last one first.
_SPARED = ("GiB", "time", "seeds", "gap %", "label min", "95 %")


def text_table(board: Board) -> Table:
    """The table of a board. Scores are per cent with one decimal: mean ± standard deviation over seeds."""
    cells = _cells(board, _reference_seconds(board))
    apart, incomplete = "upper bracket, not ranked", "incomplete, not ranked"
    kinds = {"": _ranked(board), apart: _apart(board), incomplete: _incomplete(board)}
    sections = [
        Section(title, tuple(tuple(cell(s) for cell in cells.values()) for s in standings))
        for title, standings in kinds.items()
        if standings
    ]
    sections += [
        Section(
            f"published: {source}",
            tuple(_published(row, board, len(cells)) for row in board.published if row.source == source),
        )
        for source in dict.fromkeys(row.source for row in board.published)
    ]
    missing = (f"missing: {s.entry}: {'; '.join(s.missing)}" for s in board.standings if s.missing)
    about = dict.fromkeys(f"{row.source}: {row.note}" for row in board.published if row.note)
    return Table(title_of(board), _columns(board, list(cells)), tuple(sections), (*missing, *board.notes, *about))


def title_of(board: Board) -> str:
    """What the board holds fixed, in one line."""
    setting = board.setting
    suite = f"{board.suite}: " if board.suite else ""
    fixed = f"{setting.data} data, preset {setting.preset}, {setting.protocol}, {setting.inference} inference"
    fixed += "" if setting.pixel_size == "native" else ", matched pixel sizes"
    return f"{suite}{fixed}, by {board.metric.title}"


# ------------------------------------------------------------------------------------------------------------ columns
def _columns(board: Board, names: Sequence[str]) -> tuple[Column, ...]:
    spare = {name: place for place, name in enumerate([*_SPARED, *reversed(board.tasks)], start=1)}
    return tuple(Column(n, "text" if n in ("entry", "group", "checked") else "number", spare.get(n, 0)) for n in names)


def _cells(board: Board, seconds: float) -> dict[str, Callable[[Standing], Cell]]:
    """Column -> its cell for a standing."""
    name = board.metric.title
    tasks = {task: _task(task, board.metric) for task in board.tasks}
    return {
        "rank": lambda s: _rank(s.rank),
        "entry": lambda s: s.entry + (" *" if s.pareto else "") + (f" (below {s.reference})" if s.is_below else ""),
        name: lambda s: _score(s.overall),
        "95 %": lambda s: _range(s.overall),
        **tasks,
        **_against(board),
        "group": lambda s: s.groups or None,
        "gap %": lambda s: percent(s.gap_closed, digits=0),
        **({"checked": lambda s: s.checked or None} if any(s.checked for s in board.standings) else {}),
        "label min": lambda s: _in(60, s.annotation_seconds),
        "time": lambda s: None if s.train_seconds is None or not seconds else f"{s.train_seconds / seconds:.1f} x",
        "GiB": lambda s: _in(2**30, s.peak_memory_bytes),
        "seeds": _seeds,
    }


def _against(board: Board) -> dict[str, Callable[[Standing], Cell]]:
    """The column of differences: named after the one reference that all have."""
    names = {s.reference for s in board.standings if s.reference}
    return {f"vs {names.pop() if len(names) == 1 else 'start'}": _difference} if names else {}


def _difference(standing: Standing) -> Cell:
    """Points above or below the reference; in brackets where the two cannot be told apart."""
    if standing.difference is None or standing.p is None:
        return None
    points = f"{100 * standing.difference.mean:+.1f}"
    return points if standing.p < 0.05 else f"({points})"


def _task(task: str, metric: Metric) -> Callable[[Standing], Cell]:
    return lambda s: _score(s.scores.get(task, {}).get(metric))


def _in(unit: float, value: float | None) -> Cell:
    return None if value is None else Number(value / unit)


def _score(value: Interval | None) -> Cell:
    return None if value is None else percent(value.mean, value.sd)


def _range(value: Interval | None) -> Cell:
    """The interval; one that holds every possible score says that nothing is known."""
    if value is None:
        return None
    return "unknown" if value.low <= 0 and value.high >= 1 else f"{percent(value.low)}-{percent(value.high)}"


def _rank(value: Interval | None) -> str:
    return "" if value is None else f"{value.mean:.1f} ({value.low:.1f}-{value.high:.1f})"


def _seeds(standing: Standing) -> str:
    """Finished seeds: the fewest and the most of any task."""
    finished: dict[str, int] = {}
    for cell in standing.cells:
        finished[cell.task] = finished.get(cell.task, 0) + (cell.status == "ok")
    counts = sorted(set(finished.values()))
    return "-".join(str(n) for n in dict.fromkeys([counts[0], counts[-1]])) if counts else "0"


def _reference_seconds(board: Board) -> float:
    """Training time that others are a multiple of: that of the lower bracket, else of the fastest entry."""
    times = [s.train_seconds for s in board.standings if s.bracket == "lower" and s.train_seconds]
    times = times or [s.train_seconds for s in board.standings if s.train_seconds]
    return min(times, default=0.0)


def _published(row: PublishedRow, board: Board, width: int) -> tuple[Cell, ...]:
    found: Mapping[str, float | None] = {t: row.scores.get(t, {}).get(board.metric) for t in board.tasks}
    values = [v for v in found.values() if v is not None]
    mean = sum(values) / len(values) if values and len(values) == len(found) else None
    line = ("", row.entry, percent(mean), "", *(percent(v) for v in found.values()))
    return line + ("",) * (width - len(line))


# ----------------------------------------------------------------------------------------------------------- sections
def _ranked(board: Board) -> Sequence[Standing]:
    return [s for s in board.standings if not s.is_apart and s.overall is not None]


def _apart(board: Board) -> Sequence[Standing]:
    return [s for s in board.standings if s.is_apart]


def _incomplete(board: Board) -> Sequence[Standing]:
    return [s for s in board.standings if not s.is_apart and s.overall is None]
