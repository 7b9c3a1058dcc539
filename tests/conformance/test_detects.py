"""The suite finds faults: one broken component for each rule, and the message names what is wrong."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pydantic import BaseModel, Field
from torch import nn

from dabench.components.registry import PluginStatus, Registry
from dabench.plugin import (
    CropSpec,
    DataError,
    EvaluationProtocol,
    Method,
    NetworkPredictor,
    OptimizerSpec,
    OptimizerStep,
    PreferenceOptimizer,
    PseudoTargets,
    Reader,
    SelfTraining,
    Settings,
    SliceScore,
    Stage,
    StageSpec,
)
from dabench.testing import conformance_checks
from dabench.testing.fixtures import PlainStudent
from tests.conformance.broken import problems


# ---------------------------------------------------------------- records
class Loose(BaseModel):
    decay: float = 0.9


def test_record():
    found = problems("reader", lambda config: None, summary="", config=Loose, presets={"tiny": {"decay": "x"}})
    assert "summary is empty" in found["summary and licence"]
    assert "inherit dabench.Settings" in found["strict settings"]
    assert "no_such_setting_" in found["refuses unknown keys"]
    assert "broken.decay" in found["valid presets"]


def test_a_component_that_raises_is_an_outcome():
    found = problems("reader", lambda config: 1 / 0)
    assert "ZeroDivisionError" in found["damaged file"]
    assert __file__ in found["damaged file"]


# ---------------------------------------------------------------- networks
class LyingBackbone(nn.Module):
    channels, strides = (4,), (4,)

    def __init__(self):
        super().__init__()
        self.convolve = nn.Conv2d(1, 4, 2, stride=2)

    def forward(self, images):
        contrast = images - images.mean()
        return [self.convolve(contrast / contrast.std()).detach()]


def test_backbone():
    found = problems("backbone", lambda config: LyingBackbone())
    assert "(1, 4, 32, 32), expected (1, 4, 16, 16)" in found["declared maps"]
    assert "gradient flows" in found
    assert "NaN" in found["constant image"]


class LeakyNetwork(PlainStudent):
    def forward(self, images, prompts=None, contrast=None, contrast_valid=None, with_density=False):
        output = super().forward(images, prompts, contrast, contrast_valid, True)
        shift = 0.0 if prompts is None else 0.5 * prompts.points.shape[1]
        return type(output)(output.logits + shift, output.density)


class ProbableNetwork(PlainStudent):
    """As API version 1 had it."""

    def forward(self, *arguments, **options):
        output = super().forward(*arguments, **options)
        return type(output)(output.probability, output.density)


class RoughNetwork(PlainStudent):
    """Hands out what autocast made."""

    def forward(self, *arguments, **options):
        output = super().forward(*arguments, **options)
        return type(output)(output.logits.bfloat16(), output.density)


def test_network():
    found = problems("network", lambda config, backbone: LeakyNetwork())
    assert "with_density is False" in found["density when asked"]
    assert "one by one" in found["padding is invisible"]
    found = problems("network", lambda config, backbone: ProbableNetwork())
    assert "(3, 64, 96), expected (3, 1, 64, 96)" in found["any number of points"]
    found = problems("network", lambda config, backbone: RoughNetwork())
    assert "logits under bfloat16 autocast are torch.bfloat16" in found["float32 under autocast"]


# ---------------------------------------------------------------- self-training
class RestlessScheme(SelfTraining):
    def start(self, student):
        self.student = student

    def targets(self, crops, generator):
        probability = self.student(crops.images).probability
        weights = probability / (probability > 0.5).sum() + torch.rand_like(probability)
        labels = (probability > 0.5).long()
        return PseudoTargets(labels, weights * torch.nan, list(crops.points), None, probability)

    def after_update(self, student, step):
        with torch.no_grad():
            student.bias += 1


def test_self_training():
    found = problems("self_training", lambda config: RestlessScheme())
    assert "torch.int64, expected torch.uint8" in found["legal targets"]
    assert "differ between two calls" in found["repeatable"]
    assert "changed" in found["student untouched"]
    assert "they leave state out" in found["resumable"]


# ---------------------------------------------------------------- preferences
class PrintedSign(PreferenceOptimizer):
    """Unsorted, over budget, the sign of the paper's print, and log(0)."""

    share = 0.15

    def __init__(self, settings):
        pass

    def select(self, informative, budget, rng):
        return np.flatnonzero(informative)[::-1]

    def wanted(self, pool):
        return pool.disagreement()[:-1]

    def loss(self, logits, reference, candidates, valid, preferred):
        p = logits.sigmoid()[:, None]
        log = torch.where(candidates, p, 1 - p).log().mean(dim=(2, 3))
        return torch.nn.functional.softplus(2 * (preferred * log).sum(dim=1) - log.sum(dim=1))


def test_preference_optimizer():
    found = problems("preference_optimizer", PrintedSign)
    assert "not sorted" in found["legal selection"]
    assert "expected (9,)" in found["legal wishes"]
    assert "budget of 15.0%" in found["within the budget"]
    assert "nearer to the preferred masks" in found["learns the right way"]
    assert {"nothing to compare", "saturated logits", "padding is invisible"} <= set(found)
    assert "at half its weight" in found["weights of the preferred"]


class NoHint(PrintedSign):
    rater = "self"


class FuzzyHint(NoHint):
    def hint(self, images, masks):
        return masks.float()


