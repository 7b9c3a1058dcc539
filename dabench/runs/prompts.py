"""Points given at test as prompts: shares of the true centres, simulated, or a person's file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dabench.annotation.raters import simulate_points
from dabench.annotation.truth import VolumeTruth
from dabench.errors import ConfigError, DataError, MissingDataError
from dabench.interfaces import WeakLabel
from dabench.runs.task import TaskData
from dabench.types import PointAnswer

#: Of a run's folder: the recorded points that its prediction was made with.
KEPT = Path("predictions") / "target_test_points.csv"

#: Points by slice.
Points = Mapping[int, PointAnswer]


def check_test_points(task: TaskData, points: WeakLabel) -> None:
    """Refuse test points, before anything trains, that cannot be given.

    Args:
        task: of the run.
        points: the weak label ``points``, which reads a file.

    Raises:
        ConfigError: the test split has no labels, so nothing would be scored.
        MissingDataError: the file is not there.
        DataError: it is damaged, holds no point, is of another domain or split, or leaves the test split.
    """
    config = task.config
    if why := task.unscored() if any(config.test_points) else "":
        shown = config.test_points_file or ", ".join(f"{share:g}" for share in config.test_points)
        raise ConfigError(
            f"test points {shown}: {why}.",
            "Leave out --test-points. To use a file of points as prompts: dabench predict",
        )
    if config.test_points_file is not None:
        recorded_points(config.test_points_file, task, points)


def recorded_points(path: Path, task: TaskData, points: WeakLabel) -> dict[int, PointAnswer]:
    """A person's points on the target's test split, by slice; raises as `check_test_points` does."""
    if not path.exists():
        raise MissingDataError(
            f"recorded test points, {path}: no such file.",
            "--test-points takes shares between 0 and 1, comma-separated, or a points file (docs/annotation.md).",
        )
    split = task.target_test
    shape = split.images.shape
    points.check_file(path, {"domain": split.domain, "split": split.name, "shape": shape})
    answers: list[PointAnswer] = points.read(path)
    try:
        points.check(answers, shape)
    except DataError as error:
        raise DataError(f"{path}: {error.message}", error.mend) from None
    if not any(len(answer.points) for answer in answers):
        raise DataError(f"{path}: contains no points.", "The formats are in docs/annotation.md.")
    return {answer.z: answer for answer in answers}


def prompts_at_test(task: TaskData, points: WeakLabel) -> dict[float, Points]:
    """Test points by share and slice, on the stored pixels; all of a person's file count as the share 1.

    A slice of which a file says nothing is predicted without prompts.
    """
    config, split = task.config, task.target_test
    if config.test_points_file is not None:
        return {1.0: recorded_points(config.test_points_file, task, points)}
    assert split.labels is not None
    truth, seed = VolumeTruth(split.labels), config.budget.seed
    return {share: simulate_points(points, truth, share, seed) for share in config.test_points if share}


def keep_recorded(task: TaskData, points: WeakLabel, folder: Path) -> None:
    """Write the recorded points that a run predicted with into its folder; nothing where they were simulated."""
    split, config = task.target_test, task.config
    if config.test_points_file is not None:
        given = recorded_points(config.test_points_file, task, points)
        points.write(list(given.values()), folder / KEPT, {"domain": split.domain, "split": split.name})
