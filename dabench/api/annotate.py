"""Questions for raters: the preference data set of a task, made by a trained model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dabench.api.progress import Display
from dabench.components.registry import Registry
from dabench.files.workspace import Workspace
from dabench.runs.config import RunConfig, validate_config

if TYPE_CHECKING:
    from dabench.annotation.preference_set import PreferenceSet


def config_of(run: str | Path, changes: Mapping[str, Any], workspace: str | Path | None = None) -> RunConfig:
    """The configuration of a run, with changes: another method shares the stages that both have.

    Of a person's files the run's own copies are taken: they are what its stages saw, wherever the files are by now.

    Args:
        run: folder or name of a run; the start of its name is enough if it is unique.
        changes: settings by name, as ``{"method": "prefer-das", "po": "slpo"}``; None leaves one as it is.
        workspace: of the run.

    Raises:
        UnknownNameError: there is no such run.
        ConfigError: a change that is wrong.
    """
    from dabench.models.loading import find
    from dabench.runs.own_files import with_own_files
    from dabench.tracking.run_reader import read_run

    record = read_run(find(run, Workspace.find(workspace)))
    given = {name: value for name, value in changes.items() if value is not None}
    return with_own_files(validate_config({**record.params, **given}), record.path)


def make_questions(
    config: RunConfig,
    output: str | Path,
    workspace: str | Path | None = None,
    display: Display | None = None,
    gold: int = 0,
) -> PreferenceSet:
    """Train what comes before the preference stage of a run, unless it is trained, and write the stage's questions.

    Args:
        config: of a run with a preference stage that asks people.
        output: a folder that is not there yet.
        workspace: where stages are trained and kept.
        display: told of the training.
        gold: number of gold questions: answers known from labels, which rate the raters; not for training.

    Raises:
        ConfigError: the run needs no preferences of a person, or ``output`` exists.
        DataError: the candidates of every patch are identical, or labels decide too few gold questions.

    Example:
        >>> from dabench.api.run import configured
        >>> few = {"source-only": {"iterations": 20}, "prompt-das": {"iterations": 2, "recalibrate": 1}}
        >>> task = {"method": "prefer-das", "po": "slpo", "task": "human2stem", "data": "phantom", "preset": "tiny"}
        >>> choices = make_questions(configured({**task, "options": few}), "choices")  # doctest: +SKIP
        >>> choices.manifest.domain  # doctest: +SKIP
        'stem'
    """
    from dabench.runs.questions import questions_of, write_questions

    asked = questions_of(config, Registry.load(), Workspace.find(workspace), display)
    return write_questions(asked, Path(output), gold=gold)
