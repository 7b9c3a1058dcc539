"""Read all of a preference data set and report what is wrong, without stopping at the first problem."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from dabench.annotation.answers import decisive
from dabench.annotation.preference_set import PreferenceSet
from dabench.errors import DataError


@dataclass
class SetReport:
    """What was found in a set; no ``problems`` means it is sound.

    ``answered`` counts by rater the questions with an answer that is not ``skip``; ``notes`` are lines that a crash cut
    off and that are left out.
    """

    path: str
    domain: str = ""
    questions: int = 0
    images: bool = False
    answered: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def verify_set(path: Path) -> SetReport:
    """Digests, every mask, every picture and every answer. Never raises for bad data; reports it."""
    report = SetReport(str(path))
    try:
        choices = PreferenceSet.open(path)
    except DataError as error:
        report.problems.append(str(error))
        return report
    report.domain, report.images = choices.manifest.domain, choices.manifest.images
    report.questions = len(choices.questions)
    _files(choices, report)
    _pixels(choices, report)
    _answers(choices, report)
    return report


def _files(choices: PreferenceSet, report: SetReport) -> None:
    for name, digest in choices.manifest.files.items():
        try:
            seen = hashlib.sha256(choices.read(name)).hexdigest()
        except DataError as error:
            report.problems.append(str(error))
            continue
        if seen != digest:
            report.problems.append(f"{choices.path / name}: changed since it was written ({seen[:12]})")


def _pixels(choices: PreferenceSet, report: SetReport) -> None:
    """Masks of every question, and its picture where the set has images."""
    for question in choices.questions:
        try:
            choices.masks(question)
            if choices.manifest.images and choices.image(question) is None:
                report.problems.append(f"{choices.path}: question {question.id} has no image")
        except DataError as error:
            report.problems.append(str(error))


def _answers(choices: PreferenceSet, report: SetReport) -> None:
    for rater in choices.raters:
        try:
            report.answered[rater] = len(decisive(choices.answers(rater)))
            report.notes += choices.notes(rater)
        except DataError as error:
            report.problems.append(str(error))
