"""What a board says of itself: how many seeds, what intervals mean, what is simulated, what is not comparable."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from dabench.checking.report import FAILED
from dabench.checking.verdicts import VERIFIED
from dabench.leaderboard.board import Standing
from dabench.leaderboard.board_statistics import RankStatistics
from dabench.leaderboard.checked import RERUN, WORDS
from dabench.leaderboard.entries import Entry
from dabench.leaderboard.metric import Metric
from dabench.leaderboard.rows import Row
from dabench.statistics.intervals import as_sample
from dabench.tracking.translate import NO_VALUE

#: Seeds below which a number is an anecdote.
RESULT_SEEDS = 3
_NAMED = 4


def notes(
    entries: Sequence[Entry],
    standings: Sequence[Standing],
    tasks: Sequence[str],
    metric: Metric,
    ranking: RankStatistics,
    *,
    by_slice: bool,
) -> tuple[str, ...]:
    """Sentences under a board, those that hold for it alone first; ``by_slice``: all cells have scores by slice."""
    rows = [row for entry in entries for row in entry.scored(metric) if row.tags["task"] in tasks]
    return tuple(
        note
        for found in (
            _seeds(standings),
            _other_tasks(entries, tasks, metric),
            _tests(ranking, metric, by_slice),
            _against(standings),
            _mixtures(rows),
            _rules(rows, standings, tasks, by_slice),
        )
        for note in found
    )


def _seeds(standings: Sequence[Standing]) -> Iterator[str]:
    """How many seeds there are, and who has too few to speak of a result."""
    few = [s.entry for s in standings if s.overall and s.overall.n < RESULT_SEEDS]
    if few:
        yield f"Fewer than {RESULT_SEEDS} seeds on some task, too few for a conclusion: {_listed(few)}."


def _other_tasks(entries: Sequence[Entry], tasks: Sequence[str], metric: Metric) -> Iterator[str]:
    """Tasks that are not in the table."""
    counts: dict[str, int] = {}
    for entry in entries:
        for task in {row.tags["task"] for row in entry.scored(metric)} - set(tasks):
            counts[task] = counts.get(task, 0) + 1
    if counts:
        told = ", ".join(f"{task} (of {n})" for task, n in sorted(counts.items()))
        yield f"Tasks left out because too few entries have them: {told}. To see one: --filter task=NAME"


def _tests(ranking: RankStatistics, metric: Metric, by_slice: bool) -> Iterator[str]:
    """What the groups mean and how fine the comparison is."""
    comparison = ranking.comparison
    if len(comparison.entries) < 2:
        return
    among = f" of the best {len(comparison.entries)}" if len(ranking.ranks) > len(comparison.entries) else ""
    over = "tasks, seeds and slices" if by_slice else "tasks and seeds"
    yield (
        f"Entries that share a letter cannot be told apart: paired tests over {over} at "
        f"{1 - comparison.level:.0%}, corrected for all pairs{among} (Holm)."
    )
    if comparison.friedman_p is not None:
        yield f"Friedman test that all entries{among} are equal: p = {comparison.friedman_p:.2g}."
    if math.isfinite(ranking.least):
        first, second = comparison.entries[:2]
        least = f"{100 * ranking.least:.1f} points of {metric.title}"
        yield f"To be told apart with a probability of 80 %, {first} and {second} must differ by {least}."


def _against(standings: Sequence[Standing]) -> Iterator[str]:
    """Who is worse than what it is compared with, and what the column of differences means."""
    for standing in standings:
        if standing.is_below and standing.difference is not None and standing.p is not None:
            low, high = (100 * end for end in (standing.difference.low, standing.difference.high))
            yield (
                f"{standing.entry} is {-100 * standing.difference.mean:.1f} points below {standing.reference} "
                f"(95 % {low:+.1f} to {high:+.1f}, p = {standing.p:.2g})."
            )
    if any(s.difference is not None for s in standings):
        yield (
            "vs: difference of the means in points; in brackets if the two entries cannot be told apart "
            "(5 %, corrected for all entries that are compared)."
        )


def _mixtures(rows: Sequence[Row]) -> Iterator[str]:
    """What differs between cells of one board."""
    devices = sorted({row.tags.get("device", "").partition(":")[0] for row in rows} - {""})
    if len(devices) > 1:
        yield f"Trained on {' and '.join(devices)}: times and memory are not comparable."
    precisions = sorted({row.tags["trained_in"] for row in rows if "trained_in" in row.tags})
    if len(precisions) > 1:
        yield f"Trained in {' and '.join(precisions)}: see the tag trained_in."
    if len({row.tags["scoring_digest"] for row in rows if "scoring_digest" in row.tags}) > 1:
        yield "Some cells were scored by other versions of the code. Run them again for new scores."
    if any(row.tags.get("selector", "last") != "last" for row in rows):
        yield "If an entry names a selector, that rule chose its checkpoint or threshold, without target labels."
    told = [row.tags["guard"] for row in rows if row.tags.get("guard", "good") not in ("good", NO_VALUE)]
    if told:
        listed = _listed(dict.fromkeys(told))
        yield f"{len(told)} of {len(rows)} cells became worse than their start, measured without labels: {listed}."
    if seen := dict.fromkeys(row.tags["weights_saw"] for row in rows if "weights_saw" in row.tags):
        yield f"Not ranked, because the initial weights were trained on the target, or may have been: {_listed(seen)}."
    for how in dict.fromkeys(row.tags["recorded"] for row in rows if "recorded" in row.tags):
        yield f"Recorded {how}."
    yield from _checks(rows)
    yield from _reruns(rows)
    if any("simulated" in row.tags.get("rater", "") for row in rows):
        yield "Annotation is simulated from labels; label min is the time a person would take, in minutes per task."


def _checks(rows: Sequence[Row]) -> Iterator[str]:
    """How many cells of the table are known in which way, and what is wrong with those where something is."""
    counts = Counter(row.checked for row in rows)
    if counts:
        told = ", ".join(f"{counts[word]} {word}" for word in reversed(WORDS) if counts[word])
        mend = "" if set(counts) <= {VERIFIED, RERUN} else ". To compute their scores again: dabench verify"
        yield f"Checks of {len(rows)} cells: {told}{mend}."
    for row in [row for row in rows if row.doubt][:_NAMED]:
        word = "FAILED its checks" if row.checked == FAILED else row.checked
        yield f"{row.cell_id}: {word}: {row.doubt}."


def _reruns(rows: Sequence[Row]) -> Iterator[str]:
    """Who was trained again here, by outcome."""
    for verdict in ("same", "different", "no verdict"):
        found = [row for row in rows if row.tags.get("rerun") == verdict]
        if found:
            told = {"same": "the same result", "different": "a DIFFERENT result"}.get(verdict, verdict)
            yield f"Rerun here with {told}: {_listed(row.cell_id for row in found)}."


def _rules(rows: Sequence[Row], standings: Sequence[Standing], tasks: Sequence[str], by_slice: bool) -> Iterator[str]:
    """Rules that hold for every board of its kind."""
    if as_sample(tasks, None):
        yield (
            "95 % intervals: over all tasks, for the mean over tasks like these (tasks are resampled); for single "
            "tasks, for other seeds and slices."
        )
    elif rows and by_slice:
        yield "95 % intervals are for these tasks: seeds and slices are resampled, tasks are not."
    elif rows:
        yield "95 % intervals are for these tasks: only seeds are resampled, as not all cells have scores per slice."
    if any(s.gap_closed is not None for s in standings):
        yield "gap %: how much of the gap between the lower and the upper bracket is closed, mean over tasks."
    if any(s.pareto for s in standings):
        yield "*: no other entry is as good with less annotation."
    if any(s.missing for s in standings):
        yield (
            "Cells that failed or did not run are missing, never 0: means are over the finished seeds, and an entry "
            "without any on a task is not ranked."
        )
    if any(row.tags.get("data") == "phantom" for row in rows):
        yield "Phantom data are artificial: they compare code paths and costs, not methods on real tissue."
    yield "Scores are per cent, mean over seeds ± their standard deviation; ranks are means over tasks."


def _listed(names: Iterable[str]) -> str:
    found = list(names)
    rest = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return ", ".join(found[:_NAMED]) + rest
