"""Carries a suite to a tracking store while it runs; a store that fails stops nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dabench.files.workspace import Workspace
from dabench.tracking.record import RunRecord
from dabench.tracking.run_reader import read_run

if TYPE_CHECKING:
    from dabench.tracking.mlflow_writer import MlflowWriter


#: The tracker that is a workspace's own MLflow store, and none.
MLFLOW, NOWHERE = "mlflow", "none"


class MlflowSync:
    """An `MlflowWriter` that is made when first used. The first failure is told, and then nothing more is tried."""

    def __init__(self, uri: str, artifact_root: Path | None, warn: Callable[[str], None]) -> None:
        """Take the writer's arguments, and what is told of a failure."""
        self.uri, self._artifact_root, self._warn = uri, artifact_root, warn
        self._broken = False

    @classmethod
    def of(cls, tracker: str, workspace: Workspace, warn: Callable[[str], None]) -> MlflowSync | None:
        """One by name: ``mlflow`` (the workspace's own store), a tracking URI, or ``none``, which is None."""
        if tracker == NOWHERE:
            return None
        own = tracker == MLFLOW
        return cls(workspace.tracking_uri if own else tracker, workspace.artifacts if own else None, warn)

    @cached_property
    def _writer(self) -> MlflowWriter:
        from dabench.tracking.mlflow_writer import MlflowWriter

        return MlflowWriter(self.uri, self._artifact_root, self._warn)

    def write(self, run: RunRecord | Path) -> None:
        """Carry one run: its record, or its directory."""
        self._try(lambda: self._writer.write(read_run(run) if isinstance(run, Path) else run))

    def summarise(self, suite: str, runs: Sequence[RunRecord]) -> None:
        """Carry what the runs of a suite say together."""
        self._try(lambda: self._writer.summarise(suite, runs))

    def _try(self, act: Callable[[], object]) -> None:
        if self._broken:
            return
        try:
            act()
        except Exception as error:  # whatever it is, results lie in the run directories
            self._broken = True
            self._warn(f"MLflow: {error}\n  No result is lost. Later, run: dabench results sync")
