"""A run as a view: the target's test split with what the run predicted, the truth and its prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dabench.checking.references import References
from dabench.checking.run_files import RunFiles
from dabench.errors import DataError, MissingDataError
from dabench.files.digests import digest_of
from dabench.runs.prompts import KEPT, prompts_at_test
from dabench.volumes.viewer.view_data import ViewData

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from dabench.components.registry import Registry
    from dabench.files.workspace import Workspace
    from dabench.interfaces import Split, Volume
    from dabench.runs.task import TaskData
    from dabench.types import Array


def run_view_data(
    path: Path, registry: Registry, workspace: Workspace, open_volume: Callable[[Path], Volume]
) -> ViewData:
    """What the run directory ``path`` predicted on the target's test split.

    Args:
        path: ``runs/<cell_id>``, or a copy of it.
        registry: for the task's data.
        workspace: for the user's own domains.
        open_volume: opens the stored prediction.

    Raises:
        MissingDataError: the run stored no prediction, or its images are not on this machine.
        DataError: the images here are not those that the run predicted.
    """
    run, here = RunFiles(path), References(registry, workspace)
    stored = path / "predictions" / "target_test.tif"
    if not stored.is_file():
        raise MissingDataError(
            f"{path.name}: the run has no prediction (it did not finish, or its target has no test split).",
            f"dabench run ... finishes it; or  dabench predict --run {path.name} --images FILE --output mito.zarr",
        )
    task = here.task(run.config)
    if missing := task.missing(source=False):
        raise MissingDataError(
            f"{path.name}: images of {task.target!r} are not here: {missing[0]}",
            "Where to get them: dabench data ls",
        )
    split = task.target_test
    _check_same(run, split)
    note = f"Dice on this page is of each slice's pixels; the scores of the run are those of {run.config.protocol}."
    return ViewData(
        title=run.cell_id,
        images=split.images,
        prediction=open_volume(stored),
        truth=split.labels,
        points=_prompts(here, run, task) if run.config.test_points[0] else {},
        voxel=split.voxel,
        notes=(note,) if split.labels is not None else (),
    )


def _check_same(run: RunFiles, split: Split) -> None:
    """The receipt names the content of what was read: other images must not be shown under this prediction."""
    if not run.has_receipt:
        return
    name, digest = f"{split.domain}/{split.name}", digest_of([split.digest, split.label_digest])
    if any(entry.name == name and entry.digest != digest for entry in run.receipt.inputs):
        raise DataError(
            f"{run.path.name}: {name} on this machine differs from the run's prediction (other digest).",
            f"dabench view {run.path}/predictions/target_test.tif --images FILE  shows it over any images.",
        )


def _prompts(here: References, run: RunFiles, task: TaskData) -> Mapping[int, Array]:
    """The test points that the stored prediction was made with: those recorded, or of the first share."""
    weak, kept = here.weak_labels(run.config)["points"], run.path / KEPT
    if kept.is_file():
        return {answer.z: answer.points for answer in weak.read(kept)}
    if task.target_test.labels is None:
        return {}
    return {z: answer.points for z, answer in prompts_at_test(task, weak)[run.config.test_points[0]].items()}
