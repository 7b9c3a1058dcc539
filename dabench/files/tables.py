"""Tables of typed cells: what is shown, with how many digits; as Markdown here, on terminals in the commands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

#: A dash says that there is nothing, so that an empty field is never read as a zero.
NONE = "-"
#: Characters of a text column after which a terminal may break its lines.
_BREAKABLE = 30


class Number(NamedTuple):
    """A value with its standard deviation, if that is known: ``70.1 ± 1.2``.

    Example:
        >>> str(Number(70.125, 1.25, digits=1)), str(Number(0.5, digits=2, sign=True))
        ('70.1 ± 1.2', '+0.50')
    """

    value: float
    sd: float | None = None
    digits: int = 1
    sign: bool = False

    def __str__(self) -> str:
        """With its digits, and its sign if asked for."""
        text = f"{self.value:{'+' if self.sign else ''}.{self.digits}f}"
        return text if self.sd is None else f"{text} ± {self.sd:.{self.digits}f}"


#: None is a value that there is not; "" a field in which there can be none.
Cell = str | int | Number | None


def percent(share: float | None, sd: float | None = None, digits: int = 1) -> Number | None:
    """A share of 1 as per cent, without the sign."""
    return None if share is None else Number(100 * share, None if sd is None else 100 * sd, digits)


@dataclass(frozen=True)
class Column:
    """A column: ``text`` may be broken into lines, a ``name`` and a ``number`` never; numbers stand to the right.

    A narrow terminal goes without the column with the lowest ``spare`` first; those with 0 stay.
    """

    name: str
    kind: Literal["text", "name", "number"] = "number"
    spare: int = 0


@dataclass(frozen=True)
class Section:
    """Rows of one kind; ``title`` is printed above them."""

    title: str
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Table:
    """Columns, sections of rows, and notes that stand below."""

    title: str
    columns: tuple[Column, ...]
    sections: tuple[Section, ...]
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, columns: Sequence[Column], rows: Iterable[Sequence[Cell]], title: str = "") -> Table:
        """A table of one section without a title."""
        return cls(title, tuple(columns), (Section("", tuple(map(tuple, rows))),))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(column.name for column in self.columns)

    def lines(self, section: Section) -> list[tuple[str, ...]]:
        """The rows of a section in words."""
        return [tuple(NONE if cell is None else str(cell) for cell in row) for row in section.rows]

    def without(self, place: int) -> Table:
        """The same table less one column."""
        rest = [tuple(row[:place] + row[place + 1 :] for row in section.rows) for section in self.sections]
        sections = tuple(Section(s.title, rows) for s, rows in zip(self.sections, rest, strict=True))
        return replace(self, columns=self.columns[:place] + self.columns[place + 1 :], sections=sections)

    def width(self, gap: int = 2) -> int:
        """Characters of its widest line with ``gap`` blanks between columns, long texts broken."""
        lines = [line for section in self.sections for line in self.lines(section)]
        widths = [max(map(len, cells)) for cells in zip(self.names, *lines, strict=True)]
        most = [min(w, _BREAKABLE) if c.kind == "text" else w for c, w in zip(self.columns, widths, strict=True)]
        return sum(most) + gap * (len(most) - 1)

    def fitted(self, width: int, gap: int = 2) -> tuple[Table, tuple[str, ...]]:
        """The table less the columns that can be spared, until it is no wider than a terminal; and their names."""
        table, dropped = self, []
        for column in sorted((c for c in self.columns if c.spare), key=lambda c: c.spare):
            if table.width(gap) <= width:
                break
            table = table.without(table.columns.index(column))
            dropped.append(column.name)
        return table, tuple(dropped)

    def to_markdown(self, level: int = 3) -> str:
        """Heading, table and notes, as pages and README files take them.

        Args:
            level: of the heading, 1 to 6.
        """
        rules = ["---:" if column.kind == "number" else "---" for column in self.columns]
        lines = [f"{'#' * level} {self.title}", ""] if self.title else []
        lines += [_line(self.names), _line(rules)]
        for section in self.sections:
            if section.title:
                lines.append(_line(["", f"*{section.title}*", *[""] * (len(self.columns) - 2)]))
            lines += map(_line, self.lines(section))
        if self.notes:
            lines += ["", *(f"- {escaped(note)}" for note in self.notes)]
        return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Text in one line that cannot break out of a table of Markdown: it may be a stranger's."""
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(escaped(cell) or ' ' for cell in cells)} |"
