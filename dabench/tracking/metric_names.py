"""The names that a run's numbers have in MLflow, from the table of scores and the journal; nothing reads them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from dabench.tracking.events import CellFinished, Cost, Event, Phase, Regret, Scored, Selected, StageFinished
from dabench.tracking.scores import RANKED_SPLIT, ScoreKey, ScoreRow, percent

#: Group of the scores that a cell is ranked by.
CELL_GROUP = "target_test"


def score_name(key: ScoreKey) -> str:
    """The name of a score that the cell is ranked by."""
    return "/".join([CELL_GROUP, *_points(key.test_points), key.metric])


def named_metrics(
    scores: Iterable[ScoreRow], events: Iterable[Event], tags: Mapping[str, str], final: str
) -> dict[str, tuple[float, str]]:
    """Values by name, each with the time when it was known, in the order in which they became known.

    Args:
        scores: rows of whole splits.
        events: of the last attempt.
        tags: of the run: its own protocol and profile are not part of a name.
        final: the stage whose scores are the cell's.
    """
    by_score: dict[tuple[object, ...], list[ScoreRow]] = {}
    for row in scores:
        by_score.setdefault(row[1:6], []).append(row)
    found: dict[str, tuple[float, str]] = {}
    for event in events:
        for name, value in _of_event(event, by_score, tags, final):
            before = found[name][0] if isinstance(event, Phase) and name in found else 0.0
            found[name] = value + before, event.time
    return found


def _of_event(
    event: Event, scores: Mapping[tuple[object, ...], list[ScoreRow]], tags: Mapping[str, str], final: str
) -> Iterator[tuple[str, float]]:
    match event:
        case Scored():
            place = (event.stage, event.split, event.protocol, event.inference, float(event.test_points))
            for row in scores.get(place, []):
                yield from ((f"{group}/{row.metric}", row.value) for group in _groups(row, tags, final))
        case StageFinished():
            yield f"time/stage/{event.stage}", event.seconds
        case Selected():
            yield "selection/update", float(event.update)
            yield "selection/threshold", event.threshold
            yield "selection/score", event.score
        case Regret():
            yield "oracle/selection/best", event.best
            yield "oracle/selection/chosen", event.chosen
            yield "oracle/selection/regret", event.best - event.chosen
        case Cost():
            yield "cost/annotation_seconds", event.annotation_seconds
            yield "cost/points", float(event.points)
            yield "cost/patches", float(event.patches)
            yield from ((f"cost/{kind}", float(count)) for kind, count in event.others.items())
            yield from _of_preferences(event.preferences)
        case Phase():
            yield f"time/{event.name}", event.seconds
        case CellFinished():
            yield "cost/train_seconds", event.train_seconds
            yield "cost/peak_memory_bytes", float(event.peak_memory_bytes)


def _groups(row: ScoreRow, tags: Mapping[str, str], final: str) -> Iterator[str]:
    """Where a score goes: its stage, and the cell if that is the last one; ``oracle`` where it may not be ranked."""
    parts = _points(row.test_points)
    parts += [row.inference] if row.inference != tags.get("inference", row.inference) else []
    parts += [row.protocol] if row.protocol != tags.get("protocol", row.protocol) else []
    if row.split != RANKED_SPLIT:
        yield "/".join(["oracle", f"target_{row.split}", row.stage, *parts])
        return
    if row.stage == final:
        yield "/".join([CELL_GROUP, *parts])
    if row.stage != final or not parts:
        yield "/".join(["stage", row.stage, *parts])


def _points(share: float) -> list[str]:
    return [f"points_{percent(share)}"] if share else []


def cost_names(events: Iterable[Event]) -> dict[str, float]:
    """What a run took, by its names: annotation, training, memory."""
    spent = [event for event in events if isinstance(event, Cost | CellFinished)]
    return {name: value for name, (value, _) in named_metrics((), spent, {}, "").items()}


def _of_preferences(counts: Mapping[str, int]) -> Iterator[tuple[str, float]]:
    """Counts of a person's preferences, and which share of the questions was answered and could be used."""
    yield from ((f"preferences/{name}", float(count)) for name, count in counts.items())
    if asked := counts.get("asked"):
        yield "preferences/answered_share", counts["answered"] / asked
        yield "preferences/used_share", counts["used"] / asked
