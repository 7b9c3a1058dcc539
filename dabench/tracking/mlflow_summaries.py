"""Summary runs in an MLflow experiment: written where they have changed, with the cells that they stand for below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dabench.tracking.mlflow_store import Store
from dabench.tracking.translate import CELL_TAG, DIGEST_TAG, KIND_TAG, PREFIX, SUMMARY, key_of, milliseconds, plain

if TYPE_CHECKING:
    from mlflow.entities import Run

    from dabench.tracking.summary import Summary

SUMMARY_TAG = f"{PREFIX}summary_key"
_PARENT = "mlflow.parentRunId"
#: Of a run's mark and bars in MLflow's pages.
_COLOUR = "mlflow.runColor"


class SummarySync:
    """The summaries of one experiment; used under the store's lock."""

    def __init__(self, store: Store, experiment_id: str) -> None:
        """Read what the experiment has."""
        self._client, self._store, self._experiment = store.client, store, experiment_id
        self._parents: dict[str, str] = {}
        self._cells: dict[str, list[str]] = {}
        self._stored: dict[str, list[Run]] = {}
        for run in store.runs(experiment_id):
            tags, run_id = run.data.tags, run.info.run_id
            self._parents[run_id] = tags.get(_PARENT, "")
            if tags.get(KIND_TAG) == SUMMARY:
                self._stored.setdefault(tags.get(SUMMARY_TAG, ""), []).append(run)
            elif CELL_TAG in tags:
                self._cells.setdefault(key_of(tags), []).append(run_id)

    def put(self, summaries: Sequence[Summary]) -> int:
        """Write those that are new or have changed, remove those that nothing is below any more; how many were written.

        Those of whole rows come first, so that the others find them.
        """
        ids: dict[str, str] = {}
        written = 0
        for summary in summaries:
            earlier = self._stored.pop(summary.key, [])
            same = next((r.info.run_id for r in earlier if r.data.tags.get(DIGEST_TAG) == summary.digest), None)
            ids[summary.key] = run_id = same or self._create(summary)
            written += same is None
            self._hang(run_id, ids.get(summary.parent, ""))
            for cell in summary.cells:
                for one in self._cells.get(cell, []):
                    self._hang(one, run_id, summary.colour)
            for old in earlier:
                self._replace(old.info.run_id, run_id)
        self._remove_childless([run.info.run_id for runs in self._stored.values() for run in runs])
        return written

    def _create(self, summary: Summary) -> str:
        from mlflow.entities import Metric, Param

        tags = {f"{PREFIX}{name}": value for name, value in summary.tags.items()}
        tags |= {KIND_TAG: SUMMARY, SUMMARY_TAG: summary.key, _COLOUR: summary.colour}
        tags |= {"mlflow.note.content": summary.description, "mlflow.source.name": "dabench"}
        started = milliseconds(min(run.started for run in summary.runs))
        ended = milliseconds(max(run.ended for run in summary.runs))
        made = self._client.create_run(self._experiment, start_time=started, tags=tags, run_name=summary.name)
        run_id: str = made.info.run_id
        params = [Param(name, value) for name, value in summary.params.items()]
        for start in range(0, len(params), 100):
            self._client.log_batch(run_id, params=params[start : start + 100])
        self._client.log_batch(run_id, [Metric(plain(name), v, ended, 0) for name, v in summary.metrics.items()])
        self._client.set_terminated(run_id, "FINISHED" if summary.status == "ok" else "FAILED", ended)
        self._client.set_tag(run_id, DIGEST_TAG, summary.digest)
        self._parents[run_id] = ""
        return run_id

    def _hang(self, run_id: str, parent: str, colour: str = "") -> None:
        """Put a run below another, in its colour, or on its own ("")."""
        if self._parents[run_id] == parent:
            return
        if parent:
            self._client.set_tag(run_id, _PARENT, parent)
        else:
            self._client.delete_tag(run_id, _PARENT)
        if colour:
            self._client.set_tag(run_id, _COLOUR, colour)
        self._parents[run_id] = parent

    def _replace(self, old: str, new: str) -> None:
        """Remove a summary that was written again; its children move to the new one."""
        if old == new:
            return
        for run_id in [r for r, parent in self._parents.items() if parent == old]:
            self._hang(run_id, new)
        self._delete(old)

    def _remove_childless(self, others: list[str]) -> None:
        """Summaries of rows that the suite has no more stay as long as the store has their cells."""
        while gone := set(others).difference(self._parents.values()):
            for run_id in gone:
                others.remove(run_id)
                self._delete(run_id)

    def _delete(self, run_id: str) -> None:
        self._store.delete(run_id)
        del self._parents[run_id]