def test_hint():
    assert "gives no hint" in problems("preference_optimizer", NoHint)["legal hint"]
    assert "torch.float32, expected a bool tensor" in problems("preference_optimizer", FuzzyHint)["legal hint"]


# ---------------------------------------------------------------- methods
class CountingSettings(Settings):
    fault: str = Field("", description="What goes wrong.")


class FaultyStage(Stage):
    def __init__(self, fault, network):
        self.fault = fault
        self.net = network if fault == "parent" else deepcopy(network)
        self.steps = 0

    def modules(self):
        return {"network": self.net}

    def optimizer_steps(self):
        return [
            OptimizerStep(
                "network", self.net.parameters, OptimizerSpec(0.0 if self.fault == "idle" else 1e-3, name="sgd")
            )
        ]

    def step(self, batch, optimizer):
        self.steps += 1
        self.net.train(self.fault != "idle")
        images = batch.target.images if self.fault == "points" else batch.source.images
        loss = self.net(images).probability.mean()
        if self.fault == "random":
            loss = loss * np.random.default_rng().random()
        if self.fault == "state":
            loss = loss * self.steps
        if self.fault == "points":
            loss = loss + torch.cat(batch.target.points).mean()
        return {"total" if self.fault == "unnamed" else "loss": loss}

    def predictor(self):
        return FaultyObjects(self.net, self.fault) if "objects" in self.fault else NetworkPredictor(self.net)


class FaultyObjects(NetworkPredictor):
    gives_instances = True

    def __init__(self, network, fault):
        super().__init__(network)
        self.fault = fault

    def predict(self, images, points=None, *, density=False):
        found = super().predict(images, points, density=density)
        ids = {"no objects": None, "half objects": found.probability / 2, "flat objects": torch.ones(2, 4, dtype=int)}
        return replace(found, instances=ids[self.fault])


class FaultyMethod(Method):
    def __init__(self, settings, components):
        self.settings, self.components = settings, components

    def stages(self, task, budget):
        fault = self.settings.fault
        if fault == "eager":
            self.components.network("promptable", "conv-tiny")

        def build(parent):
            torch.manual_seed(0)
            return FaultyStage(fault, parent.network() if parent else PlainStudent())

        crops = CropSpec(64, source=1, target=2)
        asks = ("points", "colours") if fault == "asks" else ("points",)
        names = ("one", "one" if fault == "names" else "two")
        return [StageSpec(name, "broken", self.settings, (), crops, 5, build, asks) for name in names]


@pytest.mark.parametrize(
    ("fault", "check", "words"),
    [
        ("eager", "cheap plan", "built"),
        ("names", "cheap plan", "not unique"),
        ("asks", "complete specs", "colours"),
        ("unnamed", "trains", "'loss'"),
        ("idle", "trains", "changed no weight"),
        ("parent", "leaves its parent alone", "changed its parent"),
        ("random", "repeatable", "other weights"),
        ("state", "resumable", "killed and continued"),
        ("points", "without points", "DivergedError"),
        ("no objects", "predicts", "gives_instances is True, predict() gave no instances"),
        ("half objects", "predicts", "torch.float32"),
        ("flat objects", "predicts", "instances have shape (2, 4)"),
    ],
)
def test_method(fault, check, words):
    found = problems("method", FaultyMethod, config=CountingSettings, presets={"tiny": {"fault": fault}})
    assert words in found[check], found


def test_faultless_method():
    assert problems("method", FaultyMethod, config=CountingSettings, presets={"tiny": {"fault": ""}}) == {}


# ---------------------------------------------------------------- protocols and readers
class NaiveDice(EvaluationProtocol):
    metrics = ("dice",)

    def __init__(self):
        self.last = float("nan")
        self.n = 0

    def update(self, z, prediction, label):
        both = np.logical_and(prediction, label).sum()
        with np.errstate(invalid="ignore"):
            self.last = float(2 * np.float64(both) / (prediction.sum() + (label > 0).sum()))
        self.n += 1
        return SliceScore(z, {"dice": self.last})

    def result(self):
        return {"dice": self.last, "n": self.n, "left_out": 0}


def test_protocol():
    found = problems("protocol", lambda config: NaiveDice())
    assert "left_out" in found["empty on both sides"]
    assert "order of the slices" in found["any order"]
    assert "255" in found["ignores unknown pixels"]


class GreedyReader(Reader):
    def accepts(self, path):
        return True

    def open(self, path):
        if path.suffix == ".png":
            raise DataError("damaged")
        return SimpleNamespace(read=lambda z: np.zeros((4, 4)), path=path)


def test_reader():
    found = problems("reader", lambda config: GreedyReader())
    assert "expected False" in found["refuses nonsense"]
    assert "yet its first slice was read" in found["damaged file"]
    assert "there is no such file" in found["missing file"]


# ---------------------------------------------------------------- the pytest face
def test_cases_by_name():
    registry = Registry.load()
    item = next(iter(registry.of_kind("protocol")))
    cases = conformance_checks(item.name, registry=registry)
    assert {case.component for case in cases} == {f"protocol:{item.name}"}
    assert str(cases[0]) == f"protocol:{item.name}-name"


def test_unknown_and_broken_plugins_are_named():
    registry = Registry.load()
    registry.plugins["lame"] = PluginStatus("lame", "lame-dist", error="import failed: no legs")
    with pytest.raises(Exception, match="no legs"):
        conformance_checks("lame", registry=registry)
    with pytest.raises(Exception, match="unknown plugin or component"):
        conformance_checks("nobody", registry=registry)
