"""Saved views of a suite's experiment in MLflow's pages: rows with their means, what is below them, seeds by row.

MLflow 3.17 keeps a named view as a tag of the experiment, lists it under *Views* on the page *Runs*, and opens it from
an address that has its key. The words below are those of its pages; an MLflow that does not know them shows its own
standard page.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from dabench.tracking.translate import CELL, KIND_TAG, LEVEL_TAG, PREFIX, ROW_LEVEL

_PREFIX = "mlflow.sharedViewState."
_MEANS, _TREE, _SEEDS = "dabench-means", "dabench-tree", "dabench-seeds"
#: Orders the list of views; milliseconds, 1 January 2026.
_MADE = 1_767_225_600_000

_DICE, _COST = "target_test/dice", "cost/annotation_seconds"
_RUN_NAME = "attributes.`Run Name`"
_DATE = "attributes.start_time"
_SECTION = "dabench"

_WHOLE_ROWS = f"tags.`{LEVEL_TAG}` = '{ROW_LEVEL}'"
_CELLS = f"tags.`{KIND_TAG}` = '{CELL}'"


def views() -> dict[str, str]:
    """The experiment's tags that hold the views."""
    scores = [_metric(f"target_test/{name}") for name in ("dice", "aji", "pq")]
    interval = [_metric(f"{_DICE}_low"), _metric(f"{_DICE}_high")]
    rest = [_metric("n_seeds"), _metric(_COST), _tag("status")]
    charts = [_bars(_DICE), _scatter(_COST, _DICE), _bars("target_test/aji"), _bars("target_test/pq")]
    spread = _bars(f"{_DICE}_low", _DICE, f"{_DICE}_high")
    first = [scores[0], *interval, *scores[1:], *rest]
    by_row = {"aggregateFunction": "average", "groupByKeys": [{"mode": "tag", "groupByData": f"{PREFIX}row"}]}
    places = [_tag("task"), _tag("seed")]
    found = (
        (_MEANS, "dabench: means with intervals", _state(_WHOLE_ROWS, first, [*charts[:2], spread, *charts[2:]])),
        (_TREE, "dabench: rows, tasks, seeds", _state("", [*first, *places], charts, _DATE)),
        (_SEEDS, "dabench: seeds by row", _state(_CELLS, [*places, *scores, *rest[1:]], charts) | {"groupBy": by_row}),
    )
    return {f"{_PREFIX}{key}": _named(name, _MADE - n, state) for n, (key, name, state) in enumerate(found)}


def page(experiment_id: str) -> str:
    """The address of the first view's charts, below that of a server."""
    query = f"workflowType=machine_learning&compareRunsMode=CHART&viewStateShareKey={_MEANS}"
    return f"#/experiments/{experiment_id}/runs?{query}"


def _named(name: str, made: int, state: Mapping[str, Any]) -> str:
    return json.dumps({"name": name, "createdAt": made, "updatedAt": made, "state": json.dumps(state)})


def _state(
    query: str, columns: Sequence[str], charts: Sequence[Mapping[str, Any]], order: str = f"metrics.`{_DICE}`"
) -> dict[str, Any]:
    """A page of runs: which, with which columns and charts.

    Sorted by date, MLflow nests runs below their parents, and adds parents that a query leaves out; otherwise neither.
    """
    section = {"uuid": _SECTION, "name": "Comparison", "display": True, "isReordered": False, "columns": 2}
    return {
        "searchFilter": query,
        "orderByKey": order,
        "orderByAsc": False,
        "selectedColumns": list(columns),
        "columnOrder": [_RUN_NAME, "runDateAndNestInfo", *columns, "duration"],
        "columnWidths": {_RUN_NAME: 300, **{column: 25 + 7 * len(column.split("`")[1]) for column in columns}},
        "runsHiddenMode": "FIRST_20_RUNS",
        "compareRunCharts": list(charts),
        "compareRunSections": [{**section, "cardHeight": 300}],
        "isAccordionReordered": True,
    }


def _metric(name: str) -> str:
    return f"metrics.`{name}`"


def _tag(name: str) -> str:
    return f"tags.`{PREFIX}{name}`"


def _bars(*metrics: str) -> dict[str, Any]:
    """One bar a run; with several metrics, side by side."""
    chart = _chart("BAR", "-".join(metrics), 20) | {"metricKey": metrics[0]}
    return chart | ({"selectedMetricKeys": list(metrics)} if len(metrics) > 1 else {})


def _scatter(x: str, y: str) -> dict[str, Any]:
    return _chart("SCATTER", f"{x}-{y}", 100) | {
        "xaxis": {"key": x, "type": "METRIC"},
        "yaxis": {"key": y, "type": "METRIC"},
    }


def _chart(kind: str, name: str, most: int) -> dict[str, Any]:
    place = {"uuid": f"dabench-{name}", "metricSectionId": _SECTION, "runsCountToCompare": most}
    return {"type": kind, **place, "deleted": False, "isGenerated": False}
