"""``dabench reproduce``: a paper's table, ours beside theirs."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dabench.cli import suite as suites
from dabench.cli.json_output import print_json
from dabench.cli.tables import console, show

if TYPE_CHECKING:
    from rich.console import Console

    from dabench.leaderboard.published.table import Comparison
    from dabench.suites.submitting import Asked


def reproduce(
    name: Annotated[
        str,
        typer.Argument(help="A suite with published numbers (dabench ls suites), its file, or a paper: prefer-das."),
    ],
    data: suites.Data = None,
    preset: suites.Preset = None,
    tasks: suites.Tasks = None,
    seeds: suites.Seeds = None,
    rows: suites.Rows = None,
    sets: suites.Sets = None,
    no_run: Annotated[bool, typer.Option("--no-run", help="Compare existing results; run nothing.")] = False,
    sources: Annotated[
        list[Path] | None,
        typer.Option("--from", help="Compare recorded results (NAME.jsonl, repeatable); run nothing."),
    ] = None,
    jobs: Annotated[int | None, typer.Option(help="Jobs at a time [default: one per core, or one per GPU].")] = None,
    tracker: Annotated[str, typer.Option(help="mlflow, none, or a tracking URI.")] = "mlflow",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
    as_json: suites.Json = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print as Markdown.")] = False,
) -> None:
    """Run a paper's table and print our numbers next to the paper's, with reasons for missing ones.

    For a whole paper (prefer-das), all its tables follow one another. A line says whether the paper's order is kept.
    For more options (memory, several machines), use dabench suite run NAME, then reproduce NAME --no-run.

    Example:  dabench reproduce prefer-das/table-2 --preset small --tasks vnc2lucchi,lucchi2vnc
    """
    from dabench.leaderboard.published.texts import as_json as table_as_json
    from dabench.leaderboard.published.texts import as_markdown, paper_as_markdown

    names = _suites_of(name)
    how = _How(no_run, list(sources or ()), jobs, tracker, dry_run, as_json, quiet=as_json or markdown)
    changes = (data, preset, tasks, seeds, sets)
    done = [_compared(suites.asked(one, *changes, rows=rows), how) for one in names]
    if dry_run:
        raise typer.Exit
    tables = [table for found, _ in done for table in found]
    if as_json:
        print_json([table_as_json(table) for table in tables])
    elif markdown:
        typer.echo(paper_as_markdown(name, tables) if len(names) > 1 else "\n".join(map(as_markdown, tables)))
    else:
        for table in tables:
            _show(table)
    if code := max(code for _, code in done):
        raise typer.Exit(code)


@dataclass(frozen=True)
class _How:
    """Where results come from, and how they are told."""

    no_run: bool
    sources: Sequence[Path]
    jobs: int | None
    tracker: str
    dry_run: bool
    as_json: bool
    quiet: bool


def _suites_of(name: str) -> list[str]:
    """The suite of a name or file; of a paper's name all of its suites."""
    from dabench.components.registry import Registry

    found = [known for known in Registry.load().names("suite") if known.startswith(f"{name}/")]
    return found or [name]


def _compared(asked: Asked, how: _How) -> tuple[list[Comparison], int]:
    """The tables of one suite, and the exit code of running it."""
    from dabench.cli.suite_report import follow, print_plan
    from dabench.execution.settings import ExecutorSettings
    from dabench.leaderboard.published.table import compare, gather, published, recorded
    from dabench.suites.planning import make_graph, report
    from dabench.suites.spec import load_suite
    from dabench.suites.submitting import Start
    from dabench.tracking.recorded import read_recorded

    suite, registry, workspace = asked.load()
    original = load_suite(asked.file, registry)
    published(original)
    if how.dry_run:
        print_plan(make_graph(suite, registry, workspace), how.as_json)
        return [], 0
    if how.sources:
        runs = [run for source in how.sources for run in read_recorded(source)]
        return compare(suite, recorded(suite, runs), original), 0
    if how.no_run:
        return compare(suite, gather(report(suite, registry, workspace), workspace), original), 0
    with Start.here(suite, registry, workspace, ExecutorSettings(jobs=how.jobs)) as start:
        done = follow(start, ExecutorSettings(jobs=how.jobs), how.tracker, quiet=how.quiet)
    return compare(suite, gather(done, workspace), original), done.exit_code


def _show(table: Comparison) -> None:
    from dabench.leaderboard.published.order import told
    from dabench.leaderboard.published.texts import head, missing, tables

    to = console(160)
    to.print(f"{table.suite}: {table.title}", style="title", markup=False)
    for line in (*head(table), *told(table)):
        to.print(line, markup=False)
    for found in tables(table):
        to.print()
        show(found, to)
    _list(to, "missing", list(missing(table)))
    _list(to, "about the published numbers", [table.note] if table.note else [])


def _list(console: Console, title: str, lines: Sequence[str]) -> None:
    if lines:
        console.print(f"\n{title}", style="title")
    for line in lines:
        console.print(textwrap.indent(textwrap.fill(line, console.width - 4), "  "), markup=False)
