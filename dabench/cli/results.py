"""``dabench results``: the runs of a workspace, their replay into MLflow, and bundles for other machines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dabench.cli.json_output import print_json
from dabench.cli.options import Predicted, PredictedValues, Protocol, Threshold, number
from dabench.cli.verify import All, OfSuite, Quick, Runs
from dabench.errors import ConfigError, DataError
from dabench.files.workspace import Workspace

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="List the runs of a workspace, copy them to MLflow, and move them between machines.",
)


@app.command()
def sync(
    to: Annotated[
        str | None, typer.Option("--to", help="An MLflow tracking URI [default: the workspace's store].")
    ] = None,
) -> None:
    """Copy all runs of the workspace to an MLflow store. The store may be new or on another machine.

    Example:  dabench results sync --to http://mlflow.lab:5000
    """
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
    """List the runs with their scores on the target's test split and their costs.

    Example:  dabench results ls --json
    """
    from dabench.api.tables import read_results
    from dabench.cli.results_report import show_runs

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
        Path, typer.Option("--output", help="File to write: NAME.dabench.zip, or NAME.jsonl for numbers only.")
    ],
    runs: Runs = None,
    everything: All = False,
    suite: OfSuite = None,
    origin: Annotated[str, typer.Option(help="Who made these runs; not needed between your own machines.")] = "",
    with_plugins: Annotated[
        bool,
        typer.Option("--with-plugins", help="Add a wheel of each plugin, for plugins that no package index has."),
    ] = False,
) -> None:
    """Write runs to one file for another machine or group: journals, receipts and predictions, but never weights.

    Each run is verified first. --all leaves out unfinished and imported runs. With --suite, the file holds the suite
    with its finished cells, and the other machine shows the same rows. A file NAME.jsonl gets only the journals. It
    cannot be verified or imported; use it with --from of leaderboard and reproduce, or with suite run --record. Cells
    that such a file already holds are replaced; its other runs stay.

    Example:  dabench results export --all --origin em-lab --output em-lab.dabench.zip
    """
    from dabench.api.progress import make_display
    from dabench.checking.bundle import export_runs
    from dabench.checking.verify import Verifier
    from dabench.cli.results_report import show_export
    from dabench.components.registry import Registry
    from dabench.suites.finished import suite_runs
    from dabench.suites.run_choice import choose_runs, is_ours_and_finished, records_of
    from dabench.suites.suite_record import started_suites
    from dabench.tracking.recorded import SUFFIX, add_recorded

    place = Workspace.find()
    chosen = choose_runs(place, runs or (), everything=everything, suite=suite)
    kept = chosen if runs else [path for path in chosen if is_ours_and_finished(path)]
    if output.suffix == SUFFIX:
        if with_plugins:
            raise ConfigError(f"--with-plugins: {output.name} contains numbers only.", "Use NAME.dabench.zip")
        total = add_recorded(output, records_of(place, kept, suite))
        typer.echo(f"{len(kept)} runs{f' of {total}' if total > len(kept) else ''}: {output}")
        return
    left_out, told, suites = len(chosen) - len(kept), "", list[str]()
    if suite and suite in started_suites(place):
        cells = suite_runs(place, suite)
        kept, left_out, told, suites = list(cells.finished), len(cells.others), cells.told, [suite]
    verifier = Verifier(Registry.load(), place)
    with make_display(quiet=False, stderr=True) as display:
        done = export_runs(kept, output, verifier, origin, suites, with_plugins=with_plugins, observer=display)
    show_export(done, left_out, told, with_plugins)


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="A bundle that `dabench results export` wrote.")],
    origin: Annotated[str, typer.Option(help="Who made these runs, instead of the bundle's own statement.")] = "",
    mine: Annotated[bool, typer.Option("--mine", help="These runs are your own, from another machine.")] = False,
    max_gib: Annotated[float, number(help="Largest unpacked size in GiB.", min=0)] = 8.0,
    quick: Quick = False,
    wheels: Annotated[
        Path | None, typer.Option(help="Copy the wheels of plugins in the bundle to this folder; nothing is installed.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything and change nothing.")] = False,
) -> None:
    """Import the runs of a bundle, after checking every file, digest and score: all of them, or none.

    Imported runs are stored next to yours and shown with their origin. If a bundle names no origin, its digest is used.
    Suites do not count them as done, unless you say with --mine that they are your own. A run that is already here is
    left as it is.

    Example:  dabench results import em-lab.dabench.zip --dry-run
    """
    from dabench.api.progress import make_display
    from dabench.checking.bundle_import import import_bundle
    from dabench.checking.verify import Verifier
    from dabench.cli.results_report import show_import
    from dabench.components.registry import Registry

    place = Workspace.find()
    verifier = Verifier(Registry.load(), place)
    limit = int(max_gib * (1 << 30))
    with make_display(quiet=False, stderr=True) as display:
        done = import_bundle(
            file,
            place,
            verifier,
            origin=origin,
            mine=mine,
            limit=limit,
            quick=quick,
            dry_run=dry_run,
            wheels=wheels,
            observer=display,
        )
    show_import(done, file, None if dry_run else wheels, dry_run)


@app.command("import-predictions")
def import_predictions(
    file: Annotated[Path, typer.Argument(help="Predictions for the target's test split, in any format.")],
    task: Annotated[str, typer.Option(help="Tasks with this target, comma-separated: lucchi2vnc,cdeep3m2vnc.")],
    statement: Annotated[
        Path, typer.Option(help="YAML file about the tool: tool, version, trained_on, saw (domains, or unknown).")
    ],
    data: Annotated[str, typer.Option(help="real or phantom.")] = "real",
    preset: Annotated[str, typer.Option(help="Preset of the rows to compare with.")] = "small",
    protocol: Protocol = "das-2d@1",
    inference: Annotated[str, typer.Option(help="Inference profile of the rows to compare with.")] = "hann",
    suite: Annotated[str, typer.Option(help="Suite whose table should show it.")] = "",
    threshold: Threshold = None,
    predicted: Predicted = "auto",
    predicted_values: PredictedValues = None,
) -> None:
    """Score predictions of another tool and add them to the board as a row.

    A tool is shown but never ranked if its training data include the target, or if that is not known. The row's name
    is TOOL VERSION; another import of the same version replaces it.

    Example:  dabench results import-predictions masks.tif --task lucchi2vnc --statement mitonet.yaml
    """
    from dabench.api.outside import OutsideRow, Reading, read_statement
    from dabench.api.outside import import_predictions as imported
    from dabench.cli.options import label_values
    from dabench.components.registry import Registry
    from dabench.tracking.scores import ScoreKey

    row = OutsideRow([name.strip() for name in task.split(",")], data, preset, protocol, inference, suite)
    reading = Reading(threshold, predicted, label_values("--predicted-values", predicted_values))
    runs = imported(file, read_statement(statement), row, Workspace.find(), Registry.load(), reading)
    for run in runs:
        scores = "  ".join(f"{name} {run.cell_scores[ScoreKey(0.0, name)]:.4f}" for _, name in run.cell_scores)
        typer.echo(
            f"{run.tags['task']}  {scores or 'no score: nothing was predicted and nothing is labelled'}  {run.key}"
        )
    if saw := runs[0].tags.get("weights_saw"):
        typer.echo(f"shown but not ranked: the tool's training data include the target, or may ({saw})")
