"""What dabench offers, as sorted lines: commands, flags, exit codes, and what a run leaves in MLflow and on disk.

`tests/compatibility/old/features.txt` is that list before the layout was redrawn:

    python -m tests.compatibility.features RUNS MLFLOW_DB > tests/compatibility/old/features.txt
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import typer

from dabench import errors
from dabench.cli.main import app


def command_lines(command: Any, name: str = "dabench") -> Iterator[str]:
    """A command with its arguments and flags, then those below it."""
    yield f"command {name}"
    for parameter in command.params:
        shown = "/".join(sorted([*parameter.opts, *parameter.secondary_opts]))
        kind = "flag" if shown.startswith("-") else "argument"
        yield f"{kind} {name} {shown}"
    for inner, below in sorted(getattr(command, "commands", {}).items()):
        yield from command_lines(below, f"{name} {inner}")


def exit_codes() -> Iterator[str]:
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, errors.DabenchError):
            yield f"exit code {kind.exit_code} {name}"


def store_lines(tracking_uri: str) -> Iterator[str]:
    """Tags, settings, metrics and inputs of every run in a store; names of summaries apart."""
    client = mlflow.MlflowClient(tracking_uri)
    for experiment in client.search_experiments():
        for run in client.search_runs([experiment.experiment_id]):
            kind = run.data.tags.get("dabench.kind", "none")
            yield from (f"mlflow {kind} tag {name}" for name in run.data.tags)
            yield from (f"mlflow {kind} param {name}" for name in run.data.params)
            yield from (f"mlflow {kind} metric {name}" for name in run.data.metrics)
            yield from (f"mlflow {kind} input {i.dataset.name}" for i in run.inputs.dataset_inputs)


def file_lines(runs: Path) -> Iterator[str]:
    """Files of the run directories, which are the artifacts of their MLflow runs; panels are named after slices."""
    for path in runs.rglob("*"):
        if path.is_file() and path.suffix != ".lock" and "stages" not in path.parts:
            yield "artifact " + re.sub(r"\d{4}", "0000", path.relative_to(runs).as_posix().split("/", 1)[1])


def features(runs: Path, tracking_uri: str) -> list[str]:
    """All lines, each once."""
    command = typer.main.get_command(app)
    return sorted({*command_lines(command), *exit_codes(), *store_lines(tracking_uri), *file_lines(runs)})


if __name__ == "__main__":
    sys.stdout.write("\n".join(features(Path(sys.argv[1]), f"sqlite:///{sys.argv[2]}")) + "\n")
