"""A zero-shot method: one stage that is never trained, from the plan to the model that is loaded."""

from __future__ import annotations

import sys

from dabench.components.registry import PluginStatus, Registry
from dabench.models import load_model
from dabench.plugin import Component, CropSpec, Method, Settings, StageSpec, hookimpl
from dabench.runs.config import validate_config
from dabench.runs.plan import make_plan
from dabench.runs.runner import run_cell
from dabench.testing import check_components
from dabench.testing.toys import FrozenToy, ImageToy


def dark():
    """Dark pixels are foreground."""
    return FrozenToy(ImageToy(answer=lambda images: (images < 0.4).float()))


class ZeroShot(Method):
    def __init__(self, settings, components):
        del components
        self.settings = settings

    def stages(self, task, budget):
        del task, budget
        return [StageSpec("zero", "zero-shot", self.settings, (), CropSpec(64), 0, lambda _: dark())]


@hookimpl
def register_methods(register):
    register(Component("zero-shot", ZeroShot, Settings, "dark pixels", licence="Apache-2.0"))


def test_from_plan_to_model(workspace):
    registry = Registry.load()
    registry.add(sys.modules[__name__], PluginStatus("zero-shot", "x"))
    assert [o for o in check_components(registry, [registry.get("method", "zero-shot")]) if o.problem] == []
    config = validate_config({"method": "zero-shot", "task": "human2stem", "data": "phantom", "preset": "tiny"})
    assert make_plan(config, registry, workspace).stages[0].state == "frozen"
    record = run_cell(config, registry, workspace)
    assert (record.status, record.stages[0].updates) == ("ok", 0)
    assert record.metrics["target_test/dice"] > 0
    model = load_model(config.cell_id, registry, workspace)
    assert model.card.update == 0
