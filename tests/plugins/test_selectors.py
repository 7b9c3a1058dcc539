"""The four selectors against numbers worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pytest
from dabench_selectors import EntropySettings, Last, PointAgreement, SliceSettings, SourceValidation, TargetEntropy
from dabench_selectors.entropy import bits
from dabench_weak_labels.points import number_of_points
from hypothesis import given
from hypothesis import strategies as st

from dabench.ops.agreement import Agreement, Clicks, expected_objects, f_measure
from dabench.ops.centres import component_centres
from dabench.plugin import Candidate, CandidateSlice, Region, Window


class View:
    """Slices and points that a test made up; counts how often a model was asked."""

    def __init__(
        self,
        maps: Mapping[int, Sequence[np.ndarray]],
        labels: Sequence[np.ndarray] | None = None,
        points: Mapping[int, np.ndarray] | None = None,
        share: float = 0.5,
        clicks: Mapping[int, Clicks] | None = None,
    ) -> None:
        self.maps, self.labels, self.given, self.share = maps, labels, points or {}, share
        self.said = clicks
        self.asked: list[tuple[int, int]] = []

    def target(self, update: int, most: int, among: Sequence[int] | None = None) -> Iterator[CandidateSlice]:
        self.asked.append((update, most))
        for z, probability in enumerate(self.maps[update]):
            if among is None or z in among:
                yield CandidateSlice(z, probability, lambda mask: mask)

    def source(self, update: int, most: int) -> Iterator[CandidateSlice]:
        self.asked.append((update, most))
        for z, probability in enumerate(self.maps[update]):
            yield CandidateSlice(z, probability, lambda mask: mask, self.labels[z])

    def points(self) -> Mapping[int, np.ndarray]:
        return self.given

    def clicks(self) -> Mapping[int, Clicks]:
        drawn = {z: Clicks.drawn(points, self.share) for z, points in self.given.items()}
        return self.said or {z: clicks for z, clicks in drawn.items() if clicks}

    def point_share(self) -> float:
        return self.share


def flat(*values: float) -> list[np.ndarray]:
    return [np.full((4, 4), value, np.float32) for value in values]


# ---------------------------------------------------------------- last
def test_last_looks_at_nothing() -> None:
    assert Last.looks_at == ()
    assert Last().scores([Candidate(10, 0.3), Candidate(20, 0.5)], None) == [10, 20]


# ---------------------------------------------------------------- source validation
def test_source_validation_by_hand() -> None:
    label = np.array([[1, 1, 0, 0], [1, 1, 0, 255]], np.uint8)
    good = np.array([[0.9, 0.6, 0.1, 0.1], [0.9, 0.6, 0.4, 0.9]], np.float32)
    view = View({1: [good, good], 2: [1 - good, 1 - good]}, [label, label])
    found = [Candidate(1, 0.5), Candidate(1, 0.7), Candidate(1, 0.3), Candidate(2, 0.5)]
    # |P ∩ G|, |P|, |G| a slice: 4 4 4; 2 2 4; 4 5 4; none of the true ones. The unknown pixel counts nowhere.
    expected = [1.0, 2 * 2 / 6, 2 * 4 / 9, 0.0]
    assert SourceValidation(SliceSettings(slices=3)).scores(found, view) == pytest.approx(expected)
    assert view.asked == [(1, 3), (2, 3)], "each model predicts once, whatever the number of thresholds"


def test_source_validation_pools_pixels_over_slices() -> None:
    labels = [np.ones((4, 4), np.uint8), np.zeros((4, 4), np.uint8)]
    view = View({1: flat(1, 1), 2: flat(0, 0)}, labels)
    scores = SourceValidation(SliceSettings()).scores([Candidate(1, 0.5), Candidate(2, 0.5)], view)
    assert scores == pytest.approx([2 * 16 / 48, 0.0])
    empty = View({1: flat(0)}, [np.zeros((4, 4), np.uint8)])
    assert SourceValidation(SliceSettings()).scores([Candidate(1, 0.5)], empty) == [1.0]


# ---------------------------------------------------------------- entropy
def test_bits() -> None:
    assert bits(np.array([0.0, 0.5, 1.0, 0.25])) == pytest.approx([0, 1, 0, 0.811278124])


def half(sure: float) -> list[np.ndarray]:
    """Half the slice foreground, half background, so sure of both."""
    return [np.where(np.arange(16).reshape(4, 4) < 8, sure, 1 - sure).astype(np.float32)]


def test_entropy_by_hand() -> None:
    view = View({1: half(0.75), 2: half(0.9)})
    found = [Candidate(1, 0.5), Candidate(2, 0.5), Candidate(2, 0.3)]
    scores = TargetEntropy(EntropySettings(diversity=0)).scores(found, view)
    entropy = [-p * math.log2(p) - (1 - p) * math.log2(1 - p) for p in (0.75, 0.9)]
    assert scores == pytest.approx([-entropy[0], -entropy[1], -entropy[1]])
    mutual = TargetEntropy(EntropySettings()).scores(found, view)
    assert mutual == pytest.approx([1 - entropy[0], 1 - entropy[1], 1 - entropy[1]])


@pytest.mark.parametrize("collapsed", [0.0, 1.0, 1e-6])
@pytest.mark.parametrize("diversity", [0.0, 1.0])
def test_a_collapsed_model_is_sure_and_still_comes_last(collapsed: float, diversity: float) -> None:
    view = View({1: half(0.51), 2: flat(collapsed)})
    scores = TargetEntropy(EntropySettings(diversity=diversity)).scores([Candidate(1, 0.5), Candidate(2, 0.5)], view)
    assert scores[1] < -1 <= scores[0]


def test_who_misses_most_of_the_foreground_is_surer_and_yet_not_preferred() -> None:
    missed = np.full((4, 4), 0.02, np.float32)
    missed[0, 0] = 0.98
    view, found = View({1: half(0.9), 2: [missed]}), [Candidate(1, 0.5), Candidate(2, 0.5)]
    alone, mutual = (TargetEntropy(EntropySettings(diversity=d)).scores(found, view) for d in (0, 1))
    assert alone[1] > alone[0]
    assert mutual[1] < mutual[0]


def test_a_threshold_that_finds_nothing_comes_last() -> None:
    scores = TargetEntropy(EntropySettings()).scores([Candidate(1, 0.5), Candidate(1, 0.95)], View({1: half(0.9)}))
    assert scores[1] == pytest.approx(scores[0] - 3)


# ---------------------------------------------------------------- points
@given(st.integers(1, 60), st.sampled_from([0.05, 0.15, 0.3, 0.5, 0.9, 1.0]))
def test_expected_objects_are_the_middle_of_all_that_fit(n: int, share: float) -> None:
    possible = [count for count in range(1, 1300) if number_of_points(share, count) == n]
    if possible:
        assert expected_objects(n, share) == (possible[0] + possible[-1]) / 2


def test_f_measure_by_hand() -> None:
    assert f_measure(objects=10, hits=5, given=5, expected=10) == 1
    assert f_measure(objects=10, hits=4, given=5, expected=10) == pytest.approx(0.8)
    assert f_measure(objects=30, hits=5, given=5, expected=10) == pytest.approx(0.5), "20 false positives"
    assert f_measure(objects=1, hits=1, given=5, expected=10) == pytest.approx(2 / 11), "all of it merged"
    assert f_measure(objects=0, hits=0, given=5, expected=10) == 0
    assert f_measure(objects=3, hits=0, given=0, expected=0) == 0


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 50), st.floats(1, 99))
def test_f_measure_is_a_share_and_grows_with_hits(objects: int, hits: int, points: int, expected: float) -> None:
    hits = min(hits, objects, points)
    score = f_measure(objects, hits, points, expected)
    assert 0 <= score <= 1
    if hits < min(objects, points):
        assert f_measure(objects, hits + 1, points, expected) >= score


def discs(*centres: tuple[int, int], radius: int = 4, size: int = 64) -> np.ndarray:
    rows, columns = np.mgrid[:size, :size]
    found = [(rows - y) ** 2 + (columns - x) ** 2 <= radius**2 for x, y in centres]
    return np.any(found, axis=0) if found else np.zeros((size, size), bool)


def test_objects_and_hits() -> None:
    mask = discs((10, 10), (30, 10), (50, 50)) | discs((50, 10), radius=1)
    points = np.array([[10, 10], [12, 10], [50.4, 49.6], [5, 60], [63.4, 63.4]], np.float32)
    for seen, expected in ((mask, (3, 2)), (~mask, (1, 1)), (np.zeros((64, 64), bool), (0, 0))):
        found = Agreement()
        found.add(seen, Clicks.drawn(points, 0.5))
        assert (found.objects, found.hits) == expected, "the speck is no object; two points in one object are one hit"


TRUE = [(10, 10), (30, 10), (50, 10), (10, 40), (30, 40), (50, 40)]


def clicked(count: int = 6, judged: int | None = None, negative: Sequence[Sequence[float]] = (), **more) -> Clicks:
    """A person's clicks on the first of the true discs, the last ``judged`` of them held out (all)."""
    points = component_centres(discs(*TRUE))[:count]
    judges = np.arange(count) >= count - (count if judged is None else judged)
    return Clicks(points, judges, np.reshape(negative, (-1, 2)).astype(np.float32), more.get("regions", ()), 0.15)


