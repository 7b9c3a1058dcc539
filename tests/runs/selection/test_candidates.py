"""Who may predict, what a selector sees of them, and which one is taken."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dabench.data.volumes import ArrayVolume
from dabench.errors import PluginError
from dabench.ops.agreement import Clicks
from dabench.plugin import Candidate, ConfigError, Selector
from dabench.runs.config import validate_config
from dabench.runs.selection import (
    CandidateData,
    Stack,
    best,
    candidates,
    check_candidates,
    choose,
    regret,
    snapshot_updates,
    why_not,
)
from dabench.testing.toys import ImagePredictor

CPU = torch.device("cpu")


# ---------------------------------------------------------------- candidates
@pytest.mark.parametrize(
    ("total", "count", "expected"),
    [
        (20, 1, (20,)),
        (20, 4, (5, 10, 15, 20)),
        (6, 4, (2, 3, 5, 6)),
        (3, 5, (1, 2, 3)),
        (0, 4, (0,)),
    ],
)
def test_snapshots_are_evenly_spread(total: int, count: int, expected: tuple[int, ...]) -> None:
    assert snapshot_updates(total, count) == expected


@given(st.integers(1, 5000), st.integers(1, 60))
def test_the_last_update_is_always_a_candidate(total: int, count: int) -> None:
    updates = snapshot_updates(total, count)
    assert updates[-1] == total
    assert updates[0] >= 1
    assert len(updates) == min(total, count)
    gaps = np.diff((0, *updates))
    assert gaps.min() >= 1
    assert gaps.max() - gaps.min() <= 1


def test_the_preferred_candidate_is_listed_first() -> None:
    found = candidates((5, 10), (0.4, 0.6))
    assert found == (Candidate(10, 0.4), Candidate(10, 0.6), Candidate(5, 0.4), Candidate(5, 0.6))
    assert best(found, [1.0, 1.0, 1.0, 1.0]) == Candidate(10, 0.4)
    assert best(found, [0.0, 0.5, 0.1, 0.5]) == Candidate(10, 0.6)


def test_a_selector_without_a_choice_is_refused() -> None:
    base = {"method": "source-only", "task": "human2stem"}
    one = candidates((20,), (0.5,))
    check_candidates(validate_config(base), one)
    sure = validate_config({**base, "selector": "target-entropy"})
    check_candidates(sure, candidates((20,), (0.3, 0.5)))
    with pytest.raises(ConfigError, match="nothing to choose") as error:
        check_candidates(sure, one)
    assert "--snapshots 5" in error.value.mend


@pytest.mark.parametrize(
    ("changes", "match"),
    [({"snapshots": 0}, "snapshots = 0"), ({"thresholds": [0.5, 1.0]}, "between 0 and 1"), ({"thresholds": []}, "one")],
)
def test_settings_that_cannot_be(changes: dict[str, object], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        validate_config({"method": "source-only", "task": "human2stem", **changes})


def test_cells_that_choose_nothing_keep_their_names() -> None:
    base = {"method": "source-only", "task": "human2stem", "inference": "fast"}
    assert validate_config(base).cell_id == "source-only-human2stem-small-s0-e62a58ab"
    plain = {"selector": "last", "snapshots": 1, "thresholds": [0.5]}
    assert validate_config({**base, **plain}).cell_id == validate_config(base).cell_id
    others = [{"snapshots": 2}, {"thresholds": [0.4]}, {"thresholds": [0.5, 0.4]}, {"snapshots": 2, "selector": "x"}]
    assert len({validate_config({**base, **other}).cell_id for other in [{}, *others]}) == 5


# ---------------------------------------------------------------- what is seen
def grey(scale: float = 1.0) -> ImagePredictor:
    """The grey value is the probability; masks lose their first column."""
    return ImagePredictor(
        lambda images: images[:, 0] * scale, finish=lambda mask: mask & (np.arange(mask.shape[1]) > 0)
    )


def stack(depth: int = 12, labelled: bool = False) -> Stack:
    images = np.tile(np.linspace(0, 1, depth, dtype=np.float32)[:, None, None], (1, 8, 8))
    images[:, 0, 0] = 0.01  # a blank tile would be nobody's question
    return Stack(ArrayVolume(images), 30.0, ArrayVolume((images > 0.5).astype(np.uint8)) if labelled else None)


def test_slices_are_evenly_spread() -> None:
    assert stack().spread(4) == [1, 4, 7, 10]
    assert stack().spread(1) == [6]
    assert stack(3).spread(8) == [0, 1, 2]
    assert stack().spread(2, among=[9, 0, 5, 11]) == [5, 11]
    assert stack().spread(3, among=[]) == []


def test_a_view_predicts_without_prompts_and_without_labels() -> None:
    models = {10: grey(), 20: grey(0.5)}
    points = {1: np.array([[3.0, 4.0]], np.float32)}
    clicks = {z: Clicks.drawn(xy, 0.15) for z, xy in points.items()}
    data = CandidateData(models.__getitem__, 8, CPU, stack(), stack(labelled=True), clicks, 0.15)
    seen = list(data.target(20, 2))
    assert [s.z for s in seen] == [3, 9]
    assert all(s.label is None for s in seen)
    assert seen[1].probability[1:] == pytest.approx(np.full((7, 8), 0.5 * 9 / 11))
    assert models[20].points == [None, None]
    assert not models[10].points
    labelled = list(data.source(10, 2))
    assert labelled[1].label[1:].min() == 1
    assert (data.points(), data.point_share()) == (points, 0.15)


def test_a_mask_is_cut_and_finished_as_the_result_is() -> None:
    data = CandidateData({10: grey()}.__getitem__, 8, CPU, stack(3))
    (seen,) = data.target(10, 1)
    assert seen.probability.max() == 0.5
    mask = seen.mask(0.5)
    assert not mask[:, 0].any()
    assert mask[:, 1:].all()
    assert not seen.mask(0.6).any()


@pytest.mark.parametrize("look", ["target", "source", "points", "clicks", "point_share"])
def test_what_was_not_declared_is_not_there(look: str) -> None:
    data = CandidateData({10: grey()}.__getitem__, 8, CPU)
    arguments = (10, 1) if look in ("target", "source") else ()
    with pytest.raises(ConfigError, match="looks_at does not name"):
        getattr(data, look)(*arguments)


# ---------------------------------------------------------------- the choice
class Given(Selector):
    """Says what it was told to say."""

    def __init__(self, *scores: object) -> None:
        self._scores = scores

    def scores(self, candidates: object, data: object) -> list[float]:
        return list(self._scores)


def test_the_best_is_chosen_and_the_event_says_why() -> None:
    found = candidates((5, 10), (0.5,))
    chosen, event = choose("ipl", "given", Given(-3, np.float32(-2.5)), found, None)
    assert chosen == Candidate(5, 0.5)
    assert (event.stage, event.selector, event.update, event.threshold, event.score) == ("ipl", "given", 5, 0.5, -2.5)
    assert event.candidates == (
        {"update": 10, "threshold": 0.5, "score": -3.0},
        {"update": 5, "threshold": 0.5, "score": -2.5},
    )


@pytest.mark.parametrize("scores", [(1.0,), (1.0, float("nan")), (1.0, float("inf")), (1.0, None), (1.0, "2")])
def test_scores_that_are_none(scores: tuple[object, ...]) -> None:
    with pytest.raises(PluginError, match="'given' scored 2 candidates"):
        choose("ipl", "given", Given(*scores), candidates((5, 10), (0.5,)), None)


def test_regret_by_hand() -> None:
    found = candidates((5, 10), (0.5, 0.3))
    metrics = [{"dice": 0.6, "pq": 0.9}, {"dice": 0.7}, {"dice": 0.8}, {"dice": 0.1}]
    event = regret("ipl", "dice", found, metrics, found[1])
    assert (event.update, event.threshold) == (5, 0.5)
    assert (event.best, event.chosen) == (0.8, 0.7)
    assert [c["score"] for c in event.candidates] == [0.6, 0.7, 0.8, 0.1]


def test_reasons_to_skip() -> None:
    def reason(looks: tuple[str, ...], points: bool = True, source: bool = True, validation: object = 1) -> str:
        rule = type("Rule", (Given,), {"looks_at": looks})()
        task = SimpleNamespace(source="rat", source_validation=validation)
        return why_not(rule, "rule", task, points=points, source=source)

    assert reason(()) == reason(("target",), points=False, source=False) == ""
    assert reason(("target", "points")) == reason(("source",)) == ""
    assert "this run has none" in reason(("points",), points=False)
    assert "has no source" in reason(("source",), source=False)
    assert "'rat' has none" in reason(("source",), validation=None)
