"""``dabench reproduce``: a paper's table, ours beside theirs."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dabench.cli import suite as suites

if TYPE_CHECKING:
    from rich.console import Console

    from dabench.components.registry import Registry
    from dabench.files.workspace import Workspace
    from dabench.leaderboard.published.table import Comparison, Result
    from dabench.suites.schedule import SuiteReport
    from dabench.suites.spec import Suite


def attach(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command("reproduce")(reproduce)


def reproduce(
    name: Annotated[str, typer.Argument(help="A suite with published numbers (dabench ls suites), or its file.")],
    data: suites.Data = None,
    preset: suites.Preset = None,
    tasks: suites.Tasks = None,
    seeds: suites.Seeds = None,
    rows: Annotated[str | None, typer.Option(help="Rows instead of all, comma-separated.")] = None,
    sets: suites.Sets = None,
    no_run: Annotated[bool, typer.Option("--no-run", help="Compare what there is; run nothing.")] = False,
    source: Annotated[
        Path | None, typer.Option("--from", help="Compare recorded results (NAME.jsonl); run nothing.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(help="Jobs at a time [default: one a core, or one a GPU].")] = None,
    tracker: Annotated[str, typer.Option(help="mlflow, none, or a tracking URI.")] = "mlflow",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
    as_json: suites.Json = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print as Markdown.")] = False,
) -> None:
    """Run a paper's table and print ours beside theirs, and what is missing and why.

    More ways to run (memory, several machines): dabench suite run NAME; then reproduce NAME --no-run.

    Example:  dabench reproduce prefer-das/table-2 --preset small --tasks vnc2lucchi,lucchi2vnc
    """
    from dabench.cli.suite_report import print_plan
    from dabench.leaderboard.published.table import compare, gather, published, recorded, with_rows
    from dabench.leaderboard.published.texts import as_markdown
    from dabench.suites.schedule import report
    from dabench.suites.spec import load_suite
    from dabench.tracking.recorded import read_recorded

    suite, registry, workspace = suites.load(name, data, preset, tasks, seeds, sets)
    original = load_suite(name, registry)
    published(original)
    if rows:
        suite = with_rows(suite, [row.strip() for row in rows.split(",")])
    if dry_run:
        print_plan(suite, registry, workspace, as_json)
        raise typer.Exit
    done = None
    if source is not None:
        results = recorded(suite, read_recorded(source))
    else:
        quiet = as_json or markdown
        done = report(suite, registry, workspace) if no_run else _run(suite, registry, workspace, jobs, tracker, quiet)
        results = gather(done, workspace)
    tables = compare(suite, results, original)
    if as_json:
        typer.echo(json.dumps([_as_json(table) for table in tables], indent=1))
    else:
        for table in tables:
            typer.echo(as_markdown(table)) if markdown else _show(table)
    if done is not None and not no_run:
        _exit(done)


def _run(
    suite: Suite, registry: Registry, workspace: Workspace, jobs: int | None, tracker: str, quiet: bool
) -> SuiteReport:
    from dabench.cli.suite_report import run_with_lines
    from dabench.execution.jobs import Site
    from dabench.execution.local import LocalExecutor, visible_gpus
    from dabench.suites.suite_record import suite_folder

    track = suites.make_tracker(tracker, workspace)
    logs = suite_folder(workspace, suite.name) / "logs"
    with LocalExecutor(Site.here(workspace.root), logs, jobs, visible_gpus()) as executor:
        return run_with_lines(suite, registry, workspace, executor, track, quiet=quiet)


def _exit(done: SuiteReport) -> None:
    """As `dabench suite run` does: 1 if a cell failed, 3 if files are missing."""
    if done.failed:
        raise typer.Exit(1)
    if any(cell.status == "missing" for cell in done.cells):
        raise typer.Exit(3)


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


def _as_json(table: Comparison) -> dict[str, Any]:
    kept = ("suite", "title", "source", "note", "first", "tasks", "theirs_tasks", "seeds", "comparable")
    return {
        **{name: getattr(table, name) for name in kept},
        "metrics": [str(metric) for metric in table.metrics],
        "setting": asdict(table.setting),
        "theirs_setting": asdict(table.theirs_setting),
        "lines": [{**asdict(line), "metric": str(line.metric), "difference": line.difference} for line in table.lines],
        "gains": [{**asdict(gain), "metric": str(gain.metric)} for gain in table.gains],
        "missing": [_listed(result) for result in table.missing],
        "stale": [_listed(result) for result in table.stale],
        "unavailable": dict(table.unavailable),
    }


def _listed(result: Result) -> dict[str, Any]:
    cell = result.cell
    about = {"row": cell.row, **cell.place, "cell_id": cell.config.cell_id}
    return {**about, "status": result.status, "reason": result.reason}