def score_of(mask: np.ndarray, clicks: Clicks) -> float:
    found = Agreement()
    found.add(mask, clicks)
    return found.score()


def test_a_persons_clicks_imply_no_count_but_in_regions() -> None:
    false = discs(*TRUE, (20, 25), (40, 25), (20, 55))
    assert score_of(false, clicked(3)) == 1, "who clicks three objects says nothing of the others"
    assert score_of(discs(*TRUE[:2]), clicked(3)) == pytest.approx(2 / 3)
    # Every object of the slice: 6 expected, 9 predicted; of its top: 3 and 3 (the false ones lie below).
    assert score_of(false, clicked(regions=(Region(None, 6),))) == pytest.approx(2 * 6 / 15)
    top = Region(Window(0, 0, 18, 64), 3)
    assert score_of(false, clicked(regions=(top,))) == 1
    assert score_of(discs(*TRUE[3:]), clicked(regions=(top,))) == 0, "three expected, none there"
    nothing = (Region(Window(48, 0, 16, 64), 0),)  # a region in which there is nothing to click
    assert score_of(discs(*TRUE), clicked(regions=nothing)) == 1
    assert score_of(false, clicked(regions=nothing)) == 0


def test_negative_clicks_count_against_what_floods() -> None:
    corners = [(0, 0), (63, 0), (20, 25)]
    assert score_of(discs(*TRUE), clicked(negative=corners)) == 1
    assert score_of(discs(*TRUE, (20, 25)), clicked(negative=corners)) == pytest.approx(2 / 3)
    assert score_of(np.ones((64, 64), bool), clicked(negative=corners)) == 0
    # Without them a flood is known by what it merges alone: one object for six clicks.
    assert score_of(np.ones((64, 64), bool), clicked()) == pytest.approx(1 / 6)
    assert score_of(np.ones((64, 64), bool), clicked(count=0, negative=corners)) == 0, "no click that judges"


