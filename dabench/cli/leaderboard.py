"""``dabench leaderboard``: all finished cells, ranked where they may be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dabench.cli import leaderboard_site
from dabench.cli.json_output import print_text
from dabench.cli.tables import console, show
from dabench.errors import ConfigError
from dabench.files.atomic import write_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from dabench.api.tables import Boards

_FORMATS = ("json", "csv", "html", "markdown")
#: From this many new runs on, reading them is worth a word.
_MANY = 500
#: Columns of text where nobody says how wide a line may be: in a file or a pipe.
_WIDE = 240


def leaderboard(
    file: Annotated[
        Path | None,
        typer.Argument(help="Where to write what --html, --csv, --json or --markdown makes [html: leaderboard.html]."),
    ] = None,
    suite: Annotated[str | None, typer.Option(help="Only this suite, with the names of its rows.")] = None,
    by: Annotated[str, typer.Option(help="What to rank by: dice, aji, pq, or points_15/dice.")] = "dice",
    conditions: Annotated[
        list[str] | None,
        typer.Option("--filter", help="Only cells with KEY=VALUE[,VALUE], any tag (repeatable; all must hold)."),
    ] = None,
    reference: Annotated[
        str, typer.Option(help="Entry that all others are compared with (default: source-only).")
    ] = "",
    sources: Annotated[
        list[str] | None,
        typer.Option("--from", help="Cells of an MLflow store, or recorded ones (NAME.jsonl); with --site repeatable."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the boards as JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print one line per cell, with every tag and metric.")] = False,
    as_html: Annotated[bool, typer.Option("--html", help="Write a page that needs no network.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables as Markdown.")] = False,
    site: Annotated[
        Path | None, typer.Option(help="Write a folder of pages for a static host: suites, boards, cards of methods.")
    ] = None,
    refresh: Annotated[bool, typer.Option("--refresh", help="Read every run again, not only what changed.")] = False,
) -> None:
    """Rank what has run: one table a setting, with intervals, ties, brackets and what is missing.

    Example:  dabench leaderboard --filter task=vnc2lucchi,lucchi2vnc --html leaderboard.html
    """
    from dabench.api.tables import read_boards

    chosen = [name for name, on in zip(_FORMATS, (as_json, as_csv, as_html, as_markdown), strict=True) if on]
    if len(chosen) > 1:
        raise ConfigError(f"--{' and --'.join(chosen)} at once.", "Choose one.")
    if file and not chosen:
        raise ConfigError(f"{file}: say what to write there.", f"Example: dabench leaderboard --html {file}")
    asked: dict[str, Any] = {"by": by, "conditions": conditions or (), "reference": reference}
    if site is not None:
        if chosen:
            raise ConfigError(f"--site and --{chosen[0]} at once.", "Choose one.")
        leaderboard_site.write(site, suite or "", sources or (), anew=refresh, progress=_progress, **asked)
        return
    if len(sources or ()) > 1:
        raise ConfigError("--from is given more than once.", "Only --site takes several.")
    source = sources[0] if sources else None
    found = read_boards(suite or "", store=source, refresh=refresh, progress=_progress, **asked)
    for message in found.damaged:
        typer.echo(f"left out: {message}", err=True)
    if chosen:
        _write(chosen[0], found, file)
    else:
        _show(found, source or str(found.workspace.runs))


def _progress(done: int, total: int) -> None:
    if total >= _MANY and done == 0:
        typer.echo(f"reading {total:,} runs into the index ...", err=True)


def _write(kind: str, found: Boards, file: Path | None) -> None:
    text: str = getattr(found, f"to_{kind}")()
    path = file or (found.workspace.root / "leaderboard.html" if kind == "html" else None)
    if path is None:
        print_text(text)
        return
    write_text(path, text)
    typer.echo(f"written: {path}")


# ---------------------------------------------------------------------------------------------------------- terminal
def _show(found: Boards, where: str) -> None:
    from dabench.leaderboard.tables import text_table

    if not found:
        typer.echo(
            f"Nothing to rank in {where} yet. Make a run: "
            "dabench run --method source-only --task human2stem --data phantom --preset tiny"
        )
        return
    to = console(_WIDE)
    fitted = [text_table(board).fitted(to.width) for board in found]
    common = [note for note in fitted[0][0].notes if all(note in table.notes for table, _ in fitted)]
    for table, dropped in fitted:
        show(table, to)
        to.print()
        _list(to, [note for note in table.notes if note not in common])
        if dropped:
            _list(to, [f"Not shown for want of width: {', '.join(dropped)}. --markdown and --html have all."])
        to.print()
    _list(to, common)


def _list(to: Console, lines: Sequence[str]) -> None:
    from rich.text import Text

    for line in lines:
        to.print(Text(f"- {line}", style="dim"))
