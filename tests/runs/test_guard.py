"""The guard: what counts as falling behind, and a run whose last stage does, warned of and fallen back from."""

from __future__ import annotations

import sys

import pytest

from dabench.checking.verify import Verifier
from dabench.components.registry import PluginStatus, Registry
from dabench.interfaces.observer import Observer
from dabench.models import load_model
from dabench.plugin import Component, CropSpec, Method, Settings, StageSpec, hookimpl
from dabench.runs.config import validate_config
from dabench.runs.guard import Look, behind
from dabench.runs.runner import run_cell
from dabench.testing.toys import FrozenToy, ImageToy


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


def test_a_good_end_is_left_alone_and_off_is_off(workspace):
    record, _, _ = run(workspace)
    assert record.tags["guard"] == "good"
    record, _, _ = run(workspace, options={"collapses": {"end": 0.0}}, guard="off")
    assert "guard" not in record.tags
