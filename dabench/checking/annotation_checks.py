"""Checks of what a person was asked: what the run charges, and what the desk hands out for these settings here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dabench.annotation.desk import AnnotationDesk, plain
from dabench.checking.plan_checks import made_otherwise, planned_here
from dabench.checking.references import References, first_line
from dabench.checking.report import Findings
from dabench.checking.run_files import RunFiles
from dabench.errors import BudgetError, DabenchError
from dabench.files.digests import digest_of
from dabench.interfaces import WeakLabel
from dabench.runs.annotation import kept_copy
from dabench.tracking.events import Cost


def check_costs(run: RunFiles, here: References, found: Findings) -> None:
    """Nothing was handed out by the annotation desk that the journal does not charge."""
    counts: dict[str, int] = {}
    seconds = 0.0
    try:
        weak_labels = here.weak_labels(run.config)
    except DabenchError as error:
        found.skip(f"annotation: {first_line(error)}")
        return
    for path in sorted((run.path / "annotation").glob("[!.]*")):
        if path.stem not in weak_labels:
            found.skip(f"annotation/{path.name}: no weak label of that name is registered here")
            continue
        label = weak_labels[path.stem]
        answers = label.read(path)
        counts[path.stem] = label.units(answers)
        seconds += label.price(answers)
    said = run.record.annotation or Cost(0.0)
    charges = _charges(said)
    for kind, count in counts.items():
        charged = charges.get(kind, 0)
        if not count <= charged:
            found.problem(f"annotation/ has {count} {kind}, the journal charges {charged}")
    total = said.annotation_seconds
    if not seconds <= total * (1 + 1e-6) + 1e-6:
        found.problem(f"annotation/ took {seconds:.1f} s of a person's time, the journal charges {total:.1f} s")
    shown = ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "no annotation"
    found.note(f"{shown}; {total:.1f} s charged")


def _charges(cost: Cost) -> dict[str, int]:
    """Units by kind of annotation, as the journal charges them."""
    return {**cost.others, "points": cost.points, "preferences": cost.patches}


def check_annotation(run: RunFiles, here: References, found: Findings) -> None:
    """What the simulated rater answers follows from budget, seed and questions: the run has it, and pays for it.

    Where a person answered, or the method is not installed here, nothing can be computed.
    """
    try:
        plan = planned_here(run, here)
    except DabenchError as error:
        found.skip(f"annotation cannot be simulated again: {first_line(error)}")
        return
    split, desk = plan.task.target_train, plan.desk
    if desk is None or run.config.budget.rater != "truth":
        found.skip("annotation cannot be simulated again: the run's rater is not simulated from labels")
        return
    digest = digest_of([split.digest, split.label_digest])
    if any(e.name == f"{split.domain}/{split.name}" and e.digest != digest for e in run.receipt.inputs):
        found.skip("annotation cannot be simulated again: this machine has other training data than the run used")
        return
    weak = here.weak_labels(run.config)
    wrong = [
        text
        for kind in plan.asks
        if desk.share(kind) > 0
        for text in _compare(run, desk, weak[kind], kind, split.images.shape[0], found)
    ]
    strange = list(made_otherwise(run, plan)) if wrong else []
    for text in wrong:
        for state, _ in strange[:1]:
            found.mark(state, f"{text}; code or machine differ from the run's, so this need not be an error")
        if not strange:
            found.problem(text)
    if not plan.asks:
        found.note("the method asks for no annotation")


def _compare(
    run: RunFiles, desk: AnnotationDesk, weak: WeakLabel, kind: str, slices: int, found: Findings
) -> list[str]:
    """Ask the desk again; in what the run's answers of a kind differ from those that it gives."""
    path = kept_copy(run.path, kind)
    request = weak.request(desk.share(kind), range(slices))
    if request is None and path is not None:
        request = weak.recorded_request(path)
    if request is None:
        found.skip(f"{kind}: the questions depend on the trained model, which is not in the run")
        return []
    try:
        desk.ask(kind, request)
    except BudgetError:
        return [f"annotation/{kind} holds more than the budget of {desk.share(kind):g} allows"]
    entries = [entry for entry in desk.ledger() if entry["kind"] == kind]
    count, seconds = sum(e["count"] for e in entries), sum(e["seconds"] for e in entries)
    problems = _not_given(desk, kind, weak, path, count)
    cost = run.record.annotation or Cost(0.0)
    charged, total = _charges(cost).get(kind, 0), cost.annotation_seconds
    if charged < count:
        problems.append(f"the journal charges {charged} {kind}; for this budget and seed the desk gives {count}")
    if total < seconds * (1 - 1e-6) - 1e-6:
        problems.append(
            f"the journal charges {total:.1f} s of a person's time; {count} {kind} alone take {seconds:.1f} s"
        )
    if not problems:
        found.note(f"{kind}: the desk gives the same {count} here, for {seconds:.1f} s of a person's time")
    return problems


def _not_given(desk: AnnotationDesk, kind: str, weak: WeakLabel, path: Path | None, count: int) -> list[str]:
    """Whether the file of a kind holds what the desk gives; both are read from files, which round alike."""
    if path is None:
        return [f"annotation/ has no {kind}; for this budget and seed the desk gives {count}"] if count else []
    with TemporaryDirectory() as folder:
        written = {p.stem: p for p in desk.write(Path(folder))}
        given = weak.read(written[kind]) if kind in written else []
        answers = weak.read(path)
    if _contents(answers) == _contents(given):
        return []
    return [
        f"annotation/{path.name} has {weak.units(answers)} {kind}; for this budget and seed the desk gives "
        f"{weak.units(given)}" + (" different ones" if weak.units(answers) == weak.units(given) else "")
    ]


def _contents(answers: Sequence[Any]) -> list[str]:
    return sorted(json.dumps(plain(answer), sort_keys=True) for answer in answers)
