"""Preference data sets in ``dabench data``: verified, and copied."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import typer

from dabench.cli.json_output import print_json
from dabench.errors import DataError


def verify(path: Path, *, as_json: bool) -> None:
    """Report on a preference data set. Raises DataError for one that is not sound."""
    from dabench.annotation.verify_set import verify_set

    report = verify_set(path)
    if as_json:
        print_json(asdict(report))
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


def export(path: Path, output: Path, *, images: bool | None) -> None:
    """Copy a preference data set, answers and all."""
    from dabench.annotation.preference_set import PreferenceSet

    choices = PreferenceSet.open(path)
    made = choices.export(output, images=images)
    if images and not choices.manifest.redistribution:
        warn_of_terms(choices.manifest.licence)
    typer.echo(
        f"wrote {output}: {len(made.questions)} questions, {'with' if made.manifest.images else 'without'} images"
    )


def warn_of_terms(licence: str) -> None:
    """Say that images are not everybody's to hand on."""
    known = licence or "not on the card"
    typer.echo(f"warning: the terms of the images may not allow you to share them (licence: {known}).", err=True)
