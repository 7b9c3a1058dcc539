"""The conformance suite finds faults of selectors and of suites, and names them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from dabench.plugin import Selector
from tests.conformance.broken import problems


# ---------------------------------------------------------------- selectors
class Curious(Selector):
    """Looks at more than it says, under a word that nobody knows."""

    looks_at = ("target", "labels")

    def scores(self, candidates, data):
        return [float(len(data.points())) for _ in candidates]


class Short(Selector):
    """Forgets a candidate, divides by what is not there."""

    looks_at = ("target",)

    def scores(self, candidates, data):
        slices = [next(data.target(c.update, 1)).mask(c.threshold).mean() for c in candidates[1:]]
        return [1 / share if share else float("inf") for share in slices]


class Moody(Selector):
    """Draws lots."""

    def scores(self, candidates, data):
        return [random.random() for _ in candidates]


class Ordinal(Selector):
    """Scores the place in the list."""

    def scores(self, candidates, data):
        return [float(i) for i, _ in enumerate(candidates)]


def test_a_selector_that_looks_at_more_than_it_says():
    found = problems("selector", lambda config: Curious())
    assert "'labels'" in found["declares what it looks at"]
    assert "looks at 'points', which its looks_at does not name" in found["scores all"]


def test_a_selector_that_leaves_out_or_diverges():
    found = problems("selector", lambda config: Short())
    assert "14 scores of 15 candidates" in found["scores all"]
    assert "inf" in found["nothing there"]


@pytest.mark.parametrize("rule", [Moody, Ordinal])
def test_a_selector_that_is_not_a_function_of_its_candidates(rule):
    assert "in another order" in problems("selector", lambda config: rule())["repeatable"]


# ---------------------------------------------------------------- suites
@pytest.mark.parametrize(
    ("text", "check", "words"),
    [
        ("name: other\naxes: {seed: [0]}\nsettings: {method: source-only, task: rat2human}", "loads", "'other'"),
        ("nam: group/suite", "loads", "name"),
        ("name: group/suite\nsettings: {method: source-only, task: rat2human, seed: -1}", "expands", "seed"),
        ("name: group/suite\nrows: {a: {unavailable: no code}}", "expands", "unavailable"),
        ("name: group/suite\nsettings: {method: sorce-only, task: rat2human}", "names components", "source-only"),
        ("name: group/suite\nsettings: {method: source-only, task: rat2hman}", "names components", "human"),
    ],
)
def test_a_suite_that_cannot_run(tmp_path: Path, text: str, check: str, words: str):
    path = tmp_path / "suite.yaml"
    path.write_text(text)
    assert words in problems("suite", lambda config: path, "group/suite")[check]


def test_a_suite_without_its_file(tmp_path: Path):
    assert "no YAML file" in problems("suite", lambda config: tmp_path / "no.yaml", "a-suite")["has a file"]
    assert "not a pathlib.Path" in problems("suite", lambda config: "no.yaml", "a-suite")["has a file"]


def test_a_good_suite_in_a_group(tmp_path: Path):
    path = tmp_path / "suite.yaml"
    path.write_text("name: group/suite\nsettings: {method: source-only, task: rat2human}\naxes: {seed: [0, 1]}\n")
    assert problems("suite", lambda config: path, "group/suite") == {}
