"""Stages on disk, by key: a finished one is reused, a half-finished one continues.

``<workspace>/stages/<key>/`` holds ``checkpoint.pt`` and ``kept/`` while training, then ``model.safetensors`` and
``stage.json`` (its presence is what "finished" means), ``curve.jsonl``, the desk's answers, predictions with scores
and, where a run chooses among several checkpoints, ``snapshots/<update>.safetensors``. ``SHA256SUMS`` has the digests
of all but the predictions, which have their own beside them; stages of earlier versions have none.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dabench.files.atomic import write_json
from dabench.files.digests import altered, write_digests
from dabench.interfaces import Stage
from dabench.training.checkpoint import load_weights, save_weights


@dataclass(frozen=True)
class StageRecord:
    """What is known of a finished stage; ``opened`` names files that it opened and that are none of its inputs."""

    key: str
    name: str
    updates: int
    seconds: float
    peak_memory_bytes: int
    ledger: list[dict[str, Any]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)


class StageFolder:
    """One stage's folder."""

    def __init__(self, root: Path, key: str) -> None:
        """The folder is made when something is first written."""
        self.key, self.path = key, root / key

    @property
    def checkpoint(self) -> Path:
        """Where a half-finished stage is kept."""
        return self.path / "checkpoint.pt"

    @property
    def weights(self) -> Path:
        """Final weights."""
        return self.path / "model.safetensors"

    def snapshot(self, update: int) -> Path:
        """Weights after so many updates."""
        return self.path / "snapshots" / f"{update}.safetensors"

    @property
    def curve(self) -> Path:
        """Losses by step, JSON lines."""
        return self.path / "curve.jsonl"

    @property
    def annotation(self) -> Path:
        """Files with the answers that the desk gave while the stage trained."""
        return self.path / "annotation"

    @property
    def _record(self) -> Path:
        return self.path / "stage.json"

    @property
    def _digests(self) -> Path:
        return self.path / "SHA256SUMS"

    @property
    def kept(self) -> Path:
        """Arrays of the stage's own while it trains (`TrainingData.keep`)."""
        return self.path / "kept"

    def is_there(self) -> bool:
        """Whether the files of a finished stage are there, whatever they hold."""
        return self._record.is_file() and self.weights.is_file()

    def record(self) -> StageRecord | None:
        """The finished stage's record; None without one, or with one that this version cannot read."""
        try:
            return StageRecord(**json.loads(self._record.read_text())) if self.is_there() else None
        except (ValueError, TypeError):
            return None

    def altered(self) -> list[str]:
        """Files of the finished stage that are not as it wrote them, or cannot be read; reads them all."""
        unread = [self._record.name] if self.is_there() and self.record() is None else []
        return list(dict.fromkeys([*unread, *altered(self._digests)]))

    def discard(self) -> None:
        """Delete the stage with all that was made from it, so that it is trained again."""
        self._record.unlink(missing_ok=True)
        shutil.rmtree(self.path)

    def finish(self, stage: Stage, record: StageRecord) -> None:
        """Write weights, then the record, then drop the checkpoint; killed in between, it only repeats this."""
        save_weights(self.weights, stage)
        write_json(self._record, asdict(record))
        others = [*self.annotation.rglob("*"), *self.path.glob("snapshots/*.safetensors")]
        kept = [self.weights, self._record, self.curve, *sorted(others)]
        write_digests(self._digests, [file for file in kept if file.is_file()])
        self.checkpoint.unlink(missing_ok=True)
        shutil.rmtree(self.kept, ignore_errors=True)

    def load(self, stage: Stage, update: int | None = None) -> None:
        """Give a freshly built stage its final weights, or those of a snapshot."""
        load_weights(self.weights if update is None else self.snapshot(update), stage)
