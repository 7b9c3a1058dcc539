"""``dabench leaderboard``: all finished cells, ranked where they may be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dabench.cli import leaderboard_site
from dabench.cli.json_output import print_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from dabench.api.tables import Boards

_FORMATS = ("json", "csv", "html", "markdown")
#: Columns of text where nobody says how wide a line may be: in a file or a pipe.
_WIDE = 240


def attach(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command("leaderboard")(leaderboard)


def leaderboard(
    file: Annotated[
        Path | None,
        typer.Argument(help="File for --html, --csv, --json or --markdown [html: leaderboard.html]."),
    ] = None,
    suite: Annotated[str | None, typer.Option(help="Only this suite; entries get the names of its rows.")] = None,
    by: Annotated[str, typer.Option(help="Metric to rank by: dice, aji, pq, or points_15/dice.")] = "dice",
    conditions: Annotated[
        list[str] | None,
        typer.Option(
            "--filter", help="Only cells whose tag KEY has one of the values: KEY=VALUE[,VALUE] (repeatable)."
        ),
    ] = None,
    reference: Annotated[
        str, typer.Option(help="Entry that all others are compared with (default: source-only).")
    ] = "",
    sources: Annotated[
        list[str] | None,
        typer.Option("--from", help="Read an MLflow store or recorded results (NAME.jsonl); with --site repeatable."),
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
    """Rank all runs: one table per setting, with intervals, ties, brackets and missing cells.

    Example:  dabench leaderboard --filter task=vnc2lucchi,lucchi2vnc --html leaderboard.html
    """
    from dabench.api.progress import make_display
    from dabench.api.tables import read_boards
    from dabench.errors import ConfigError

    chosen = [name for name, on in zip(_FORMATS, (as_json, as_csv, as_html, as_markdown), strict=True) if on]
    if len(chosen) > 1:
        raise ConfigError(f"--{' and --'.join(chosen)} at once.", "Choose one.")
    if file and not chosen:
        raise ConfigError(f"{file}: say what to write there.", f"Example: dabench leaderboard --html {file}")
    asked: dict[str, Any] = {"by": by, "conditions": conditions or (), "reference": reference}
    if site is not None:
        if chosen:
            raise ConfigError(f"--site and --{chosen[0]} at once.", "Choose one.")
        with make_display(quiet=False, stderr=True) as display:
            shown = display.progress("reading runs")
            leaderboard_site.write(site, suite or "", sources or (), anew=refresh, progress=shown, **asked)
        return
    if len(sources or ()) > 1:
        raise ConfigError("--from is given more than once.", "Only --site takes several.")
    source = sources[0] if sources else None
    with make_display(quiet=False, stderr=True) as display:
        shown = display.progress("reading runs")
        found = read_boards(suite or "", store=source, refresh=refresh, progress=shown, **asked)
    for message in found.damaged:
        typer.echo(f"left out: {message}", err=True)
    if chosen:
        _write(chosen[0], found, file)
    else:
        _show(found, source or str(found.workspace.runs))


def _write(kind: str, found: Boards, file: Path | None) -> None:
    from dabench.files.atomic import write_text

    text: str = getattr(found, f"to_{kind}")()
    path = file or (found.workspace.root / "leaderboard.html" if kind == "html" else None)
    if path is None:
        print_text(text)
        return
    write_text(path, text)
    typer.echo(f"written: {path}")


# ---------------------------------------------------------------------------------------------------------- terminal
def _show(found: Boards, where: str) -> None:
    from dabench.cli.tables import console, show
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
