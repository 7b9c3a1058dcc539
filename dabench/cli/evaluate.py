"""``dabench evaluate``: score any two stacks under a protocol."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dabench.cli.json_output import print_json
from dabench.cli.options import (
    Axes,
    Channel,
    LabelKind,
    LabelValues,
    Predicted,
    PredictedValues,
    Protocol,
    Series,
    Threshold,
    slice_range,
)
from dabench.cli.options import label_kind as kind_of
from dabench.cli.options import label_values as values_of
from dabench.cli.tables import show
from dabench.files.atomic import protect
from dabench.files.tables import Column, Number, Table

if TYPE_CHECKING:
    from dabench.api.evaluation import Evaluation


def evaluate(
    prediction: Annotated[
        Path, typer.Option(help="Stack to score: output of dabench predict, TIFF, folder, or any registered format.")
    ],
    labels: Annotated[Path, typer.Option(help="Stack of labels of the same shape.")],
    channel: Channel = None,
    series: Series = None,
    axes: Axes = None,
    protocol: Protocol = "das-2d@1",
    slices: Annotated[str | None, typer.Option(metavar="A:B", help="Score slices A to B-1 only.")] = None,
    label_slices: Annotated[
        str | None, typer.Option(metavar="A:B", help="The prediction covers only slices A to B-1 of the labels.")
    ] = None,
    labelled: Annotated[
        str | None, typer.Option(metavar="A:B", help="The labels cover only slices A to B-1 of the prediction.")
    ] = None,
    label_values: LabelValues = None,
    label_kind: LabelKind = "auto",
    threshold: Threshold = None,
    predicted: Predicted = "auto",
    predicted_values: PredictedValues = None,
    per_slice: Annotated[Path | None, typer.Option(help="Also write one row per slice to this CSV file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON, including the rows.")] = False,
) -> None:
    """Score a stack of predictions against a stack of labels.

    Labels are a mask (0 and one other value) or object ids. If they are ambiguous, an error names the option that
    decides. Nothing is resampled: shapes must match.
    If the protocol needs ids and the labels are a mask, its connected components are the objects; a note says so.
    For the output of dabench predict, the instances are scored if the protocol uses ids, else the mask.
    --channel, --series and --axes are for the prediction; for labels, add them to the path: labels.tif/channel=1

    Example:  dabench evaluate --prediction prediction.tif --labels labels.tif --per-slice scores.csv
    """
    from dabench.api.evaluation import evaluate as score
    from dabench.interfaces.choice import with_choice

    protect([prediction, labels], per_slice=per_slice)
    report = score(
        with_choice(prediction, channel=channel, series=series, axes=axes),
        labels,
        protocol,
        threshold=threshold,
        label_values=values_of("--label-values", label_values),
        label_kind=kind_of(label_kind),
        slices=slice_range("--slices", slices),
        label_slices=slice_range("--label-slices", label_slices),
        labelled=slice_range("--labelled", labelled),
        predicted=predicted,
        predicted_values=values_of("--predicted-values", predicted_values),
        progress=not as_json,
    )
    if per_slice:
        report.write_csv(per_slice)
    if as_json:
        origin = {"prediction": str(prediction), "labels": str(labels), "foreground": report.foreground}
        print_json({**origin, **report.as_json()})
    else:
        _print_table(report, f"{protocol}: {prediction.name} against {labels.name}")


def _why(report: Evaluation) -> str:
    return ", ".join(sorted({s.left_out for s in report.slices if s.left_out})) or "empty on both sides"


def _print_table(report: Evaluation, title: str) -> None:
    typer.echo(title)
    rows = []
    for metric, value in report.metrics.items():
        scored = sorted((s.values[metric], s.z) for s in report.slices if metric in s.values)
        ends = [f"{v:.4f} (slice {z})" for v, z in (scored[0], scored[-1])] if scored else [None, None]
        rows.append((metric, Number(value, digits=4) if report.n else None, *ends))
    columns = [Column("metric", "name"), *map(Column, ("score", "lowest slice", "highest slice"))]
    show(Table.of(columns, rows))
    typer.echo(
        f"{report.n} slices counted, {report.left_out} left out ({_why(report)}). Prediction: {report.foreground}."
    )
    if not report.n:
        typer.echo("No score: no slice has a predicted or labelled object (or all pixels are ignored).")
