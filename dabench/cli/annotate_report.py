"""``dabench annotate report``: how far raters agree, whether they are consistent, and what took them how long."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def attach(app: typer.Typer) -> None:
    """Add the command to the group."""
    app.command("report")(report)


def report(
    answers: Annotated[
        list[Path], typer.Argument(help="Answer files (choices/anna.jsonl), or whole data sets: folders or zips.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Report on raters: agreement beyond chance, consistency, bias to the first place, strengths, seconds.

    Of fewer than 30 questions nothing is claimed.

    Example:  dabench annotate report choices/rater-a.jsonl choices/rater-b.jsonl
    """
    from dataclasses import asdict

    from dabench.annotation.report import gather
    from dabench.annotation.report import report as summarise
    from dabench.annotation.report_words import sentences, tables
    from dabench.cli.tables import console, show

    questions, given, notes = gather(answers)
    for note in notes:
        typer.echo(f"note: {note}", err=True)
    found = summarise(questions, given)
    said = sentences(found)
    if as_json:
        typer.echo(json.dumps({**asdict(found), "sentences": said}, indent=1))
        return
    where = console(piped=120)
    for table in tables(found):
        show(table.fitted(where.width)[0], where)
        typer.echo()
    for sentence in said:
        typer.echo(sentence)
