"""The questions that a preference stage would ask, as a data set for people, before anything of it is trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from dabench.annotation.gold import draw_gold, known_answers
from dabench.annotation.preference_set import Manifest, PreferenceSet, Question
from dabench.annotation.raters import AskedRater, draw_rng
from dabench.annotation.set_answers import distinct, question_id
from dabench.annotation.truth import VolumeTruth
from dabench.components.registry import Registry
from dabench.errors import ConfigError, DataError, MissingDataError
from dabench.files.workspace import Workspace
from dabench.interfaces import Volume
from dabench.interfaces.observer import Observer
from dabench.runs.config import RunConfig
from dabench.runs.plan import Plan, make_plan
from dabench.runs.preference_data import about_stage
from dabench.runs.stages import StageChain
from dabench.types import Array, PreferenceQuestion, Window

_KIND = "preferences"


@dataclass(frozen=True)
class StageQuestions:
    """What one stage of a plan asks: in the order in which it asks."""

    plan: Plan
    index: int
    questions: tuple[PreferenceQuestion, ...]


def asking_plan(
    config: RunConfig, registry: Registry, workspace: Workspace, rater: AskedRater | None = None
) -> tuple[Plan, int]:
    """The plan of a run with any rater, and the number of the stage that asks for them.

    Raises:
        ConfigError: no stage of the run asks a person for preferences, or its budget of them is 0.
        MissingDataError: files of the task are not here.
    """
    budget = config.budget.model_copy(update={"preferences_file": None})
    asked = config.model_copy(update={"budget": budget, "test_points_file": None, "test_points": (0.0,)})
    plan = make_plan(asked, registry, workspace, raters={_KIND: rater or AskedRater()})
    if plan.missing:
        raise MissingDataError(f"task {config.task}: files are missing: {', '.join(plan.missing[:3])}.")
    asking = [i for i, stage in enumerate(plan.stages) if _KIND in stage.spec.asks]
    if not asking or not plan.budget.patches:
        raise ConfigError(
            f"{config.cell_id}: {plan.skip or 'asks a person for no preferences'}.",
            "Use a method with a preference stage that asks people (--po), and a patch budget above 0.",
        )
    return plan, asking[0]


def questions_of(
    config: RunConfig, registry: Registry, workspace: Workspace, observer: Observer | None = None
) -> StageQuestions:
    """The questions of a run's preference stage, asked of its trained reference; the stage itself is not trained.

    Args:
        config: of a run with a stage that asks for preferences. Who answers there does not matter.
        registry: of components.
        workspace: where trained stages lie.
        observer: told of the stages before, which are trained if need be.

    Raises:
        ConfigError: no stage of the run asks a person for preferences, or its budget of them is 0.
        MissingDataError: files of the task are not here.
        DataError: all candidates are the same everywhere: there is nothing to ask.
    """
    rater = AskedRater()
    plan, index = asking_plan(config, registry, workspace, rater)
    chain = StageChain(plan, registry, observer or Observer())
    for before in range(index):
        chain.finish(before)
    chain.ask(index)
    found = tuple(question for request in rater.requests for question in request.questions)
    if not found:
        raise DataError(f"{config.cell_id}: the candidates of every patch are identical, so there is nothing to ask.")
    return StageQuestions(plan, index, found)


def write_questions(asked: StageQuestions, path: Path, *, gold: int = 0) -> PreferenceSet:
    """Write questions as a data set that people can answer.

    Args:
        asked: what `questions_of` gave.
        path: folder or (suffix ``.zip``) zip.
        gold: so many of the questions, drawn among those of which labels leave no doubt, get their right answers.

    Raises:
        ConfigError: ``path`` is there already.
        DataError: gold questions without labels, or more of them than there are.
    """
    plan = asked.plan
    made = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    thresholds = sorted({t for question in asked.questions for t in question.thresholds})
    values = {**about_stage(plan, asked.index), "thresholds": tuple(thresholds), "created": made}
    values["draw"] = " and ".join(sorted({question.draw or "random" for question in asked.questions}))
    manifest = Manifest(**{name: value for name, value in values.items() if name in Manifest.model_fields})
    right = _gold(asked, gold) if gold else {}
    volume, neighbours = plan.task.target_images, plan.task.target_train.neighbours

    def items() -> Iterator[tuple[Question, Array, Mapping[int, Array]]]:
        for number, question in enumerate(asked.questions):
            stored, masks = _stored(number, question, volume.shape[1:])
            stored = stored.model_copy(update={"gold": right.get(number)})
            yield stored, masks, _pictures(volume, stored, neighbours=neighbours)

    return PreferenceSet.write(path, manifest, items())


def _gold(asked: StageQuestions, count: int) -> dict[int, tuple[int, ...]]:
    """Right answers of ``count`` questions by their number."""
    task = asked.plan.task
    labels = task.seen_labels(task.target_train)
    if labels is None:
        raise DataError(
            f"{task.target!r} has no training labels, so correct answers are not known.",
            "Let a trusted rater answer some questions: dabench annotate report … --gold choices/NAME.jsonl",
        )
    shown = ((q.z, q.window, distinct(q.candidates, q.thresholds)[0]) for q in asked.questions)
    known = known_answers(shown, VolumeTruth(labels))
    if len(known) < count:
        raise DataError(
            f"{count} gold questions: the labels decide only {len(known)} of {len(asked.questions)} questions clearly."
        )
    return draw_gold(known, count, draw_rng("gold", asked.plan.config.budget.seed))


def _stored(number: int, question: PreferenceQuestion, shape: tuple[int, int]) -> tuple[Question, Array]:
    masks, thresholds, digests = distinct(question.candidates, question.thresholds)
    prompts = np.zeros((0, 2)) if question.prompts is None else question.prompts
    stored = Question(
        id=question_id(number),
        z=question.z,
        window=question.window,
        context=_context(question.window, shape),
        tile=question.tile or question.window,
        thresholds=thresholds,
        digests=digests,
        prompts=tuple((float(y), float(x)) for x, y in prompts),
        draw=question.draw,
    )
    return stored, masks


def _context(window: Window, shape: tuple[int, int]) -> Window:
    """The patch and its surroundings (half of the patch, 24 pixels at least), as far as the slice reaches."""
    margin = max(24, max(window.height, window.width) // 2)
    top, left = max(0, window.y - margin), max(0, window.x - margin)
    bottom = min(shape[0], window.y + window.height + margin)
    right = min(shape[1], window.x + window.width + margin)
    return Window(top, left, bottom - top, right - left)


def _pictures(volume: Volume, question: Question, *, neighbours: bool) -> dict[int, Array]:
    """The context on its slice, and on its neighbours where they lie next to it; grey values as the model sees them."""
    steps = (-1, 0, 1) if neighbours else (0,)
    return {
        step: np.rint(255 * volume.read(question.z + step)[question.context.slices]).clip(0, 255).astype(np.uint8)
        for step in steps
        if 0 <= question.z + step < volume.shape[0]
    }
