"""``dabench results``: the runs of a workspace, and their replay into MLflow."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from dabench.tracking.record import RunRecord

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Lists the runs of a workspace and replays them into MLflow."
)


@app.command()
def sync(
    to: Annotated[
        str | None, typer.Option("--to", help="Any MLflow tracking URI (default: the workspace's own).")
    ] = None,
) -> None:
    """Bring an MLflow store up to date with every run of the workspace; it may be new, remote or lost.

    Example:  dabench results sync --to http://mlflow.lab:5000
    """
    from dabench.errors import DataError
    from dabench.tracking.mlflow_writer import redact
    from dabench.tracking.replay import sync as replay
    from dabench.workspace import Workspace

    place = Workspace.find()
    report = replay(place, to, on_run=lambda run: typer.echo(f"writing {run.cell_id}"))
    typer.echo(
        f"{len(report.written)} written, {len(report.unchanged)} unchanged, {len(report.damaged)} damaged: "
        f"{redact(to or place.tracking_uri)}"
    )
    if report.damaged:
        raise DataError("\n".join(report.damaged))


@app.command("ls")
def list_runs(
    as_json: Annotated[bool, typer.Option("--json", help="Print every tag and metric as JSON.")] = False,
) -> None:
    """List the runs with their scores on the target's test split and what they cost.

    Example:  dabench results ls --json
    """
    import json

    from dabench.errors import DataError
    from dabench.tracking.record import read_runs
    from dabench.workspace import Workspace

    place = Workspace.find()
    found = list(read_runs(place.runs))
    runs = [run for run in found if not isinstance(run, DataError)]
    damaged = [str(error) for error in found if isinstance(error, DataError)]
    if as_json:
        typer.echo(json.dumps({"runs": [as_dict(run) for run in runs], "damaged": damaged}, indent=1))
        return
    _show(runs, place.runs)
    for message in damaged:
        typer.echo(f"damaged: {message}", err=True)


def as_dict(run: RunRecord) -> dict[str, Any]:
    """A run for programs: what identifies it and every number it brought."""
    return {
        "cell_id": run.cell_id,
        "status": run.status,
        "reason": run.reason,
        "started": run.started,
        "ended": run.ended,
        "directory": run.path.name,
        "tags": dict(run.tags),
        "metrics": dict(run.metrics),
    }


def _show(runs: list[RunRecord], folder: Path) -> None:
    from rich.console import Console

    if not runs:
        typer.echo(
            f"No runs in {folder} yet. Make one: dabench run --method source-only --task human2stem --data phantom"
        )
        return
    Console(width=None if sys.stdout.isatty() else 200).print(_table(runs))


def _table(runs: list[RunRecord]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("task", "method", "po", "preset", "budget", "seed", "status"):
        table.add_column(name, overflow="fold")
    for name in ("Dice", "AJI", "PQ", "label s", "train s"):
        table.add_column(name, justify="right", no_wrap=True)
    for run in sorted(runs, key=lambda r: (r.tags.get("task", ""), r.tags.get("method", ""), r.started)):
        table.add_row(*_row(run))
    return table


def _row(run: RunRecord) -> tuple[str, ...]:
    tags, metrics = run.tags, run.metrics
    task = tags.get("task", "") + (f" ({tags['data']})" if tags.get("data", "real") != "real" else "")
    budget = f"{_percent(tags.get('points'))} / {_percent(tags.get('patches'))}"
    scores = (
        f"{metrics[n]:.4f}" if n in metrics else "-" for n in ("target_test/dice", "target_test/aji", "target_test/pq")
    )
    costs = (f"{metrics[n]:.0f}" if n in metrics else "-" for n in ("cost/annotation_seconds", "cost/train_seconds"))
    names = (
        task,
        tags.get("method", run.cell_id),
        tags.get("po", ""),
        tags.get("preset", ""),
        budget,
        tags.get("seed", ""),
    )
    return (*names, run.status, *scores, *costs)


def _percent(fraction: str | None) -> str:
    """A tag that holds a fraction, as per cent; the tag itself where it holds something else."""
    try:
        return f"{float(fraction or 0):.0%}"
    except ValueError:
        return str(fraction)
