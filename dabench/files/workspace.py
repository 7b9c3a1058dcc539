"""Where things lie: runs, cached stages, weights, cards, the MLflow store and the data."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

#: How the address of a SQLite store begins.
SQLITE = "sqlite:///"


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
        """One folder per cell."""
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

    def suite(self, name: str) -> Path:
        """The record of a suite, and the logs of its workers."""
        return self.root / "suites" / name.replace("/", "__")

    @property
    def tracking_uri(self) -> str:
        """The default MLflow store."""
        return sqlite_uri(self.root / "mlflow.db")

    @property
    def artifacts(self) -> Path:
        """Artifacts of the default MLflow store."""
        return self.root / "mlartifacts"


def sqlite_uri(path: Path) -> str:
    """The address of a SQLite store. ``?`` would begin its options and ``%`` an encoded character: both are encoded.

    >>> sqlite_uri(Path("/data/w?x=1/mlflow.db"))
    'sqlite:////data/w%3Fx=1/mlflow.db'
    """
    return SQLITE + str(path).replace("%", "%25").replace("?", "%3F")


def sqlite_path(uri: str) -> Path | None:
    """The file of a SQLite store, or None for any other store.

    >>> sqlite_path("sqlite:////data/w%3Fx=1/mlflow.db")
    PosixPath('/data/w?x=1/mlflow.db')
    """
    return Path(unquote(uri.removeprefix(SQLITE).partition("?")[0])) if uri.startswith(SQLITE) else None
