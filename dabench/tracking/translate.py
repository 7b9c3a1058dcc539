"""A run in the words of an experiment tracker: tags, flat settings, metric names, a description. No tracker needed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from dabench.files.digests import digest_of
from dabench.tracking.record import HERE, RunRecord
from dabench.tracking.scores import RANKED_SPLIT, percent

PREFIX = "dabench."

#: On every run, so that any of them can be searched and compared without a parent; one that has no value says so.
IDENTITY = (
    "cell_id",
    "suite",
    "task",
    "source",
    "target",
    "data",
    "method",
    "variant",
    "network",
    "backbone",
    "preset",
    "options",
    "weak_labels",
    "points",
    "patches",
    "rater",
    "seed",
    "protocol",
    "inference",
    "selector",
    "guard",
    "status",
    "config_hash",
    "data_digest",
    "weights_digest",
    "git_commit",
    "plugin_versions",
    "env_digest",
    "device",
)
NO_VALUE = "none"

#: What a run is: a cell, or the summary of several.
CELL, SUMMARY = "cell", "summary"
#: What a summary stands for: a whole row, or one of its tasks.
ROW_LEVEL, TASK_LEVEL = "row", "task"

#: Names of tags that the writer searches by.
CELL_TAG = f"{PREFIX}cell_id"
KIND_TAG = f"{PREFIX}kind"
LEVEL_TAG = f"{PREFIX}level"
#: Written last: a run that has it is complete, and holds what the journals of that signature say.
DIGEST_TAG = f"{PREFIX}journal_digest"
#: What a board ranks by, so that a store can be read where its files are out of reach: metrics have only names.
RESULTS_TAG = f"{PREFIX}results"

#: Raised when runs or summaries are to be written differently: then the next sync writes all of them anew.
FORMAT = 6

#: Longest value of a setting that every store takes; longer ones go on under ``<name>.part2`` …
CHUNK = 6000
#: Most points of one loss curve: each takes 300 bytes of a SQLite store, its indices included (docs/benchmarks.md).
POINTS = 50


def signature(run: RunRecord) -> str:
    """Changes when the run has changed, the row that it is in, or the way in which runs are written."""
    row = run.tags.get("row")
    return signed(run.digest + (f"-{digest_of(row)[:8]}" if row else ""))


def signed(digest: str) -> str:
    """A digest of what is written, with the way in which it is written."""
    return f"{FORMAT}-{digest}"


def tags_of(run: RunRecord) -> dict[str, str]:
    """Every identifying tag, prefixed, and whatever else the run was tagged with."""
    values = {name: NO_VALUE for name in (*IDENTITY, "row")}
    values |= {name: value for name, value in run.tags.items() if value}
    values |= {"kind": CELL, "cell_id": run.cell_id, "suite": run.suite, "status": run.status, "origin": run.origin}
    if run.reason:
        values["reason"] = run.reason
    return {f"{PREFIX}{name}": value for name, value in values.items()} | {RESULTS_TAG: results_of(run)}


def key_of(tags: Mapping[str, str]) -> str:
    """`RunRecord.key` of a stored run; earlier versions wrote no origin."""
    cell_id, origin = tags.get(CELL_TAG, ""), tags.get(f"{PREFIX}origin", HERE)
    return cell_id if origin == HERE else f"{cell_id}@{origin}"


def params_of(run: RunRecord) -> dict[str, str]:
    """The settings, flattened with dots, long values in parts."""
    found: dict[str, str] = {}
    settings = run.params.get("settings", {})
    for name, text in _flat({**{k: v for k, v in run.params.items() if k != "settings"}, **settings}):
        for part, start in enumerate(range(0, max(len(text), 1), CHUNK), start=1):
            found[plain(name) if part == 1 else f"{plain(name)}.part{part}"] = text[start : start + CHUNK]
    return found


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Leaves of nested settings; a list is a leaf, an empty mapping is nothing."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, value if isinstance(value, str) else json.dumps(value, default=str)


def plain(name: str) -> str:
    """A name in characters that every store takes: ``das-2d@1`` becomes ``das-2d.v1``."""
    return re.sub(r"[^/\w.\- :]", "_", name.replace("@", ".v"))


def thin(count: int) -> Sequence[int]:
    """Indices of at most `POINTS` of ``count`` points, evenly spread, first and last among them."""
    if count <= POINTS:
        return range(count)
    return [round(i * (count - 1) / (POINTS - 1)) for i in range(POINTS)]


def milliseconds(time: str) -> int:
    """A journal's time as milliseconds since 1970."""
    return round(datetime.fromisoformat(time).timestamp() * 1000)


def name_of(run: RunRecord) -> str:
    """A name that tells runs of one experiment apart at a glance."""
    tags = run.tags
    method = tags.get("method", run.cell_id)
    parts = [method + (f"+{tags['variant']}" if tags.get("variant", NO_VALUE) != NO_VALUE else "")]
    parts += [tags["label"]] if "label" in tags else []
    parts += [f"s{tags['seed']}"] if "seed" in tags else []
    parts += [tags["task"]] if "task" in tags else []
    return " ".join(parts)


def results_of(run: RunRecord) -> str:
    """What a board ranks by, as JSON: ``scores`` as share of test points, metric, value; ``costs``."""
    scores = [[*key, value] for key, value in run.cell_scores.items()]
    return json.dumps({"scores": scores, "costs": run.costs._asdict()}, separators=(",", ":"))


def description_of(run: RunRecord) -> str:
    """What a person wants to see first, in Markdown: outcome, scores by stage, setting, where the files are."""
    scores = "\n".join(f"- {label}: {text}" for label, found in _groups(run) if (text := _scores(found)))
    setting = ", ".join(f"{name} {run.tags[name]}" for name in _SETTING if run.tags.get(name))
    parts = [_headline(run), scores, setting, f"Run directory: `runs/{run.path.name}`"]
    return "\n\n".join(part for part in parts if part)


def _headline(run: RunRecord) -> str:
    """The outcome in one line: the scores on the target's test split, or why there are none."""
    if run.status != "ok":
        return f"**{run.status}**" + (f": {run.reason}" if run.reason else "")
    return f"**{_scores(_at(run, 0.0)) or 'not scored'}**"


_SETTING = ("data", "preset", "options", "network", "backbone", "points", "patches", "rater", "protocol", "inference")


def _groups(run: RunRecord) -> Iterator[tuple[str, dict[str, float]]]:
    """Scores that a description lists, with their labels: after each stage, and at each share of test points."""
    for stage in run.stages:
        rows = [row for row in run.split_scores if row.stage == stage.stage and row.split == RANKED_SPLIT]
        yield f"after {stage.stage}", {row.metric: row.value for row in rows if not row.test_points and run.owns(row)}
    for share in dict.fromkeys(key.test_points for key in run.cell_scores if key.test_points):
        yield f"with {percent(share)} % of test points", _at(run, share)


def _at(run: RunRecord, share: float) -> dict[str, float]:
    return {key.metric: value for key, value in run.cell_scores.items() if key.test_points == share}


def _scores(found: Mapping[str, float]) -> str:
    labels = (("dice", "Dice"), ("aji", "AJI"), ("pq", "PQ"))
    return " · ".join(f"{label} {found[name]:.4f}" for name, label in labels if name in found)
