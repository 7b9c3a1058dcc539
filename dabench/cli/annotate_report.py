"""``dabench annotate report``: how far raters agree, whether they are consistent, and what took them how long."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dabench.cli.json_output import print_json
from dabench.cli.tables import console, show
from dabench.files.workspace import Workspace

if TYPE_CHECKING:
    from dabench.annotation.answers import Answer
    from dabench.annotation.preference_set import PreferenceSet
    from dabench.interfaces import Truth


def report(
    answers: Annotated[
        list[Path], typer.Argument(help="Answer files (choices/anna.jsonl), or data sets (folders or zips).")
    ],
    gold: Annotated[Path | None, typer.Option(help="Answers of a trusted rater, which count as correct.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Report on raters: agreement beyond chance, consistency, bias towards the first place, strengths, time.

    With fewer than 30 questions, nothing is concluded. If the domain's labels are on this machine, the report also says
    how good the chosen outlines are, and how good they could be.

    Example:  dabench annotate report choices/rater-a.jsonl choices/rater-b.jsonl
    """
    from dabench.annotation.ceiling import ceilings
    from dabench.annotation.gold import gold_of
    from dabench.annotation.report import gather, set_of
    from dabench.annotation.report import report as summarise
    from dabench.annotation.report_words import sentences, tables

    questions, given, notes = gather(answers)
    if gold is not None:
        questions = gold_of(questions, _trusted(gold, answers[0]))
    found, choices = summarise(questions, given), set_of(answers[0])
    truth, note = _truth(choices)
    if truth is not None:
        found = replace(found, ceilings=ceilings(choices, given, truth))
    for text in [*notes, *([note] if note else [])]:
        typer.echo(f"note: {text}", err=True)
    said = sentences(found)
    if as_json:
        print_json({**asdict(found), "sentences": said})
        return
    where = console(piped=120)
    for table in tables(found):
        show(table.fitted(where.width)[0], where)
        typer.echo()
    for sentence in said:
        typer.echo(sentence)


def _trusted(gold: Path, answers: Path) -> list[Answer]:
    """Answers of a file, which may lie in another copy of the set. Raises DataError for one of other questions."""
    from dabench.annotation.report import gather

    _, given, _ = gather([answers, gold])
    return given[list(given)[-1]]


def _truth(choices: PreferenceSet) -> tuple[Truth | None, str]:
    """Labels of the slices that a set asks about, on its pixels; None, and why, where they are not here."""
    from dabench.annotation.truth import VolumeTruth
    from dabench.components.registry import Registry
    from dabench.data.resampled import ResampledLabels
    from dabench.ops.resampling import Resampling
    from dabench.runs.domains import known_domains
    from dabench.volumes.viewer.targets import Opener

    workspace, registry = Workspace.find(), Registry.load()
    made, opener = choices.manifest, Opener(registry, workspace)
    domain = known_domains(registry, workspace).get(made.domain)
    if domain is None or domain.missing():
        return (
            None,
            f"{made.domain or 'the domain'} is not on this machine, so the answers are not compared with labels.",
        )
    split = domain.open(made.split, opener.volume)
    if split.labels is None or split.digest != made.images_digest:
        why = "has no labels here" if split.labels is None else "has other images here"
        return None, f"{made.domain} {why}, so the answers are not compared with labels."
    stored, asked = split.images.shape[1:], made.shape[1:]
    labels = split.labels if stored == asked else ResampledLabels(split.labels, Resampling(stored, asked))
    return VolumeTruth(labels), ""
