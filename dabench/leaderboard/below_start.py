"""Rows that end below their start, explained from their records: what was seen without labels, and what was scored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean

from dabench.tracking.events import Guarded
from dabench.tracking.record import RunRecord
from dabench.tracking.scores import RANKED_SPLIT, ScoreKey

#: Factor of its start's foreground within which a model finds about as much.
_ALIKE = 1.25
#: Points on the slices that were looked at, below which agreement means nothing (`dabench.runs.guard`).
_POINTS = 5
#: Scores that stand in the text for another name.
_NAMES = {"dice": "Dice", "aji": "AJI", "pq": "PQ"}


def below_start(runs: Sequence[RunRecord], key: ScoreKey) -> Iterator[str]:
    """A sentence or more for every row and task whose runs end below their own start on average.

    The start is the run's first stage, as it was scored on the same test slices; a run of one stage has none.

    Args:
        runs: finished, with the tag ``row``.
        key: the score; only a cell's own result can be compared with its stages.
    """
    groups: dict[tuple[str, str], list[RunRecord]] = {}
    for run in runs:
        if run.status == "ok" and key in run.cell_scores and _start(run, key) is not None:
            groups.setdefault((run.tags["row"], run.tags["task"]), []).append(run)
    for (row, task), found in groups.items():
        start = fmean(value for run in found if (value := _start(run, key)) is not None)
        end = fmean(run.cell_scores[key] for run in found)
        if end < start:
            name, stage = _NAMES.get(key.metric, key.metric), _first(found[0])
            scores = f"{name} {_per_cent(end)}; {_per_cent(start)} at its start, {stage} ({_seeds(found)})."
            yield " ".join([f"**{row}** on {task}: {scores}", *_why(found)])


def _start(run: RunRecord, key: ScoreKey) -> float | None:
    """The score of the first stage, on the conditions of the cell's own; None where it is the only one."""
    stage = _first(run)
    if not stage or stage == run.final:
        return None
    rows = (r for r in run.split_scores if (r.stage, r.split, r.metric) == (stage, RANKED_SPLIT, key.metric))
    return next((r.value for r in rows if r.test_points == key.test_points and run.owns(r)), None)


def _first(run: RunRecord) -> str:
    return run.scores[0].stage if run.scores else ""


def _why(runs: Sequence[RunRecord]) -> Iterator[str]:
    guarded = [event for run in runs for event in run.events if isinstance(event, Guarded)]
    looks = [(event.looks[0], event.looks[-1]) for event in guarded if len(event.looks) > 1]
    if looks:
        before, after = (fmean(float(pair[i]["foreground"]) for pair in looks) for i in (0, 1))
        yield _area(before, after)
        yield from _agreement(looks)
    yield from _objects(runs)
    words = Counter(event.word for event in guarded)
    if guarded:
        told = {
            "good": "found nothing wrong",
            "behind": "warned",
            "poor": "found that hardly any point agrees",
            "fell back": "fell back to an earlier stage",
        }
        yield f"The guard {' and '.join(f'{told[word]} in {n}' for word, n in words.items())} of {len(guarded)} runs."
    else:
        yield "These runs had no guard."


def _area(before: float, after: float) -> str:
    if after * _ALIKE < before:
        what = "It marks less foreground"
    elif after > before * _ALIKE:
        what = "It marks more foreground"
    else:
        what = "It marks about as much foreground, but in other places"
    return f"{what}: {_per_cent(after)} % of the pixels of target training slices, {_per_cent(before)} % at its start."


def _agreement(looks: Sequence[tuple[Mapping[str, float], Mapping[str, float]]]) -> Iterator[str]:
    """How well objects agree with the given points, where there are enough."""
    enough = [pair for pair in looks if min(float(look.get("points", 0)) for look in pair) >= _POINTS]
    if not enough:
        yield "Without given points, it is not known how many objects it hits."
        return
    before, after = (fmean(float(pair[i]["agreement"]) for pair in enough) for i in (0, 1))
    turn = "fell" if after < before else "rose"
    yield f"Agreement with the given points {turn} from {before:.2f} to {after:.2f} (F1, {_of(enough, looks)})."


def _objects(runs: Iterable[RunRecord]) -> Iterator[str]:
    """Predicted and true objects of a test slice, where the record has them by slice."""
    counts = []
    for run in runs:
        along = run.along_slices(float((run.params.get("test_points") or [0.0])[0]))
        if "n_true" in along and "n_pred" in along:
            known = along["n_true"] == along["n_true"]
            counts.append((float(along["n_pred"][known].mean()), float(along["n_true"][known].mean())))
    if counts:
        predicted, true = (fmean(pair[i] for pair in counts) for i in (0, 1))
        yield f"Per test slice it predicts {predicted:.1f} objects; there are {true:.1f}."


def _of(some: Sequence[object], every: Sequence[object]) -> str:
    return f"{len(some)} runs" if len(some) == len(every) else f"{len(some)} of {len(every)} runs"


def _seeds(runs: Sequence[RunRecord]) -> str:
    return f"{len(runs)} seed{'s' if len(runs) > 1 else ''}"


def _per_cent(value: float) -> str:
    return f"{100 * value:.1f}"
