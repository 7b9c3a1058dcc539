"""A starting point and one stage behind it: what is planned, what is built, and where it is skipped."""

from __future__ import annotations

from typing import Any, cast

import pytest
from torch import nn

from dabench.interfaces import Budget, CropSpec, Stage, StageSpec, TaskInfo
from dabench.plugin import (
    Adaptation,
    AdaptationSettings,
    FineTuning,
    FineTuningSettings,
    Method,
    PairsSettings,
    SchemeSettings,
    missing_neighbours,
)
from dabench.testing.toys import ImageToy, ToyLabels

TASK, APART = TaskInfo("a2b", "a", "b"), TaskInfo("a2b", "a", "b", neighbours=False)
SCRATCH = {"start": "scratch", "network": "toy", "backbone": "none"}


class Schemed(SchemeSettings, AdaptationSettings):
    """Settings that name a scheme."""


class Trained(Stage):
    """A stage of what it was given."""

    def __init__(self, settings: Any, network: nn.Module, *schemes: Any) -> None:
        self.settings, self.student, self.schemes = settings, network, schemes

    def modules(self) -> dict[str, nn.Module]:
        return {"network": self.student}

    def optimizer_steps(self) -> Any: ...

    def step(self, batch: Any, optimizer: str) -> Any: ...

    def predictor(self) -> Any: ...


class Start(Method):
    """A method of two stages."""

    def stages(self, task: TaskInfo, budget: Budget) -> list[StageSpec]:
        del task, budget
        parts = (("network", "toy"), ("backbone", "conv"))
        settings = AdaptationSettings(**SCRATCH)
        return [
            StageSpec(name, "start", settings, parts, CropSpec(32), 5, lambda _: Trained(None, ImageToy(0.3)))
            for name in ("first", "second")
        ]


class Parts:
    """Components by name; remembers the networks that it made."""

    def __init__(self) -> None:
        self.made: list[tuple[str, str]] = []

    def network(self, name: str, backbone: str) -> nn.Module:
        self.made.append((name, backbone))
        return ImageToy(0.7)

    def self_training(self, name: str) -> ToyLabels:
        assert name == "labels"
        return ToyLabels()

    def method(self, name: str) -> Method:
        assert name == "parent"
        return Start()


def adaptation(settings: AdaptationSettings, parts: Parts | None = None, **options: Any) -> Adaptation:
    return Adaptation(settings, cast(Any, parts or Parts()), "toy-method", Trained, **options)


def test_from_scratch_there_is_one_stage_on_a_fresh_network() -> None:
    settings, parts = AdaptationSettings(**SCRATCH, crop=64, iterations=7), Parts()
    (spec,) = adaptation(settings, parts).stages(TASK, Budget())
    assert (spec.name, spec.method, spec.config) == ("toy-method", "toy-method", settings)
    assert (spec.crops, spec.iterations, spec.asks) == (CropSpec(64, 2, 2), 7, ())
    assert spec.components == (("network", "toy"),)
    assert parts.made == [], "planning builds nothing"
    built = spec.build(None)
    assert parts.made == [("toy", "none")]
    assert built.network().gain.item() == pytest.approx(0.7)
    assert cast(Trained, built).settings is settings


def test_an_encoder_of_its_own_is_a_component() -> None:
    (spec,) = adaptation(AdaptationSettings(**{**SCRATCH, "backbone": "conv"}), parts := Parts()).stages(TASK, Budget())
    assert spec.components == (("network", "toy"), ("backbone", "conv"))
    spec.build(None)
    assert parts.made == [("toy", "conv")]


def test_another_methods_stages_come_first_and_its_network_is_copied() -> None:
    first, second, own = adaptation(AdaptationSettings(**{**SCRATCH, "start": "parent"}), parts := Parts()).stages(
        TASK, Budget()
    )
    assert [first.name, second.name, own.name] == ["first", "second", "toy-method"]
    assert own.components == second.components == (("network", "toy"), ("backbone", "conv"))
    parent = second.build(None)
    built = own.build(parent)
    assert built.network() is not parent.network()
    assert built.network().gain.item() == pytest.approx(0.3)
    assert parts.made == [], "no fresh network"


def test_fine_tuning_has_no_network_of_its_own_to_start_from() -> None:
    settings = FineTuningSettings(start="parent", crop=64, iterations=7)
    method = FineTuning(settings, cast(Any, Parts()), "toy-method", Trained, asks=("points",))
    first, second, own = method.stages(TASK, Budget(points=0.1))
    assert [first.name, second.name, own.name] == ["first", "second", "toy-method"]
    assert (own.crops, own.iterations, own.asks) == (CropSpec(64, 2), 7, ("points",))
    assert own.build(second.build(None)).network().gain.item() == pytest.approx(0.3)


def test_a_scheme_is_a_component_and_goes_to_the_stage() -> None:
    (spec,) = adaptation(Schemed(**SCRATCH, self_training="labels")).stages(TASK, Budget())
    assert spec.components == (("network", "toy"), ("self_training", "labels"))
    (scheme,) = cast(Trained, spec.build(None)).schemes
    assert isinstance(scheme, ToyLabels)


def test_weak_labels_that_the_stage_asks_for_are_in_its_description() -> None:
    (spec,) = adaptation(AdaptationSettings(**SCRATCH), asks=("points",)).stages(TASK, Budget(points=0.1))
    assert spec.asks == ("points",)


def test_pairs_are_skipped_where_slices_are_no_neighbours() -> None:
    single, pairs = AdaptationSettings(**SCRATCH), PairsSettings(**SCRATCH)
    assert adaptation(single).skip(APART, Budget()) is None
    assert adaptation(pairs).skip(TASK, Budget()) is None
    reason = adaptation(pairs).skip(APART, Budget())
    assert reason == missing_neighbours("toy-method", APART)
    assert reason is not None
    assert reason.startswith("toy-method trains on pairs of neighbouring sections")
