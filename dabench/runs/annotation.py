"""The annotation of one run: its budget, its desk, and what it cost."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from dabench.annotation.answers import decisive
from dabench.annotation.desk import AnnotationDesk
from dabench.annotation.panel import RaterPanel
from dabench.annotation.preference_set import PreferenceSet
from dabench.annotation.truth import VolumeTruth
from dabench.components.assembly import Assembly
from dabench.errors import MissingDataError, UnknownNameError
from dabench.interfaces import Budget, Selector, Volume, WeakLabel
from dabench.runs.config import RunConfig
from dabench.runs.task import TaskData

#: Share of a person's points by which a selector chooses, and which no stage is given.
HELD_OUT = 0.2


def budget_of(config: RunConfig, assembly: Assembly) -> Budget:
    """The run's budget: what the user gives, else the shares that the method is defined with."""
    given = config.budget.given()
    for kind in given:
        if kind not in (known := assembly.registry.names("weak_label")):
            raise UnknownNameError("weak label", kind, known)
    return Budget.of({**assembly.method(config.method).default_shares(), **given})


def make_desk(
    config: RunConfig, task: TaskData, weak_labels: Mapping[str, WeakLabel], budget: Budget, selector: Selector
) -> AnnotationDesk:
    """The annotation desk over the target's training split.

    Of a person's points some are held out where the ``selector`` looks at them, unless the run says otherwise.
    """
    held_out = HELD_OUT if "points" in selector.looks_at else 0.0
    split = task.target_train
    files = config.budget.recorded()
    for kind, path in files.items():
        if kind not in weak_labels:
            raise UnknownNameError("weak label", kind, weak_labels)
        if not path.exists():  # said before anything trains
            raise MissingDataError(f"recorded {kind}, {path}: no such file.", "The formats are in docs/annotation.md.")
    labels = None if split.labels is None else lambda: _truth(task.opened_anew(split).labels)
    seen = None if split.labels is None else lambda: _truth(task.seen_labels(task.opened_anew(split)))
    errors, seed = config.budget.errors(), config.budget.seed
    desk = AnnotationDesk(
        truth=labels,
        shape=split.images.shape,
        budget=budget,
        weak_labels=weak_labels,
        rater=config.budget.rater,
        rater_error=errors[0],
        seed=seed,
        recorded=files,
        label_digest=split.label_digest,
        resampling=task.resampling(split),
        seen=seen,
        about=about_split(task),
        allow_unanswered=config.budget.allow_unanswered,
        held_out=held_out if config.budget.held_out is None else config.budget.held_out,
    )
    if len(errors) > 1 and config.budget.rater == "truth" and "preferences" not in files:
        desk.use("preferences", RaterPanel(labels, seed, errors, split.label_digest, seen))
    return desk


def _truth(labels: Volume | None) -> VolumeTruth:
    assert labels is not None
    return VolumeTruth(labels)


def kept_copy(run: Path, kind: str) -> Path | None:
    """Where a run keeps the answers of a kind that its stages were given; None where it has none."""
    return next((path for path in (run / "annotation").glob("*") if path.stem == kind), None)


def answer_notes(config: RunConfig) -> tuple[str, ...]:
    """What a user should know of a preference data set before anything trains: how much was answered, what was cut off.

    Raises:
        DataError: the set is damaged.
    """
    path = config.budget.preferences_file
    if path is None or not PreferenceSet.is_set(path):
        return ()
    choices = PreferenceSet.open(path)
    answered = {name for rater in choices.raters for name in decisive(choices.answers(rater))}
    count, raters = len(choices.questions), len(choices.raters)
    said = f"{path}: {len(answered)} of {count} questions answered ({len(answered) / count:.0%}) by {raters} rater(s)"
    return (said, *choices.notes())


def idle_notes(config: RunConfig, task: TaskData, asks: Collection[str]) -> tuple[str, ...]:
    """What was asked for and does nothing: a domain adapted to itself, and budgets of what no stage asks for."""
    given, said = config.budget, []
    if task.source == task.target:
        said.append(f"{config.task}: source and target are the same domain, so there is nothing to adapt to")
    shares = {kind for kind, share in given.given().items() if share > 0}
    if "points" not in given.model_fields_set:  # a share that nobody asked for
        shares.discard("points")
    idle = sorted({*shares, *given.recorded()} - {*asks})
    said += [f"method {config.method} asks for no {kind}: this budget has no effect" for kind in idle]
    return tuple(said)


def about_split(task: TaskData) -> dict[str, Any]:
    """What a preference data set says of the images that it shows: fields of its manifest."""
    split = task.target_train
    resampling, (depth, height, width) = task.resampling(split), split.images.shape
    rows_columns = resampling.target if resampling else (height, width)
    pixel = task.source_pixel if resampling and task.source_pixel else split.voxel[1:]
    licence, redistribution = task.terms
    return {
        "domain": split.domain,
        "split": split.name,
        "shape": (depth, *rows_columns),
        "voxel": (split.voxel[0], *pixel),
        "images_digest": split.digest,
        "licence": licence,
        "redistribution": redistribution,
    }
