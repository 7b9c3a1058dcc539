"""What the cells of a suite say together: one summary per row and task, and one per row over its tasks."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean

from dabench.files.digests import digest_of
from dabench.statistics import Cell, Interval, mean_interval
from dabench.tracking.metric_names import cost_names, score_name
from dabench.tracking.record import RunRecord, slice_scores
from dabench.tracking.scores import ScoreKey
from dabench.tracking.translate import ROW_LEVEL, TASK_LEVEL, params_of, signature, signed

#: What a row is never averaged over: runs that differ in one of these share no table.
SETTING = ("data", "preset", "protocol", "inference", "pixel_size")
#: What a run says that is older than a part of the setting.
_BEFORE = {"pixel_size": "native"}
#: The task of a summary over several.
ALL_TASKS = "all"

#: Scores that get an interval; all of them lie between 0 and 1.
_SHARES = ("dice", "aji", "pq")
_LABELS = (("dice", "Dice"), ("aji", "AJI"), ("pq", "PQ"))
#: Of Okabe and Ito: told apart by colour-blind eyes.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#4D4D4D")
#: Tags of a run that a summary of several would only repeat or contradict.
_OWN_TAGS = ("cell_id", "row", "suite", "status", "reason", "task")


@dataclass(frozen=True)
class Summary:
    """One run that stands for several.

    ``key`` tells apart the summaries of an experiment, ``parent`` is the key of the row's, if this is one of its tasks.
    ``over`` are the tasks that the means are over. What takes time to work out is worked out when first asked for.
    """

    key: str
    name: str
    row: str
    task: str
    over: tuple[str, ...]
    colour: str
    runs: tuple[RunRecord, ...] = field(repr=False)
    parent: str = ""

    @property
    def digest(self) -> str:
        """Changes when a run has changed, the name or place of the summary, or the way in which runs are written."""
        said = [self.key, self.name, self.over, self.colour, self.parent]
        return signed(digest_of([*said, [(run.key, signature(run)) for run in self.runs]])[:16])

    @property
    def cells(self) -> tuple[str, ...]:
        """Keys of the runs below it; those of a row over several tasks are below its tasks."""
        return () if self.task == ALL_TASKS else tuple(run.key for run in self.runs)

    @property
    def status(self) -> str:
        """``ok``, or how many ended in which way: ``2 ok, 1 failed``."""
        counts = Counter(run.status for run in self.runs)
        if len(counts) == 1:
            return next(iter(counts))
        return ", ".join(f"{n} {status}" for status, n in counts.most_common())

    @property
    def tags(self) -> dict[str, str]:
        """Without prefix: those that all runs share, and its own."""
        own = {"row": self.row, "task": self.task, "tasks": ", ".join(self.over), "status": self.status}
        own |= {"suite": self.runs[0].suite, "origin": self.runs[0].origin}
        own |= {"level": TASK_LEVEL if self.parent else ROW_LEVEL}
        shared = _shared([run.tags for run in self.runs])
        return {name: value for name, value in shared.items() if name not in _OWN_TAGS} | own

    @property
    def params(self) -> dict[str, str]:
        """The settings that all runs share."""
        return _shared([params_of(run) for run in self.runs])

    @cached_property
    def intervals(self) -> Mapping[str, Interval]:
        """Scores by name; none where one of the tasks is missing."""
        found: dict[str, Interval] = {}
        for key in sorted(key for key in _scores(self.runs) if key.metric in _SHARES):
            done = [run for run in _ok(self.runs) if key in run.cell_scores and _task(run) in self.over]
            if {_task(run) for run in done} == set(self.over):
                found[score_name(key)] = mean_interval([cell_of(run, key) for run in done])
        return found

    @property
    def seeds(self) -> int:
        """How many stand behind the scores, a task."""
        return min((interval.n for interval in self.intervals.values()), default=0)

    @property
    def metrics(self) -> dict[str, float]:
        """Means, intervals, costs and counts, to six digits: MLflow's tables show every one."""
        found = _means(self.runs, self.over)
        for name, interval in self.intervals.items():
            found |= {name: interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high}
            found |= {} if interval.sd is None else {f"{name}_sd": interval.sd}
        counts = {f"cells/{status}": float(n) for status, n in Counter(run.status for run in self.runs).items()}
        return {name: round(value, 6) for name, value in {**found, "n_seeds": float(self.seeds), **counts}.items()}

    @property
    def description(self) -> str:
        """In Markdown: means with intervals, and each cell's own scores."""
        found = ((label, self.intervals.get(score_name(ScoreKey(0.0, name)))) for name, label in _LABELS)
        means = " · ".join(f"{label} {i.mean:.4f} ({i.low:.3f} to {i.high:.3f})" for label, i in found if i is not None)
        cells = "\n".join(f"- {_task(run)} seed {run.tags.get('seed')}: {_outcome(run)}" for run in self.runs)
        if not means:
            return f"**No mean: {self.status}**\n\n{cells}"
        return f"**{means}**\n\nMeans, 95 % intervals, seeds per task: {self.seeds}.\n\n{cells}"