def test_only_clicks_that_were_held_out_judge() -> None:
    found = discs(*TRUE[:2], (50, 40))  # the first two and the last of six
    assert score_of(found, clicked()) == pytest.approx(3 / 6)
    assert score_of(found, clicked(judged=2)) == pytest.approx(1 / 2)
    assert score_of(found, clicked(judged=1)) == 1
    # One object over all three of the lower row: the two that judge are two thirds of a hit.
    merged = discs(*TRUE[:3]) | (discs((30, 40), radius=25) & (np.mgrid[:64, :64][0] > 30))
    assert score_of(merged, clicked(judged=2)) == pytest.approx((2 / 3) / 2)


def test_the_selector_takes_the_threshold_that_leaves_negative_clicks_out() -> None:
    probability = discs(*TRUE) * 0.3 + discs(*TRUE[:4]) * 0.3 + 0.15
    found = [Candidate(1, t) for t in (0.5, 0.4, 0.1)]
    negative = {0: clicked(negative=[(20, 25), (0, 0)])}
    scores = PointAgreement(SliceSettings()).scores(found, View({1: [probability.astype(np.float32)]}, clicks=negative))
    assert scores == pytest.approx([4 / 6, 1, 0])


def test_a_threshold_above_one_half_gains_by_what_it_separates_and_not_by_what_it_drops() -> None:
    view, found = View, [Candidate(1, t) for t in (0.5, 0.8, 0.2)]
    drops = discs(*TRUE) * 0.3 + discs(*TRUE, (20, 25), (40, 25), (20, 55)) * 0.6
    every = {0: clicked(regions=(Region(None, 6),))}
    rule = PointAgreement(SliceSettings())
    score = rule.scores(found, view({1: [drops.astype(np.float32)]}, clicks=every))
    assert score == pytest.approx([2 * 6 / 15] * 3), "all six are hit at .8, where the three false ones are gone"
    bridge = np.zeros((64, 64), bool)
    bridge[9:12, 10:50] = True
    joins = discs(*TRUE) * 0.3 + (discs(*TRUE) | bridge) * 0.6
    score = rule.scores(found, view({1: [joins.astype(np.float32)]}, clicks=every))
    assert score == pytest.approx([2 * 4 / 10, 1, 2 * 4 / 10]), "three of six are one object until .8"
    alone = rule.scores(found[1:2], view({1: [drops.astype(np.float32)]}, clicks=every))
    assert alone == pytest.approx([2 * 6 / 15]), "whatever else is compared"


