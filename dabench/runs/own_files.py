"""Files of a person that a run was given (points, preferences), as the run itself keeps them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dabench.runs.annotation import kept_copy
from dabench.runs.config import RunConfig
from dabench.runs.prompts import KEPT


def with_own_files(config: RunConfig, run: Path) -> RunConfig:
    """A run's configuration with its own copies of the files that it was given, wherever these are by now.

    Of a file that the run has no copy of, the path stays as it is.
    """
    kept = {kind: copy for kind in config.budget.recorded() if (copy := kept_copy(run, kind)) is not None}
    short = {f"{kind}_file": kept.pop(kind) for kind in ("points", "preferences") if kind in kept}
    budget = config.budget.model_copy(update={"files": {**config.budget.files, **kept}, **short})
    prompts = run / KEPT if config.test_points_file is not None and (run / KEPT).is_file() else config.test_points_file
    return config.model_copy(update={"budget": budget, "test_points_file": prompts})


def missing_files(config: RunConfig) -> Iterator[str]:
    """The files that a configuration names and that are not there, each with what it is for."""
    named = {**config.budget.recorded(), "test points": config.test_points_file}
    for kind, path in named.items():
        if path is not None and not path.exists():
            yield f"{kind}: {path.name}"
