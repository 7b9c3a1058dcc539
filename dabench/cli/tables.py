"""Tables on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dabench.api.terminal import styled_console
from dabench.files.printable import printable

if TYPE_CHECKING:
    from rich.console import Console

    from dabench.files.tables import Table


def console(piped: int | None = None) -> Console:
    """Where tables go: as wide as the terminal, or ``piped`` columns where it is a file or a pipe."""
    return styled_console(width=None if sys.stdout.isatty() else piped)


def show(
    table: Table, where: Console | None = None, *, header: bool = True, styles: Mapping[str, str] | None = None
) -> None:
    """Print a table without its notes.

    Args:
        table: what to print.
        where: a console, by default a new one.
        header: print the names of the columns.
        styles: how cells of these texts look, by names of `dabench.api.terminal.STYLES`: ``{"ok": "good"}``.
    """
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = RichTable(box=None, pad_edge=False, show_header=header, header_style="title")
    for column in table.columns:
        right, whole = column.kind == "number", column.kind != "text"
        shown.add_column(Text(column.name), justify="right" if right else "left", no_wrap=whole, overflow="fold")
    for section in table.sections:
        if section.title:
            shown.add_row("", Text(printable(section.title), style="section"))
        for line in table.lines(section):
            cells = [Text(printable(cell), style=(styles or {}).get(cell, "")) for cell in line]
            shown.add_row(*cells, style="quiet" if section.title else None)
    to = where or console()
    if table.title:
        to.print(Text(printable(table.title), style="title"))
    to.print(shown)


def show_place(label: str, path: Path, where: Console) -> None:
    """Print where a file or folder is; on a terminal that knows links, a click opens it."""
    from rich.text import Text

    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    where.print(Text.assemble(label, (printable(str(shown)), f"link {path.resolve().as_uri()}")), soft_wrap=True)
