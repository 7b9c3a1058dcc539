"""Preference data sets in ``dabench data``: verified, and exported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def attach(app: typer.Typer) -> None:
    """Add the command to  dabench data."""
    app.command("export")(export)


def verify(path: Path, *, as_json: bool) -> None:
    """Report on a preference data set. Raises DataError for one that is not sound."""
    from dataclasses import asdict

    from dabench.annotation.verify_set import verify_set
    from dabench.errors import DataError

    report = verify_set(path)
    if as_json:
        typer.echo(json.dumps(asdict(report), indent=1))
    else:
        state, images = "BAD" if report.problems else "ok", "with" if report.images else "without"
        typer.echo(
            f"{path} {state}: {report.questions} questions on {report.domain or 'unknown images'}, {images} images"
        )
        for rater, count in report.answered.items():
            typer.echo(f"  {rater}: {count} questions answered ({count / max(1, report.questions):.0%})")
        for note in report.notes:
            typer.echo(f"  note: {note}")
    if report.problems:
        raise DataError(f"{path}: {len(report.problems)} problem(s).\n" + "\n".join(report.problems))


def export(
    path: Annotated[Path, typer.Argument(help="A preference data set: folder or zip.")],
    output: Annotated[Path, typer.Option(help="Folder or .zip to write.")],
    images: Annotated[
        bool | None,
        typer.Option("--with-images/--without-images", help="[default: with, where the card of the domain allows it]"),
    ] = None,
) -> None:
    """Copy a preference data set, answers and all, so that it can be handed on.

    Example:  dabench data export choices --output choices.zip --without-images
    """
    from dabench.annotation.preference_set import PreferenceSet

    choices = PreferenceSet.open(path)
    made = choices.export(output, images=images)
    if images and not choices.manifest.redistribution:
        licence = choices.manifest.licence or "none on the card"
        typer.echo(f"warning: the images' terms may not allow to hand them on (licence: {licence}).", err=True)
    typer.echo(
        f"wrote {output}: {len(made.questions)} questions, {'with' if made.manifest.images else 'without'} images"
    )
