"""What ``dabench suite`` prints: the plan, a line a job, and how every cell stands."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from dabench.cli.json_output import print_json
from dabench.cli.tables import console, show
from dabench.files.tables import Column, Table
from dabench.interfaces.observer import Observer

if TYPE_CHECKING:
    from dabench.execution.settings import ExecutorSettings
    from dabench.suites.graph import CellNode, SuiteGraph
    from dabench.suites.schedule import SuiteReport
    from dabench.suites.submitting import Running, Start


class Lines(Observer):
    """A line when a job starts or ends, with how many are done and an estimate of the rest."""

    def __init__(self, suite: str) -> None:
        """Count the jobs of this suite."""
        self._suite, self._jobs, self._done, self._start = suite, 0, 0, time.monotonic()
        self._running: set[str] = set()

    def begun(self, work: str, total: int, state: str = "new") -> None:
        if work == self._suite:
            self._jobs, self._start = total, time.monotonic()
            return
        self._running.add(work)
        typer.echo(f"  started  {work}")

    def ended(self, work: str, status: str, values: Mapping[str, float] | None = None, reason: str = "") -> None:
        if status == "altered":
            typer.echo(f"  altered  {work}: {reason}")
            return
        if work not in self._running:  # a cell's record, complete
            return
        self._running.remove(work)
        self._done += 1
        spent = time.monotonic() - self._start
        rest = _duration(spent / self._done * (self._jobs - self._done))
        why = f": {reason.splitlines()[0]}" if reason else ""
        seconds = (values or {}).get("seconds", 0.0)
        typer.echo(f"  {status:<8} {work} ({seconds:.0f} s){why}   [{self._done}/{self._jobs}, {rest} left]")


def follow(
    start: Start, where: ExecutorSettings, tracker: str, *, quiet: bool = False, record: Path | None = None
) -> SuiteReport:
    """Run a suite to its end, and unless ``quiet`` print its plan and a line per job.

    ``record``: a file of recorded results that gets every cell that finishes.
    """
    from dabench.suites.schedule import run_suite
    from dabench.tracking.mlflow_sync import MlflowSync
    from dabench.tracking.recorded import add_recorded

    track = MlflowSync.of(tracker, start.workspace, lambda text: typer.echo(f"warning: {text}", err=True))
    if not quiet:
        show_plan(start.graph, where)
    return run_suite(
        start.graph,
        start.workspace,
        start.executor,
        asked=where.resources,
        retries=where.tries,
        planned=start.planned,
        track=track,
        finished=None if record is None else lambda run: add_recorded(record, [run]),
        observer=None if quiet else Lines(start.graph.suite.name),
    )


def print_plan(graph: SuiteGraph, as_json: bool, where: ExecutorSettings | None = None) -> None:
    """Print what a suite would do."""
    asked = where.resources if where else None
    print_json(graph.as_json(asked)) if as_json else show_plan(graph, where)


def show_plan(graph: SuiteGraph, where: ExecutorSettings | None = None) -> None:
    """Cells by state, stages that they share, training that is left by resource, and why a cell does not run."""
    plan = graph.as_json(where.resources if where else None)
    states = ", ".join(f"{count} {state}" for state, count in plan["states"].items())
    typer.echo(f"{graph.suite.name}: {len(graph.cells)} cells ({states})")
    stages, updates = plan["stages"], plan["updates"]
    if stages["alone"]:
        share = updates["shared"] / max(updates["alone"], 1)
        typer.echo(
            f"  {stages['distinct']} stages ({stages['trained']} trained) serve {stages['alone']} stages of all cells: "
            f"{updates['shared']} instead of {updates['alone']} updates ({share:.0%})"
        )
    known, unknown = plan["estimated_seconds"], plan["stages_of_unknown_speed"]
    if known or unknown:
        rest = f", plus {unknown} stages whose kind has not run here" if unknown else ""
        typer.echo(f"  left to train: {_duration(known)} with one job at a time{rest}")
        hours = plan["estimated_hours"]
        gpus = f", {hours['gpus']:.2f} GPU hours" if hours["gpus"] else ""
        typer.echo(f"  {plan['jobs']} jobs: training takes {hours['cores']:.2f} core hours{gpus}")
        by_stage = plan["estimated_core_hours_by_stage"]
        if len(by_stage) > 1:
            typer.echo(f"  by stage: {', '.join(f'{name} {hours:.2f}' for name, hours in by_stage.items())}")
    reasons: dict[tuple[str, str], list[CellNode]] = {}
    for node in graph.cells:
        if node.reason:
            reasons.setdefault((node.state, node.reason.splitlines()[0]), []).append(node)
    for (state, why), nodes in reasons.items():
        rows = ", ".join(dict.fromkeys(node.cell.row for node in nodes))
        typer.echo(f"  {state}: {nodes[0].label if len(nodes) == 1 else f'{len(nodes)} cells of {rows}'}: {why}")


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{seconds:.0f} s" if seconds < 100 else f"{minutes} min" if minutes < 100 else f"{minutes / 60:.1f} h"


def finish(report: SuiteReport, as_json: bool, running: Sequence[Running] | None = None) -> None:
    """Print the state of every cell, and of every job where those are given; leave with the report's exit code."""
    if as_json:
        jobs = {} if running is None else {"running": [asdict(job) for job in running]}
        print_json({**report.as_json(), **jobs})
    else:
        _show_report(report)
        _show_running(running or ())
    raise typer.Exit(report.exit_code)


def _show_report(report: SuiteReport) -> None:
    columns = [Column(name, "text") for name in ("task", "row", "seed", "status", "reason")]
    cells = [(cell.node.cell, cell) for cell in report.cells]
    rows = [(c.config.task, c.row, c.config.seed, s.status, s.reason.partition("\n")[0]) for c, s in cells]
    to = console()
    show(Table.of(columns, rows, report.suite.title or report.suite.name), to)
    to.print(", ".join(f"{count} {status}" for status, count in report.counts().items()))
    seconds = report.graph.seconds()
    if seconds is not None and seconds[1]:
        to.print(
            f"training: {_duration(seconds[0])} with shared stages, {_duration(seconds[1])} without sharing "
            f"({seconds[0] / seconds[1]:.0%})"
        )
    to.print(f"compare:  dabench leaderboard --suite {report.suite.name}")


def _show_running(running: Sequence[Running]) -> None:
    if running:
        columns = [Column(name, "text") for name in ("job", "state", "where", "for")]
        rows = [(job.label, job.state, job.where, job.time) for job in running]
        show(Table.of(columns, rows, "jobs"), console())
