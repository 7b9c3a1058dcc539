"""Settings that methods share: what they say by default, the optimizer and crops that follow, a default said again."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import Field, ValidationError

from dabench.interfaces import CropSpec, OptimizerSpec
from dabench.plugin import (
    AdaptationSettings,
    AdversarialSettings,
    OptimizerSettings,
    PairsSettings,
    SchemeSettings,
    Settings,
    TargetSettings,
    TrainingSettings,
)

START = {"start": "scratch", "network": "promptable", "backbone": "conv-tiny"}


def test_the_optimizer_follows_its_settings() -> None:
    assert OptimizerSettings().optimizer_spec() == OptimizerSpec(3e-4, "adamw", 0.01, warmup=20, clip=1.0)
    settings = OptimizerSettings(optimizer="sgd", lr=0.1, weight_decay=0, warmup=3, floor=0.2, clip=0)
    assert settings.optimizer_spec() == OptimizerSpec(0.1, "sgd", 0.0, 3, floor=0.2, clip=0.0)


def test_discriminators_have_adam_with_the_betas_of_adaptsegnet() -> None:
    spec = AdversarialSettings(discriminator_lr=1e-3).discriminator_spec()
    assert spec == OptimizerSpec(1e-3, "adam", 0.0, betas=(0.9, 0.99))


@pytest.mark.parametrize(
    ("settings", "crops"),
    [
        (TrainingSettings(), CropSpec(192, 2, 0, 0.7)),
        (TrainingSettings(crop=64, batch=3, foreground=0.1), CropSpec(64, 3, 0, 0.1)),
        (TargetSettings(crop=64, batch=3), CropSpec(64, 3, 3, 0.7)),
        (AdversarialSettings(), CropSpec(192, 2, 2, 0.7)),
        (AdaptationSettings(**START, foreground=0), CropSpec(192, 2, 2, 0.0)),
        (PairsSettings(**START), CropSpec(192, 2, 2, 0.7, neighbour=40.0)),
        (PairsSettings(**START, crop=64, neighbour=25), CropSpec(64, 2, 2, 0.7, neighbour=25.0)),
    ],
)
def test_crops_of_source_and_target(settings: TrainingSettings, crops: CropSpec) -> None:
    assert settings.crops() == crops


@pytest.mark.parametrize(
    ("settings", "values"),
    [
        (OptimizerSettings, {"lr": -1}),
        (OptimizerSettings, {"lr": 0}),
        (OptimizerSettings, {"floor": 1.1}),
        (TrainingSettings, {"crop": 15}),
        (AdversarialSettings, {"crop": 31}),
        (TargetSettings, {"recalibrate": -1}),
        (PairsSettings, {**START, "neighbour": 0}),
        (SchemeSettings, {"self_training": "threshold", "refresh_every": 0}),
        (SchemeSettings, {"self_training": "threshold", "outcome": "parent"}),
        (TrainingSettings, {"crops": 64}),
    ],
)
def test_what_is_out_of_range_is_refused_by_name(settings: type[Settings], values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        settings(**values)
    assert [error["loc"] for error in refused.value.errors()] == [(list(values)[-1],)]


def test_a_starting_point_and_a_scheme_have_no_default() -> None:
    for settings, missing in ((AdaptationSettings, list(START)), (SchemeSettings, ["self_training"])):
        with pytest.raises(ValidationError) as refused:
            settings()
        assert [error["loc"] for error in refused.value.errors()] == [(name,) for name in missing]


# ------------------------------------------------------------------------------------------- a default said again
class Again(TrainingSettings):
    """Another default."""

    lr: float = 1e-5


class AgainAndAgain(Again):
    """And another, two levels below range and sentence."""

    lr: float = 1e-6


class Both(SchemeSettings, AdaptationSettings):
    """A field of either parent, and one that both inherit."""

    self_training: str = "threshold"
    start: str = "source-only"
    network: str = "promptable"
    backbone: str = "none"
    crop: int = 64


class Narrower(AdversarialSettings, AdaptationSettings):
    """A field whose range the first parent has narrowed, with the sentences of the second."""

    start: str = "source-only"
    crop: int = 64


class Replaced(OptimizerSettings):
    """Said again with a sentence: a field of its own."""

    lr: float = Field(10.0, lt=100, description="Percent.")


@pytest.mark.parametrize("settings", [Again, AgainAndAgain])
def test_range_and_sentence_stay_with_another_default(settings: type[OptimizerSettings]) -> None:
    said, first = settings.model_fields["lr"], OptimizerSettings.model_fields["lr"]
    assert said.description == first.description == "Learning rate of the network."
    assert settings().optimizer_spec().lr == said.default != first.default
    with pytest.raises(ValidationError, match="greater than 0"):
        settings(lr=-1)
    assert first.default == 3e-4, "the parent keeps its own"


def test_of_two_parents_each_brings_its_sentences() -> None:
    both = Both()
    assert (both.self_training, both.start, both.crop, both.refresh_every) == ("threshold", "source-only", 64, 100)
    for name, parent in (("self_training", SchemeSettings), ("start", AdaptationSettings), ("crop", TrainingSettings)):
        assert Both.model_fields[name].description == parent.model_fields[name].description
    with pytest.raises(ValidationError, match="greater than or equal to 16"):
        Both(crop=15)


def test_of_two_parents_the_firsts_range_counts() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 32"):
        Narrower(crop=31, network="promptable", backbone="none")
    assert Narrower.model_fields["start"].description == AdaptationSettings.model_fields["start"].description


def test_a_field_with_a_sentence_of_its_own_is_its_own() -> None:
    assert Replaced.model_fields["lr"].description == "Percent."
    assert Replaced(lr=-1).lr == -1
    with pytest.raises(ValidationError, match="less than 100"):
        Replaced(lr=100)
