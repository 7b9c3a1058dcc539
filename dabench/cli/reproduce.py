"""``dabench reproduce``: a paper's table, ours beside theirs."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dabench.cli import suite as suites
from dabench.cli.json_output import print_json

if TYPE_CHECKING:
    from rich.console import Console

    from dabench.leaderboard.published.table import Comparison


def attach(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command("reproduce")(reproduce)


def reproduce(
    name: Annotated[str, typer.Argument(help="A suite with published numbers (dabench ls suites), or its file.")],
    data: suites.Data = None,
    preset: suites.Preset = None,
    tasks: suites.Tasks = None,
    seeds: suites.Seeds = None,
    rows: Annotated[str | None, typer.Option(help="Only these rows, comma-separated.")] = None,
    sets: suites.Sets = None,
    no_run: Annotated[bool, typer.Option("--no-run", help="Compare existing results; run nothing.")] = False,
    source: Annotated[
        Path | None, typer.Option("--from", help="Compare recorded results (NAME.jsonl); run nothing.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(help="Jobs at a time [default: one per core, or one per GPU].")] = None,
    tracker: Annotated[str, typer.Option(help="mlflow, none, or a tracking URI.")] = "mlflow",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
    as_json: suites.Json = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print as Markdown.")] = False,
) -> None:
    """Run a paper's table and print our numbers next to the paper's, with reasons for missing ones.

    For more options (memory, several machines), use dabench suite run NAME, then reproduce NAME --no-run.

    Example:  dabench reproduce prefer-das/table-2 --preset small --tasks vnc2lucchi,lucchi2vnc
    """
    from dabench.cli.suite_report import follow, print_plan
    from dabench.execution.settings import ExecutorSettings
    from dabench.leaderboard.published.table import compare, gather, published, recorded, with_rows
    from dabench.leaderboard.published.texts import as_json as table_as_json
    from dabench.leaderboard.published.texts import as_markdown
    from dabench.suites.planning import make_graph, report
    from dabench.suites.spec import load_suite
    from dabench.suites.submitting import Start
    from dabench.tracking.recorded import read_recorded

    suite, registry, workspace = suites.load(name, data, preset, tasks, seeds, sets)
    original = load_suite(name, registry)
    published(original)
    if rows:
        suite = with_rows(suite, [row.strip() for row in rows.split(",")])
    if dry_run:
        print_plan(make_graph(suite, registry, workspace), as_json)
        raise typer.Exit
    done = None
    if source is not None:
        results = recorded(suite, read_recorded(source))
    else:
        quiet = as_json or markdown
        if no_run:
            done = report(suite, registry, workspace)
        else:
            where = ExecutorSettings(jobs=jobs)
            with Start.here(suite, registry, workspace, where) as start:
                done = follow(start, where, tracker, quiet=quiet)
        results = gather(done, workspace)
    tables = compare(suite, results, original)
    if as_json:
        print_json([table_as_json(table) for table in tables])
    else:
        for table in tables:
            typer.echo(as_markdown(table)) if markdown else _show(table)
    if done is not None and not no_run:
        raise typer.Exit(done.exit_code)


def _show(table: Comparison) -> None:
    from dabench.cli.tables import console, show
    from dabench.leaderboard.published.texts import head, missing, tables

    to = console(160)
    to.print(f"{table.suite}: {table.title}", style="bold", markup=False)
    for line in head(table):
        to.print(line, markup=False)
    for found in tables(table):
        to.print()
        show(found, to)
    _list(to, "missing", list(missing(table)))
    _list(to, "about the published numbers", [table.note] if table.note else [])


def _list(console: Console, title: str, lines: Sequence[str]) -> None:
    if lines:
        console.print(f"\n{title}", style="bold")
    for line in lines:
        console.print(textwrap.indent(textwrap.fill(line, console.width - 4), "  "), markup=False)
