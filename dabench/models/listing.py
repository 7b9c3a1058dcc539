"""What models there are: finished runs of a workspace and model files in its folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dabench.errors import DabenchError, DataError
from dabench.files.workspace import Workspace
from dabench.models.loading import models_folder
from dabench.models.model_file import SUFFIX, read_model_card
from dabench.tracking.record import RunRecord
from dabench.tracking.run_reader import read_runs
from dabench.training.store import StageFolder


@dataclass(frozen=True)
class Listed:
    """A run or a file. ``score`` is that of the headline, None without; ``problem`` says why it cannot be loaded."""

    kind: str
    name: str
    method: str = ""
    task: str = ""
    data: str = ""
    score: float | None = None
    metric: str = ""
    path: Path = Path()
    problem: str = ""


def list_models(workspace: Workspace) -> Iterator[Listed]:
    """Runs that ended well, then model files, each by name; what is damaged is listed with its problem."""
    for run in read_runs(workspace.runs):
        if not isinstance(run, DataError) and run.status == "ok":
            yield _of_run(run, workspace)
    for path in sorted(models_folder(workspace).glob(f"[!.]*{SUFFIX}")):
        yield _of_file(path)


def _of_run(run: RunRecord, workspace: Workspace) -> Listed:
    last = next(stage for stage in run.stages if stage.stage == run.final)
    roots = (run.path / "stages", workspace.stages)
    here = any(StageFolder(root, last.key).record() is not None for root in roots)
    headline = next((s for s in run.scores if s.stage == last.stage and s.split == "test"), None)
    metric, score = next(iter(headline.metrics.items()), ("", None)) if headline else ("", None)
    problem = "" if here else "its weights are not here"
    tags = run.tags
    return Listed("run", run.key, tags["method"], tags["task"], tags["data"], score, metric, run.path, problem)


def _of_file(path: Path) -> Listed:
    try:
        card = read_model_card(path)
    except DabenchError as error:
        return Listed("file", path.stem, path=path, problem=error.message)
    metric, score = next(iter(card.scores[0].metrics.items()), ("", None)) if card.scores else ("", None)
    config = card.config
    return Listed("file", path.stem, config.method, config.task, config.data, score, metric, path)