def test_agreement_prefers_the_model_that_finds_all_and_no_more() -> None:
    true = [(10, 10), (30, 10), (50, 10), (10, 40), (30, 40), (50, 40)]
    points = {0: component_centres(discs(*true))[:3], 1: np.zeros((0, 2), np.float32)}
    false = [(20, 25), (40, 25), (20, 55), (40, 55)]
    models = {
        1: discs(*true),
        2: discs(*true[:4]),
        3: discs(*true, *false),
        4: np.ones((64, 64), bool),
        5: np.zeros((64, 64), bool),
    }
    # The second slice has no point: whatever a model finds there does not count.
    view = View({k: [m.astype(np.float32), np.ones((64, 64), np.float32)] for k, m in models.items()}, points=points)
    scores = PointAgreement(SliceSettings()).scores([Candidate(k, 0.5) for k in models], view)
    expected = expected_objects(3, 0.5)
    assert expected == 5.5
    assert scores[0] == pytest.approx(2 * 5.5 / 11.5)
    assert scores[2] == pytest.approx(2 * 5.5 / 15.5)
    assert scores[0] == max(scores)
    assert scores[3] == pytest.approx(2 * 1 / 6.5)
    assert scores[4] == 0
    assert scores[0] > scores[1] > scores[3]


def test_agreement_without_any_point_prefers_nobody() -> None:
    view = View({1: flat(0.9), 2: flat(0.1)}, points={0: np.zeros((0, 2), np.float32)})
    assert PointAgreement(SliceSettings()).scores([Candidate(1, 0.5), Candidate(2, 0.5)], view) == [0, 0]