def summaries_of(runs: Sequence[RunRecord]) -> list[Summary]:
    """The summaries of a suite's runs, those of whole rows first.

    Scores are means over seeds with 95 % intervals (docs/statistics.md); a run that did not end well is counted and
    otherwise missing, never 0. Runs without a row are left out. Rows keep their order.
    """
    groups: dict[tuple[str, ...], list[RunRecord]] = {}
    for run in runs:
        if run.tags.get("row"):
            groups.setdefault((*(_setting(run, name) for name in SETTING), run.origin), []).append(run)
    differing = [i for i in range(len(SETTING) + 1) if len({group[i] for group in groups}) > 1]
    colours = dict(zip(dict.fromkeys(run.tags.get("row", "") for run in runs), itertools.cycle(_COLOURS)))
    found = [
        summary
        for group, members in groups.items()
        for summary in _of_group(group, members, " ".join(group[i] for i in differing), colours)
    ]
    return sorted(found, key=lambda summary: bool(summary.parent))


def _setting(run: RunRecord, name: str) -> str:
    return run.tags.get(name, "") or _BEFORE.get(name, "")


def _of_group(
    group: tuple[str, ...], runs: Sequence[RunRecord], label: str, colours: Mapping[str, str]
) -> Iterator[Summary]:
    """Of one setting and origin: one summary per row, and one per row and task if there are several tasks."""
    # Of two cells at one place the later counts: a suite record lists what ran last at its end.
    places = {(run.tags["row"], _task(run), int(run.tags.get("seed", "0"))): run for run in runs}
    rows: dict[str, dict[str, list[RunRecord]]] = {row: {} for row, _, _ in places}
    for (row, task, _), run in sorted(places.items()):
        rows[row].setdefault(task, []).append(run)
    known = sorted({task for tasks in rows.values() for task, some in tasks.items() if _scores(some)})
    several = len({task for _, task, _ in places}) > 1

    def summary(row: str, task: str, over: Sequence[str], some: Iterable[RunRecord], parent: str = "") -> Summary:
        key = digest_of([*group, row, task])[:16]
        name = (f"{task} · {row}" if parent else row) + (f" [{label}]" if label else "")
        return Summary(key, name, row, task, tuple(over), colours[row], tuple(some), parent)

    for row, tasks in rows.items():
        everything = [run for some in tasks.values() for run in some]
        if not several:
            yield summary(row, next(iter(tasks)), list(tasks), everything)
            continue
        whole = summary(row, ALL_TASKS, known, everything)
        yield whole
        yield from (summary(row, task, [task], some, whole.key) for task, some in tasks.items())


# --------------------------------------------------------------------------------------------------------------- parts
def _task(run: RunRecord) -> str:
    return run.tags.get("task", "")


def _ok(runs: Iterable[RunRecord]) -> list[RunRecord]:
    return [run for run in runs if run.status == "ok"]


def _scores(runs: Iterable[RunRecord]) -> set[ScoreKey]:
    """The scores that finished cells have."""
    return {key for run in _ok(runs) for key in run.cell_scores}


def cell_of(run: RunRecord, key: ScoreKey) -> Cell:
    """A finished cell as the statistics take it: its entry is the row of its suite."""
    along = slice_scores(run, [key.metric], key.test_points).get(key.metric)
    known = {} if along is None else {z: v for z, v in enumerate(along.tolist()) if not math.isnan(v)}
    return Cell(run.tags["row"], _task(run), int(run.tags.get("seed", "0")), run.cell_scores[key], known)


def _shared(several: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """What all of them say alike."""
    first, *rest = several
    return {k: v for k, v in first.items() if all(one.get(k) == v for one in rest)}


def _means(runs: Sequence[RunRecord], tasks: Sequence[str]) -> dict[str, float]:
    """Means over tasks of the means over seeds, of what every task has; scores in `_SHARES` have their own rule."""
    found: dict[str, list[float]] = {}
    for task in tasks:
        values: dict[str, list[float]] = {}
        for run in (run for run in _ok(runs) if _task(run) == task):
            scores = {score_name(k): v for k, v in run.cell_scores.items() if k.metric not in _SHARES}
            for name, value in {**scores, **cost_names(run.events)}.items():
                values.setdefault(name, []).append(value)
        for name, several in values.items():
            found.setdefault(name, []).append(fmean(several))
    return {name: fmean(values) for name, values in sorted(found.items()) if len(values) == len(tasks)}


def _outcome(run: RunRecord) -> str:
    scores = [
        f"{label} {run.cell_scores[key]:.4f}"
        for name, label in _LABELS
        if (key := ScoreKey(0.0, name)) in run.cell_scores
    ]
    if run.status == "ok" and scores:
        return " · ".join(scores)
    return run.status + (f": {run.reason}" if run.reason else "")
