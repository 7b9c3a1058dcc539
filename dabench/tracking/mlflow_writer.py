"""Carries runs to MLflow: complete, once each, and in order when several processes write."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dabench.tracking.events import InputData
from dabench.tracking.links import same_file
from dabench.tracking.mlflow_store import Store
from dabench.tracking.mlflow_summaries import SummarySync
from dabench.tracking.record import RunRecord
from dabench.tracking.translate import (
    CELL_TAG,
    DIGEST_TAG,
    KIND_TAG,
    SUMMARY,
    description_of,
    key_of,
    milliseconds,
    name_of,
    params_of,
    plain,
    signature,
    tags_of,
    thin,
)

if TYPE_CHECKING:
    from mlflow.entities import Metric

_T = TypeVar("_T")

_STATUS = {"ok": "FINISHED", "failed": "FAILED", "oom": "FAILED"}


@dataclass(frozen=True)
class StoredRun:
    """A cell's run that the store has: its id and the signature of what it was written from ("": incomplete)."""

    run_id: str
    digest: str


class MlflowWriter:
    """Writes runs to one MLflow store."""

    def __init__(
        self, tracking_uri: str, artifact_root: Path | None = None, warn: Callable[[str], None] | None = None
    ) -> None:
        """Connect to the store; a new SQLite file gets its tables here.

        Args:
            tracking_uri: any MLflow tracking URI.
            artifact_root: where a new experiment keeps its artifacts; None is ``mlartifacts`` beside a SQLite file,
                and for any other store what its server decides.
            warn: told of what was mended in the store.
        """
        self._store = Store(tracking_uri, artifact_root, warn)

    def write(self, run: RunRecord, experiment: str | None = None) -> str:
        """Write a run and return its id; an earlier run of the same cell is replaced, an equal one is left alone."""
        with self._store.open():
            experiment_id = self._store.experiment(experiment or experiment_name(run.suite))
            earlier = self._find(experiment_id, f"tags.`{CELL_TAG}` = '{run.cell_id}'").get(run.key, [])
            digest = signature(run)
            same = next((e.run_id for e in earlier if e.digest == digest), None)
            run_id = same or self._create(run, experiment_id, digest)
            for old in earlier:
                if old.run_id != run_id:
                    self._store.delete(old.run_id)
            return run_id

    def summarise(self, suite: str, runs: Sequence[RunRecord]) -> int:
        """Bring the summaries of a suite's experiment up to date (docs/browsing.md) and return how many were written.

        Args:
            suite: whose experiment it is.
            runs: all that count, each with its row as the tag ``row``; they have been written before.
        """
        from dabench.tracking.summary import summaries_of

        summaries = summaries_of(runs)
        with self._store.open():
            return SummarySync(self._store, self._store.experiment(experiment_name(suite))).put(summaries)

    def stored(self, experiment: str) -> dict[str, list[StoredRun]]:
        """What cells the store has of an experiment, by `RunRecord.key`."""
        with self._store.open():
            return self._find(self._store.experiment(experiment))

    # ------------------------------------------------------------------------------------------------------ one run
    def _create(self, run: RunRecord, experiment_id: str, digest: str) -> str:
        client = self._store.client
        made = client.create_run(
            experiment_id, start_time=milliseconds(run.started), tags=_first_tags(run), run_name=name_of(run)
        )
        run_id: str = made.info.run_id
        self._log(run_id, run)
        self._upload(run_id, run)
        client.set_terminated(run_id, _STATUS.get(run.status, "KILLED"), milliseconds(run.ended))
        client.set_tag(run_id, DIGEST_TAG, digest)
        return run_id

    def _log(self, run_id: str, run: RunRecord) -> None:
        from mlflow.entities import Param

        client = self._store.client
        for some in _batches(params_of(run).items(), 100):
            client.log_batch(run_id, params=[Param(k, v) for k, v in some])
        for values in _batches(_metrics(run), 900):
            client.log_batch(run_id, metrics=values)
        if run.inputs:
            client.log_inputs(run_id, datasets=[_dataset_input(i) for i in run.inputs])

    def _upload(self, run_id: str, run: RunRecord) -> None:
        """Where the store's artifacts lie on this machine a file gets a second name there; else it is sent."""
        home = self._store.artifacts_of(run_id)
        for path in run.artifacts:
            folder = path.parent.as_posix()
            if home is None or not same_file(run.path / path, home / path):
                self._store.client.log_artifact(run_id, str(run.path / path), None if folder == "." else folder)

    def _find(self, experiment_id: str, query: str = "") -> dict[str, list[StoredRun]]:
        found: dict[str, list[StoredRun]] = {}
        for run in self._store.runs(experiment_id, query):
            tags = run.data.tags
            if tags.get(KIND_TAG) != SUMMARY:
                found.setdefault(key_of(tags), []).append(StoredRun(run.info.run_id, tags.get(DIGEST_TAG, "")))
        return found


def experiment_name(suite: str) -> str:
    """The experiment of a suite."""
    return f"dabench/{suite}"


def _batches(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _first_tags(run: RunRecord) -> dict[str, str]:
    """Our own tags and the few of MLflow's that its pages show."""
    tags = tags_of(run) | {"mlflow.note.content": description_of(run), "mlflow.source.name": "dabench"}
    commit = run.tags.get("git_commit")
    return tags | ({"mlflow.source.git.commit": commit} if commit else {})


def _metrics(run: RunRecord) -> Iterator[Metric]:
    """Final numbers at step 0, then each loss curve, thinned out, at the time when its stage ended."""
    from mlflow.entities import Metric

    for name, value in run.metrics.items():
        yield Metric(plain(name), value, milliseconds(run.times[name]), 0)
    ends = {stage.stage: stage.time for stage in run.stages}
    for stage, curve in run.curves.items():
        time = milliseconds(ends.get(stage, run.ended))
        for term, (steps, values) in curve.terms.items():
            for i in thin(len(steps)):
                yield Metric(plain(f"train/{stage}/{term}"), values[i], time, steps[i])


def _dataset_input(data: InputData) -> Any:
    """Our own name and digest of what was read; MLflow's field takes 36 characters, the profile holds all."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    web = data.source.startswith(("http://", "https://"))
    dataset = Dataset(
        name=data.name,
        digest=data.digest[:36],
        source_type="http" if web else "local",
        source=json.dumps({"url" if web else "uri": data.source}),
        profile=json.dumps({"sha256": data.digest}),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", data.context)] if data.context else [])
