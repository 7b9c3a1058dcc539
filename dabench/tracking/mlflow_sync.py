"""Carries a suite to a tracking store while it runs; a store that fails stops nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dabench.tracking.record import RunRecord

if TYPE_CHECKING:
    from dabench.tracking.mlflow_writer import MlflowWriter


class MlflowSync:
    """An `MlflowWriter` that is made when first used. The first failure is told, and then nothing more is tried."""

    def __init__(self, uri: str, artifact_root: Path | None, warn: Callable[[str], None]) -> None:
        """Take the writer's arguments, and what is told of a failure."""
        self._uri, self._artifact_root, self._warn = uri, artifact_root, warn
        self._broken = False

    @cached_property
    def _writer(self) -> MlflowWriter:
        from dabench.tracking.mlflow_writer import MlflowWriter

        return MlflowWriter(self._uri, self._artifact_root, self._warn)

    def write(self, run: RunRecord) -> None:
        """Carry one run."""
        self._try(lambda: self._writer.write(run))

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
            self._warn(str(error))
