"""The oracle: labels of the target, from scratch or from the source model."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dabench.components.registry import Registry
from dabench.files.workspace import Workspace
from dabench.runs.config import validate_config
from dabench.runs.plan import make_plan

TASK = {"method": "oracle", "task": "human2stem", "data": "phantom", "preset": "tiny"}


def plan(registry: Registry, place: Any, **options: str) -> Any:
    return make_plan(validate_config({**TASK, "options": {"oracle": options}}), registry, Workspace(place))


def test_from_scratch_is_one_stage_on_the_target(registry: Registry, tmp_path: Any) -> None:
    (stage,) = plan(registry, tmp_path).stages
    assert (stage.spec.name, stage.spec.crops.labelled) == ("supervised", "target")


def test_from_the_source_it_starts_with_its_weights(registry: Registry, tmp_path: Any) -> None:
    source, target = plan(registry, tmp_path, start="source").stages
    assert [s.spec.crops.labelled for s in (source, target)] == ["source", "target"]
    assert (
        source.key
        == make_plan(validate_config({**TASK, "method": "source-only"}), registry, Workspace(tmp_path)).stages[0].key
    ), "the source model is the one of every method"
    torch.manual_seed(0)
    first = source.spec.build(None)
    second = target.spec.build(first)
    before, after = (stage.network().state_dict() for stage in (first, second))
    assert all(torch.equal(before[name], after[name]) for name in before)
    with torch.no_grad():
        next(second.network().parameters()).add_(1)
    name = next(iter(dict(first.network().named_parameters())))
    assert not torch.equal(dict(first.network().named_parameters())[name], second.network().state_dict()[name]), (
        "a copy"
    )


def test_another_start_is_refused(registry: Registry, tmp_path: Any) -> None:
    with pytest.raises(Exception, match="start"):
        plan(registry, tmp_path, start="nowhere")
