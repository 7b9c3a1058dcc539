"""``dabench results``: the runs of a workspace, their replay into MLflow, and bundles for other machines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dabench.cli.verify import All, OfSuite, Quick, Runs

if TYPE_CHECKING:
    from dabench.checking.bundle_import import Imported
    from dabench.files.tables import Cell, Table
    from dabench.tracking.record import RunRecord

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Lists the runs of a workspace, replays them into MLflow, moves them between machines.",
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
    from dabench.files.workspace import Workspace
    from dabench.suites.suite_record import all_rows
    from dabench.tracking.mlflow_store import redact
    from dabench.tracking.replay import sync as replay

    place = Workspace.find()
    report = replay(place, to, lambda run: typer.echo(f"writing {run.cell_id}"), all_rows(place), _warn)
    typer.echo(
        f"{len(report.written)} written, {len(report.unchanged)} unchanged, {len(report.damaged)} damaged, "
        f"{report.summaries} summaries: {redact(to or place.tracking_uri)}"
    )
    if report.damaged:
        raise DataError("\n".join(report.damaged))


def _warn(text: str) -> None:
    typer.echo(text, err=True)


@app.command("ls")
def list_runs(
    as_json: Annotated[bool, typer.Option("--json", help="Print every tag and metric as JSON.")] = False,
) -> None:
    """List the runs with their scores on the target's test split and what they cost.

    Example:  dabench results ls --json
    """
    import json

    from dabench.api.tables import read_results
    from dabench.files.workspace import Workspace

    place = Workspace.find()
    runs, damaged = read_results(place)
    if as_json:
        typer.echo(json.dumps({"runs": [run.as_json() for run in runs], "damaged": damaged}, indent=1))
        return
    _show(runs, place.runs)
    for message in damaged:
        typer.echo(f"damaged: {message}", err=True)


@app.command("export")
def export_bundle(
    output: Annotated[
        Path, typer.Option("--output", help="File to write: NAME.dabench.zip, or NAME.jsonl for numbers alone.")
    ],
    runs: Runs = None,
    everything: All = False,
    suite: OfSuite = None,
    origin: Annotated[str, typer.Option(help="Who made these runs; leave it out between machines of your own.")] = "",
) -> None:
    """Write runs into one file for another machine or another group: journals, receipts, predictions; never weights.

    Each run is verified first. With --all or --suite, unfinished runs and those from elsewhere are left out. NAME.jsonl
    gets journals alone, which nothing verifies: for a board or a paper's table (their --from), not for an import.

    Example:  dabench results export --all --origin em-lab --output em-lab.dabench.zip
    """
    from dabench.checking.bundle import export_runs
    from dabench.checking.verify import Verifier
    from dabench.components.registry import Registry
    from dabench.files.workspace import Workspace
    from dabench.suites.run_choice import choose_runs, is_ours_and_finished, records_of
    from dabench.tracking.recorded import SUFFIX, write_recorded

    place = Workspace.find()
    chosen = choose_runs(place, runs or (), everything=everything, suite=suite)
    kept = chosen if runs else [path for path in chosen if is_ours_and_finished(path)]
    if output.suffix == SUFFIX:
        write_recorded(output, records_of(place, kept, suite))
        typer.echo(f"{len(kept)} runs: {output}")
        return
    done = export_runs(kept, output, Verifier(Registry.load(), place), origin)
    typer.echo(f"{len(done.cells)} runs, {len(chosen) - len(kept)} left out, {done.size / 1e6:.1f} MB: {output}")
    typer.echo(f"sha256 {done.sha256}")


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="A bundle that `dabench results export` wrote.")],
    origin: Annotated[str, typer.Option(help="Who made these runs, whatever the bundle says.")] = "",
    max_gib: Annotated[float, typer.Option(help="Largest size unpacked, in GiB.", min=0)] = 8.0,
    quick: Quick = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything and change nothing.")] = False,
) -> None:
    """Take runs over from a bundle, after every file, digest and score was checked; all of them or none.

    Runs with an origin lie beside your own and are shown with it; a run that is here already stays as it is.

    Example:  dabench results import em-lab.dabench.zip --dry-run
    """
    from dabench.checking.bundle_import import import_bundle
    from dabench.checking.verify import Verifier
    from dabench.components.registry import Registry
    from dabench.files.workspace import Workspace

    place = Workspace.find()
    verifier = Verifier(Registry.load(), place)
    limit = int(max_gib * (1 << 30))
    done = import_bundle(file, place, verifier, origin=origin, limit=limit, quick=quick, dry_run=dry_run)
    _show_import(done, dry_run)


def _show_import(done: Imported, dry_run: bool) -> None:
    for run in done.runs:
        unchecked = ", ".join(check.name for check in run.report.unchecked) if run.report.status == "ok" else ""
        note = f"  (not checked here: {unchecked})" if unchecked else ""
        typer.echo(f"{'new' if run.is_new else 'here already':<12}  {run.folder}{note}")
    new = sum(run.is_new for run in done.runs)
    whose = "" if done.origin == "here" else f" from {done.origin}"
    would = "would be " if dry_run else ""
    typer.echo(f"{new} runs{whose} {would}imported, {len(done.runs) - new} here already.")


def _show(runs: list[RunRecord], folder: Path) -> None:
    from dabench.cli.tables import console, show

    if not runs:
        typer.echo(
            f"No runs in {folder} yet. Make one: dabench run --method source-only --task human2stem --data phantom"
        )
        return
    show(_table(runs), console(200))


def _table(runs: list[RunRecord]) -> Table:
    from dabench.files.tables import Column, Table
    from dabench.tracking.record import HERE

    columns = [Column(name, "text") for name in ("task", "method", "po", "preset", "budget", "seed", "status")]
    columns += map(Column, ("Dice", "AJI", "PQ", "label s", "train s"))
    ordered = sorted(runs, key=lambda r: (r.tags.get("task", ""), r.tags.get("method", ""), r.started))
    rows = [_row(run) for run in ordered]
    if any(run.origin != HERE for run in runs):
        columns.append(Column("origin", "text"))
        rows = [(*row, run.origin) for row, run in zip(rows, ordered, strict=True)]
    return Table.of(columns, rows)


def _row(run: RunRecord) -> tuple[Cell, ...]:
    from dabench.files.tables import Number
    from dabench.tracking.scores import ScoreKey

    tags = run.tags
    task = tags.get("task", "") + (f" ({tags['data']})" if tags.get("data", "real") != "real" else "")
    budget = f"{_percent(tags.get('points'))} / {_percent(tags.get('patches'))}"
    named = (task, tags.get("method", run.cell_id), tags.get("po", ""), tags.get("preset", ""), budget)
    scores = [run.cell_scores.get(ScoreKey(0.0, name)) for name in ("dice", "aji", "pq")]
    spent = (run.costs.annotation_seconds, run.costs.train_seconds)
    numbers = [(value, 4) for value in scores] + [(value, 0) for value in spent]
    shown = (None if value is None else Number(value, digits=digits) for value, digits in numbers)
    return (*named, tags.get("seed", ""), run.status, *shown)


def _percent(fraction: str | None) -> str:
    """A tag that holds a fraction, as per cent; the tag itself where it holds something else."""
    try:
        return f"{float(fraction or 0):.0%}"
    except ValueError:
        return str(fraction)
