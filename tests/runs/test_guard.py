"""The guard: what counts as falling behind, and a run whose last stage does, warned of and fallen back from."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from dabench.checking.verify import Verifier
from dabench.cli.run_report import show_result
from dabench.components.registry import PluginStatus, Registry
from dabench.interfaces.observer import Observer
from dabench.models import load_model
from dabench.ops.agreement import Clicks
from dabench.plugin import Candidate, Component, CropSpec, Method, Settings, StageSpec, hookimpl
from dabench.runs.config import validate_config
from dabench.runs.guard import Guard, Look, behind, seen_slices
from dabench.runs.runner import run_cell
from dabench.runs.selection import Stack
from dabench.testing.toys import FrozenToy, ImageToy
from dabench.types import Region


# --------------------------------------------------------------------------------------------------------------- rule
@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        (Look(0.08), Look(0.03), ""),
        (Look(0.08), Look(0.019), "8.0 % of the pixels to 1.9 %"),
        (Look(0.02), Look(0.19), ""),
        (Look(0.02), Look(0.21), "2.0 % of the pixels to 21.0 %"),
        (Look(0.08), Look(0.0), "to 0.0 %"),
        (Look(0.3), Look(0.97), "to 97.0 %"),
        # Points say that it is right, or wrong; four are too few to say anything.
        (Look(0.02, 0.3, 9), Look(0.36, 0.6, 9), ""),
        (Look(0.08, 0.6, 9), Look(0.07, 0.45, 9), "points went from 0.60 to 0.45"),
        (Look(0.08, 0.6, 4), Look(0.07, 0.1, 4), ""),
        (Look(0.08, 0.6, 9), Look(0.0, 0.6, 9), "to 0.0 %"),
        # Clicks that imply no count are no word on what grew elsewhere.
        (Look(0.02, 0.3, 9, False), Look(0.36, 0.6, 9, False), "2.0 % of the pixels to 36.0 %"),
        (Look(0.36, 0.3, 9, False), Look(0.02, 0.6, 9, False), ""),
        (Look(0.08, 0.6, 9, False), Look(0.07, 0.45, 9, False), "points went from 0.60 to 0.45"),
        # A start that found nothing or everything is no measure.
        (Look(0.0), Look(0.2), ""),
        (Look(1.0), Look(0.1), ""),
    ],
)
def test_who_has_fallen_behind(start: Look, end: Look, words: str) -> None:
    found = behind(start, end)
    assert words in found
    assert bool(words) == bool(found)


class LooksOf(Guard):
    """A guard that saw this of each stage."""

    def __init__(self, *looks):
        stages = [SimpleNamespace(spec=SimpleNamespace(name=f"s{i}", iterations=9)) for i in range(len(looks))]
        self.plan = SimpleNamespace(stages=stages, choice=SimpleNamespace(thresholds=(0.5,)))
        self.looks = looks

    def _of(self, index, chosen):
        del chosen
        return self.looks[index]


def test_a_model_that_finds_hardly_any_point_is_named_where_its_start_was_no_better() -> None:
    chosen = Candidate(9, 0.1)
    used, candidate, event = LooksOf(Look(0.3, 0.0, 11), Look(0.3, 0.05, 11)).check(chosen, falls_back=True)
    assert (used, candidate, event.word) == (1, chosen, "poor")
    assert event.told.startswith("s1 agrees with the points by 0.05 of 1 only")
    # It falls back, and what it falls back to is poor, too.
    used, _, event = LooksOf(Look(0.3, 0.2, 11), Look(0.3, 0.0, 11)).check(chosen, falls_back=True)
    assert (used, event.word) == (0, "fell back")
    assert event.told.startswith("fell back to s0: s1 fell behind s0: ")
    assert "; s0 agrees with the points by 0.20" in event.told
    # Four points are too few to say anything.
    _, _, event = LooksOf(Look(0.3, 0.0, 4), Look(0.3, 0.05, 4)).check(chosen, falls_back=True)
    assert (event.word, event.told) == ("good", "good")


def person(points: int, *regions: Region) -> Clicks:
    return Clicks(np.zeros((points, 2)), np.ones(points, bool), np.zeros((1, 2)), regions)


def test_a_persons_few_clicks_are_all_seen_and_slices_with_a_region() -> None:
    stack = Stack(np.zeros((40, 8, 8)), 30.0)
    # One click on each of ten slices, all objects on slice 12, a negative click alone on slice 30.
    given = {z: person(1) for z in range(10)} | {12: person(3, Region(None, 3)), 30: person(0)}
    seen = seen_slices(stack, given)
    assert 12 in seen
    assert 30 not in seen
    assert sum(len(given[z].points) for z in seen) >= 5
    assert seen_slices(stack, {z: person(1) for z in (3, 5)}) == [3, 5]
    # Drawn points, and none at all, are seen on four slices.
    assert seen_slices(stack, {z: Clicks.drawn(np.zeros((2, 2)), 0.5) for z in range(40)}) == [5, 15, 25, 35]
    assert seen_slices(stack, {}) == [5, 15, 25, 35]


# ---------------------------------------------------------------------------------------------------------------- run
def below(cut):
    """Pixels below a cut are foreground; no two greys have one probability, which would fail the cell."""
    return FrozenToy(ImageToy(answer=lambda images: 0.8 * (images < cut) + 0.1 * images))


class TwoSteps(Settings):
    end: float = 0.4


class Collapses(Method):
    """A start that finds dark pixels, then a stage with another cut: at 0 it finds nothing."""

    def __init__(self, settings, components):
        del components
        self.settings = settings

    def stages(self, task, budget):
        del task, budget
        crops, cuts = CropSpec(64), {"start": 0.4, "end": self.settings.end}
        return [
            StageSpec(n, "collapses", self.settings, (), crops, 0, lambda _, c=c: below(c)) for n, c in cuts.items()
        ]


@hookimpl
def register_methods(register):
    register(Component("collapses", Collapses, TwoSteps, "finds nothing in the end", licence="Apache-2.0"))


class Heard(Observer):
    def __init__(self):
        self.words = []

    def ended(self, work, status, values=None, reason=""):
        self.words.append((work, status, reason))


def run(workspace, observer=None, **values):
    registry = Registry.load()
    registry.add(sys.modules[__name__], PluginStatus("collapses", "x"))
    given = {"method": "collapses", "task": "human2stem", "data": "phantom", "preset": "tiny", **values}
    config = validate_config(given)
    return run_cell(config, registry, workspace, observer=observer), config, registry


def test_a_benchmark_row_warns_and_keeps_its_last_stage(workspace):
    heard = Heard()
    record, _, _ = run(workspace, heard, options={"collapses": {"end": 0.0}})
    assert record.status == "ok"
    assert record.final == "end"
    assert record.metrics["target_test/dice"] == 0
    assert record.tags["guard"].startswith("end fell behind start: foreground went from ")
    assert [(work, status) for work, status, _ in heard.words if status == "behind"] == [("end", "behind")]


def test_where_it_may_it_falls_back_and_says_so(workspace):
    record, config, registry = run(workspace, options={"collapses": {"end": 0.0}}, guard="fall-back")
    assert record.tags["guard"].startswith("fell back to start: end fell behind start: ")
    assert record.final == "start"
    assert record.metrics["target_test/dice"] == record.metrics["stage/start/dice"] > 0
    model = load_model(config.cell_id, registry, workspace)
    assert model.card.stage == "start"
    model.save(workspace.root / "fallen.safetensors")
    assert load_model(workspace.root / "fallen.safetensors", registry, workspace).card.stage == "start"
    report = Verifier(registry, workspace).verify(record.path)
    assert report.failed == ()


def test_what_is_used_instead_of_the_choice_is_printed(workspace, capsys):
    values = {"selector": "target-entropy", "thresholds": [0.3, 0.4], "guard": "fall-back"}
    record, config, _ = run(workspace, options={"collapses": {"end": 0.0}}, **values)
    tracked = SimpleNamespace(record=record, config=config, path=record.path, outcomes=(), tracking_uri="")
    show_result(tracked)
    printed = capsys.readouterr().out
    assert "chosen:   update 0, threshold 0.3, by selector target-entropy" in printed
    assert "used:     start instead: update 0, threshold 0.3, not by a choice" in printed


def test_a_good_end_is_left_alone_and_off_is_off(workspace):
    record, _, _ = run(workspace)
    assert record.tags["guard"] == "good"
    record, _, _ = run(workspace, options={"collapses": {"end": 0.0}}, guard="off")
    assert "guard" not in record.tags
