"""``dabench results``: the runs of a workspace, their replay into MLflow, and bundles for other machines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dabench.cli.json_output import print_json
from dabench.cli.options import number
from dabench.cli.verify import All, OfSuite, Quick, Runs

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="List the runs of a workspace, copy them into MLflow, move them between machines.",
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
    from dabench.api.tables import read_results
    from dabench.cli.results_report import show_runs
    from dabench.files.workspace import Workspace

    place = Workspace.find()
    runs, damaged = read_results(place)
    if as_json:
        print_json({"runs": [run.as_json() for run in runs], "damaged": damaged})
        return
    show_runs(runs, place.runs)
    for message in damaged:
        typer.echo(f"damaged: {message}", err=True)


@app.command("export")
def export_bundle(
    output: Annotated[
        Path, typer.Option("--output", help="File to write: NAME.dabench.zip, or NAME.jsonl for only the numbers.")
    ],
    runs: Runs = None,
    everything: All = False,
    suite: OfSuite = None,
    origin: Annotated[str, typer.Option(help="Who made these runs; leave it out between machines of your own.")] = "",
    with_plugins: Annotated[
        bool,
        typer.Option("--with-plugins", help="Add a wheel of each plugin: for what no index has."),
    ] = False,
) -> None:
    """Write runs into one file for another machine or another group: journals, receipts, predictions; never weights.

    Each run is verified first. With --all, unfinished runs and those from elsewhere are left out. With --suite, the
    file holds the suite with its finished cells, and the other machine shows the same rows. NAME.jsonl gets journals
    alone, which nothing verifies: for a board or a paper's table (their --from), not for an import.

    Example:  dabench results export --all --origin em-lab --output em-lab.dabench.zip
    """
    from dabench.checking.bundle import export_runs
    from dabench.checking.verify import Verifier
    from dabench.cli.results_report import show_export
    from dabench.components.registry import Registry
    from dabench.errors import ConfigError
    from dabench.files.workspace import Workspace
    from dabench.suites.finished import suite_runs
    from dabench.suites.run_choice import choose_runs, is_ours_and_finished, records_of
    from dabench.suites.suite_record import started_suites
    from dabench.tracking.recorded import SUFFIX, write_recorded

    place = Workspace.find()
    chosen = choose_runs(place, runs or (), everything=everything, suite=suite)
    kept = chosen if runs else [path for path in chosen if is_ours_and_finished(path)]
    if output.suffix == SUFFIX:
        if with_plugins:
            raise ConfigError(f"--with-plugins: {output.name} holds numbers only.", "Use NAME.dabench.zip")
        write_recorded(output, records_of(place, kept, suite))
        typer.echo(f"{len(kept)} runs: {output}")
        return
    verifier, started = Verifier(Registry.load(), place), suite in started_suites(place)
    if suite and started:
        cells = suite_runs(place, suite)
        done = export_runs(cells.finished, output, verifier, origin, [suite], with_plugins=with_plugins)
        left_out, told = len(cells.others), cells.told
    else:
        done = export_runs(kept, output, verifier, origin, with_plugins=with_plugins)
        left_out, told = len(chosen) - len(kept), ""
    show_export(done, left_out, told, with_plugins)


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="A bundle that `dabench results export` wrote.")],
    origin: Annotated[str, typer.Option(help="Who made these runs, whatever the bundle says.")] = "",
    mine: Annotated[bool, typer.Option("--mine", help="These runs are your own, from another machine.")] = False,
    max_gib: Annotated[float, number(help="Largest size unpacked, in GiB.", min=0)] = 8.0,
    quick: Quick = False,
    wheels: Annotated[
        Path | None, typer.Option(help="Copy the wheels of plugins in the bundle to this folder; nothing is installed.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything and change nothing.")] = False,
) -> None:
    """Take runs over from a bundle, after every file, digest and score was checked; all of them or none.

    They lie beside your own and are shown with their origin, which a bundle without one gets from its digest; no suite
    counts them as done. With --mine they are your own. A run that is here already stays as it is.

    Example:  dabench results import em-lab.dabench.zip --dry-run
    """
    from dabench.checking.bundle_import import import_bundle
    from dabench.checking.verify import Verifier
    from dabench.cli.results_report import show_import
    from dabench.components.registry import Registry
    from dabench.files.workspace import Workspace

    place = Workspace.find()
    verifier = Verifier(Registry.load(), place)
    limit = int(max_gib * (1 << 30))
    done = import_bundle(
        file, place, verifier, origin=origin, mine=mine, limit=limit, quick=quick, dry_run=dry_run, wheels=wheels
    )
    show_import(done, file, None if dry_run else wheels, dry_run)
