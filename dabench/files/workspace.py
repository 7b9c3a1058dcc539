"""Where things lie: runs, cached stages, weights, cards, the MLflow store and the data."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Workspace:
    """A folder that holds all that dabench writes. Default: ``DABENCH_WORKSPACE``, else ``workspace/``."""

    root: Path

    @classmethod
    def find(cls, root: Path | str | None = None) -> Workspace:
        """The workspace that a flag, the environment or the default names; not created until something is written."""
        return cls(Path(root or os.environ.get("DABENCH_WORKSPACE") or "workspace").absolute())

    @property
    def runs(self) -> Path:
        """One folder a cell."""
        return self.root / "runs"

    @property
    def stages(self) -> Path:
        """Finished and half-finished stages, by key."""
        return self.root / "stages"

    @property
    def weights(self) -> Path:
        """Weights that the user added, with their digests."""
        return self.root / "weights"

    @property
    def cards(self) -> Path:
        """Cards of the user's own domains."""
        return self.root / "cards"

    @property
    def data(self) -> Path:
        """Real data: ``DABENCH_DATA``, else ``data/`` in the workspace."""
        return Path(os.environ.get("DABENCH_DATA") or self.root / "data").absolute()

    @property
    def tracking_uri(self) -> str:
        """The default MLflow store."""
        return f"sqlite:///{self.root / 'mlflow.db'}"

    @property
    def artifacts(self) -> Path:
        """Artifacts of the default MLflow store."""
        return self.root / "mlartifacts"
