"""``dabench leaderboard``: all finished cells, ranked where they may be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dabench.cli.json_output import print_text
from dabench.cli.tables import console, show
from dabench.errors import ConfigError
from dabench.files.atomic import write_text
from dabench.files.workspace import Workspace

if TYPE_CHECKING:
    from rich.console import Console

    from dabench.api.progress import Display
    from dabench.api.tables import Boards
    from dabench.leaderboard.gather import Leaderboard
    from dabench.leaderboard.site import Source

_FORMATS = ("json", "csv", "html", "markdown")
#: Columns of text where nobody says how wide a line may be: in a file or a pipe.
_WIDE = 240
#: The page of all runs of a workspace, beside those of its suites.
_ALL = "All runs"


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
    as_html: Annotated[bool, typer.Option("--html", help="Write an HTML page that works offline.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables as Markdown.")] = False,
    site: Annotated[
        Path | None, typer.Option(help="Write a static site: pages of suites, boards, methods and domains.")
    ] = None,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Read every run again, not only runs that changed.")
    ] = False,
) -> None:
    """Rank all runs: one table per setting, with intervals, ties, brackets and missing cells.

    Example:  dabench leaderboard --filter task=vnc2lucchi,lucchi2vnc --html leaderboard.html
    """
    from dabench.api.progress import make_display
    from dabench.api.tables import read_boards

    chosen = [name for name, on in zip(_FORMATS, (as_json, as_csv, as_html, as_markdown), strict=True) if on]
    if len(chosen) > 1:
        raise ConfigError(f"--{' and --'.join(chosen)} exclude each other.", "Choose one.")
    if file and not chosen:
        raise ConfigError(f"{file}: give the format to write.", f"Example: dabench leaderboard --html {file}")
    asked: dict[str, Any] = {"by": by, "conditions": conditions or (), "reference": reference}
    if site is not None:
        if chosen:
            raise ConfigError(f"--site and --{chosen[0]} exclude each other.", "Choose one.")
        with make_display(quiet=False, stderr=True) as display:
            _write_site(site, suite or "", sources or (), display, anew=refresh, **asked)
        return
    if len(sources or ()) > 1:
        raise ConfigError("--from was given more than once.", "Only --site takes several.")
    source = sources[0] if sources else None
    with make_display(quiet=as_json, stderr=True) as display:
        found = read_boards(suite or "", store=source, refresh=refresh, observer=display, **asked)
    for message in found.damaged:
        typer.echo(f"left out: {message}", err=True)
    if chosen:
        _write(chosen[0], found, file)
    else:
        _show(found, source or str(found.workspace.runs))


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
            _list(
                to,
                [f"Too wide for this terminal, so left out: {', '.join(dropped)}. --markdown and --html show all."],
            )
        to.print()
    _list(to, common)


def _list(to: Console, lines: Sequence[str]) -> None:
    from rich.text import Text

    for line in lines:
        to.print(Text(f"- {line}", style="quiet"))


# --------------------------------------------------------------------------------------------------------------- site
def _write_site(folder: Path, suite: str, stores: Sequence[str], display: Display, **asked: Any) -> None:
    """Write the site of a suite, of stores and recorded results, or of all that ran here."""
    from dabench.leaderboard.site import write_site

    workspace = Workspace.find()
    asked["observer"] = display
    suites = {name: found for name, found in _leaderboards(workspace, suite, stores, asked) if found.board_entries}
    if not suites:
        raise ConfigError("there is nothing to rank.", "Run a suite first, or name recorded results with --from.")
    for found in suites.values():
        for message in found.damaged:
            typer.echo(f"left out: {message}", err=True)
    files = write_site(folder, suites, _source(workspace), display)
    typer.echo(f"written: {files[0]} and {len(files) - 1} more pages")


def _leaderboards(
    workspace: Workspace, suite: str, stores: Sequence[str], asked: dict[str, Any]
) -> list[tuple[str, Leaderboard]]:
    """Leaderboards by the title of their page."""
    from dabench.leaderboard.gather import load
    from dabench.suites.suite_record import started_suites

    if stores:
        return [(Path(store).stem, load(workspace, suite=suite, uri=store, **asked)) for store in stores]
    names = [suite] if suite else list(started_suites(workspace))
    found = [(name, load(workspace, suite=name, **asked)) for name in names]
    return found if suite else [*found, (_ALL, load(workspace, **asked))]


def _source(workspace: Workspace) -> Source:
    from dabench import __version__
    from dabench.components.listing import listing_of
    from dabench.components.registry import Registry
    from dabench.data.description import described
    from dabench.leaderboard.site import Source
    from dabench.models.listing import list_models
    from dabench.runs.domains import known_domains

    registry = Registry.load()
    domains = {name: described(name, domain) for name, domain in known_domains(registry, workspace).items()}
    weighted = frozenset(str(one.path) for one in list_models(workspace) if one.kind == "run" and not one.problem)
    return Source(listing_of(registry), domains, weighted, __version__, workspace.root)
