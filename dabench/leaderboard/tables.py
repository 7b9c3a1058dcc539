"""A board as plain text cells, for a terminal or for Markdown: what is shown, in which words, with how many digits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from dabench.leaderboard.board import Board, PublishedRow, Standing
from dabench.leaderboard.metric import Metric
from dabench.statistics.intervals import Interval

#: A dash says that there is nothing, so that an empty field is never read as a zero.
NONE = "-"
#: Columns that a narrow terminal goes without, the first one first.
_ENTRY = 30
_DROPPED = ("GiB", "time", "seeds", "gap %", "label min", "95 %")


@dataclass(frozen=True)
class Section:
    """Lines of one kind (ranked, brackets, incomplete, published) with the same columns."""

    title: str
    lines: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class TextTable:
    """A board in words: heading, columns, sections in order, notes."""

    title: str
    columns: tuple[str, ...]
    tasks: tuple[str, ...]
    sections: tuple[Section, ...]
    missing: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def lines(self) -> tuple[tuple[str, ...], ...]:
        """The lines of all sections."""
        return tuple(line for section in self.sections for line in section.lines)

    def without(self, column: int) -> TextTable:
        """The same table less one column."""
        sections = tuple(
            Section(section.title, tuple(line[:column] + line[column + 1 :] for line in section.lines))
            for section in self.sections
        )
        return replace(self, columns=self.columns[:column] + self.columns[column + 1 :], sections=sections)

    def fitted(self, width: int, gap: int = 2) -> TextTable:
        """The table less the columns that matter least, until it is no wider than a terminal; a note says so."""
        table, dropped = self, []
        for name in [*_DROPPED, *reversed(self.tasks)]:
            if table.width(gap) <= width:
                break
            if name in table.columns:
                table = table.without(table.columns.index(name))
                dropped.append(name)
        note = (f"Not shown for want of width: {', '.join(dropped)}. --markdown and --html have all.",)
        return replace(table, notes=table.notes + note) if dropped else table

    def width(self, gap: int) -> int:
        """Characters of its widest line with ``gap`` blanks between columns; long names of entries may be broken."""
        widths = {name: max(map(len, [name, *cells])) for name, *cells in zip(self.columns, *self.lines, strict=True)}
        widths["entry"] = min(widths["entry"], _ENTRY)
        return sum(widths.values()) + gap * (len(widths) - 1)


def text_table(board: Board) -> TextTable:
    """The table of a board. Scores are per cent with one decimal: mean ± standard deviation over seeds."""
    fastest = _reference_seconds(board)
    columns = _columns(board, fastest)
    kinds = {"": _ranked(board), "brackets, not ranked": _brackets(board), "incomplete, not ranked": _incomplete(board)}
    sections = [
        Section(title, tuple(tuple(text(s) for text in columns.values()) for s in standings))
        for title, standings in kinds.items()
        if standings
    ]
    sections += [
        Section(
            f"published: {source}",
            tuple(_published(row, board, len(columns)) for row in board.published if row.source == source),
        )
        for source in dict.fromkeys(row.source for row in board.published)
    ]
    missing = tuple(f"{s.entry}: {'; '.join(s.missing)}" for s in board.standings if s.missing)
    about = dict.fromkeys(f"{row.source}: {row.note}" for row in board.published if row.note)
    notes = (*board.notes, *about)
    return TextTable(title_of(board), tuple(columns), board.tasks, tuple(sections), missing, notes)


def title_of(board: Board) -> str:
    """What the board holds fixed, in one line."""
    setting = board.setting
    suite = f"{board.suite}: " if board.suite else ""
    fixed = f"{setting.data} data, preset {setting.preset}, {setting.protocol}, {setting.inference} inference"
    return f"{suite}{fixed}, by {board.metric.title}"


def percent(share: float | None, digits: int = 1) -> str:
    """A share as per cent without the sign."""
    return NONE if share is None else f"{100 * share:.{digits}f}"


# ------------------------------------------------------------------------------------------------------------ columns
def _columns(board: Board, seconds: float) -> dict[str, Callable[[Standing], str]]:
    """Column -> its text for a standing."""
    name = board.metric.title
    tasks = {task: _task(task, board.metric) for task in board.tasks}
    return {
        "rank": lambda s: _rank(s.rank),
        "entry": lambda s: s.entry + (" *" if s.pareto else ""),
        name: lambda s: _score(s.overall),
        "95 %": lambda s: _range(s.overall),
        **tasks,
        "group": lambda s: s.groups or NONE,
        "gap %": lambda s: percent(s.gap_closed, 0),
        "label min": lambda s: NONE if s.annotation_seconds is None else f"{s.annotation_seconds / 60:.1f}",
        "time": lambda s: NONE if s.train_seconds is None or not seconds else f"{s.train_seconds / seconds:.1f} x",
        "GiB": lambda s: NONE if s.peak_memory_bytes is None else f"{s.peak_memory_bytes / 2**30:.1f}",
        "seeds": _seeds,
    }


def _task(task: str, metric: Metric) -> Callable[[Standing], str]:
    return lambda s: _score(s.scores.get(task, {}).get(metric))


def _score(value: Interval | None) -> str:
    if value is None:
        return NONE
    return percent(value.mean) + (f" ± {percent(value.sd)}" if value.sd is not None else "")


def _range(value: Interval | None) -> str:
    """The interval; one that holds every possible score says that nothing is known."""
    if value is None:
        return NONE
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


def _published(row: PublishedRow, board: Board, width: int) -> tuple[str, ...]:
    found: Mapping[str, float | None] = {t: row.scores.get(t, {}).get(board.metric) for t in board.tasks}
    values = [v for v in found.values() if v is not None]
    mean = sum(values) / len(values) if values and len(values) == len(found) else None
    line = ["", row.entry, percent(mean), "", *(percent(v) for v in found.values())]
    return tuple(line + [""] * (width - len(line)))


# ----------------------------------------------------------------------------------------------------------- sections
def _ranked(board: Board) -> Sequence[Standing]:
    return [s for s in board.standings if not s.bracket and s.overall is not None]


def _brackets(board: Board) -> Sequence[Standing]:
    return [s for s in board.standings if s.bracket]


def _incomplete(board: Board) -> Sequence[Standing]:
    return [s for s in board.standings if not s.bracket and s.overall is None]
