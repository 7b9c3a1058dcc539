"""Stages that methods start from: their losses, optimizer steps, statistics, scheme and discriminators."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dabench.data.volumes import ArrayVolume
from dabench.errors import ConfigError
from dabench.ops.adversarial import two_classes
from dabench.ops.augmentation import WEAK
from dabench.ops.objectives import supervised_terms
from dabench.plugin import (
    AdaptationStage,
    AdversarialSettings,
    AdversarialStage,
    NetworkPredictor,
    NetworkStage,
    OptimizerSettings,
    PairsSettings,
    SchemeSettings,
    SelfTrainingStage,
    Stage,
    TargetSettings,
)
from dabench.testing.toys import ConvToy, ImageToy, ToyLabels
from dabench.training.stage_data import StageData
from dabench.types import Batch, CropId, SourceCrops, TargetCrops, Window

SIDE = 32
GENERATOR = torch.Generator()


def batch() -> Batch:
    draw = torch.Generator().manual_seed(1)
    images = torch.rand(2, 1, SIDE, SIDE, generator=draw)
    labels = torch.randint(0, 2, (2, SIDE, SIDE), generator=draw, dtype=torch.uint8)
    points, origin = [torch.zeros(0, 2)] * 2, CropId(0, Window(0, 0, SIDE, SIDE))
    target = TargetCrops(images.flip(0) / 2, points, [origin] * 2)
    return Batch(0, torch.Generator().manual_seed(0), SourceCrops(images, labels, points), target)


def moved(stage: Stage) -> set[str]:
    """Names of the modules that have a gradient which is not zero."""
    return {
        name
        for name, module in stage.modules().items()
        if any(p.grad is not None and p.grad.any() for p in module.parameters())
    }


# ------------------------------------------------------------------------------------------------------------- network
class Fit(NetworkStage):
    """Fits the images through a scale that is trained with the network; the brightness is watched."""

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        assert batch.target is not None
        images = batch.target.images
        answer = self.trained["scale"](self.student(images).probability[:, None])
        self.watched["bright"] = images.mean()
        return {"fit": (answer - images).square().mean(), "size": 0.5 * answer.mean()}


def fit(**settings: Any) -> Fit:
    scale = nn.Conv2d(1, 1, 1)
    nn.init.constant_(scale.weight, 2.0)
    nn.init.zeros_(cast(Tensor, scale.bias))
    return Fit(OptimizerSettings(**settings), ImageToy(0.5), scale=scale)


def grey(value: float) -> Batch:
    images = torch.full((1, 1, 4, 4), value)
    target = TargetCrops(images, [torch.zeros(0, 2)], [CropId(0, Window(0, 0, 4, 4))])
    return Batch(0, GENERATOR, target=target)


def test_the_loss_is_the_sum_of_the_terms_without_what_is_watched() -> None:
    terms = fit().step(grey(0.5), "network")
    # Half of the image, doubled: the answer is the image.
    expected = {"loss": 0.25, "fit": 0.0, "size": 0.25, "bright": 0.5}
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(expected, abs=1e-6)


def test_what_is_watched_is_that_of_the_update() -> None:
    class Once(Fit):
        def losses(self, batch: Batch) -> dict[str, Tensor]:
            terms = super().losses(batch)
            if batch.step:
                self.watched.clear()
            return terms

    stage = Once(OptimizerSettings(), ImageToy(), scale=nn.Identity())
    assert "bright" in stage.step(grey(0.5), "network")
    stage.watched["stale"] = torch.tensor(0.0)
    assert set(stage.step(replace(grey(0.5), step=1), "network")) == {"loss", "fit", "size"}


def test_heads_are_trained_with_the_network() -> None:
    stage = fit(lr=0.1, optimizer="sgd", weight_decay=0, warmup=0)
    (step,) = stage.optimizer_steps()
    assert (step.name, step.optimizer.lr, step.optimizer.name) == ("network", 0.1, "sgd")
    assert set(stage.modules()) == {"network", "scale"}
    assert [p.numel() for p in step.parameters()] == [1, 1, 1]
    stage.step(grey(0.5), "network")["loss"].backward()
    assert moved(stage) == {"network", "scale"}


def test_the_predictor_sees_pairs_where_the_settings_do() -> None:
    pair = PairsSettings(start="scratch", network="any", backbone="none", neighbour=30.0)
    for settings, neighbour in ((OptimizerSettings(), 0.0), (pair, 30.0)):
        predictor = Fit(settings, ImageToy(0.5), scale=nn.Identity()).predictor()
        assert isinstance(predictor, NetworkPredictor)
        assert predictor.neighbour == neighbour
        seen = predictor.predict(torch.full((1, 1, 2, 2), 0.8)).probability
        assert torch.allclose(seen, torch.full((1, 2, 2), 0.4))


# ---------------------------------------------------------------------------------------------------------- adaptation
class Supervised(AdaptationStage):
    """The source's terms alone, after a look at the target."""

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        assert batch.target is not None
        self.student(batch.target.images)
        return self.source_losses(batch)


class OfPairs(nn.Module):
    """A backbone that sees single sections; a norm of pairs, whose statistics are its own."""

    sections = 2

    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.pairs = ConvToy(normalise=True), nn.BatchNorm2d(2)


def flat(*values: float) -> StageData:
    """Slices of one value each."""
    planes = np.stack([np.full((SIDE, SIDE), value, np.float32) for value in values])
    return StageData(ArrayVolume(planes), cast(Any, None), torch.device("cpu"), 0, "any")


def statistics(norm: nn.Module) -> tuple[float, float]:
    kept = cast(Any, norm)
    return kept.running_mean.item(), kept.running_var.item()


def test_before_training_statistics_are_mixed_with_the_targets() -> None:
    stage = Supervised(TargetSettings(crop=SIDE, recalibrate=50), network := ConvToy(normalise=True))
    assert statistics(network.norm) == (0, 1)
    # Half of a slice is 0.2, half 0.8: mean 0.5, variance 0.09; a batch's four crops are the same whole slice.
    plane = np.repeat([[0.2, 0.8]], SIDE // 2, axis=1).repeat(SIDE, axis=0).astype(np.float32)
    stage.prepare(StageData(ArrayVolume(plane[None]), cast(Any, None), torch.device("cpu"), 0, "any"))
    # PyTorch keeps the unbiased variance: n / (n - 1) times it.
    pixels = 4 * SIDE**2
    variance = 0.09 * pixels / (pixels - 1)
    assert statistics(network.norm) == pytest.approx((0.5 * 0 + 0.5 * 0.5, 0.5 * 1 + 0.5 * variance), rel=1e-4)


def test_batches_of_several_slices_count_the_same() -> None:
    stage = Supervised(TargetSettings(crop=SIDE, recalibrate=200), network := ConvToy(normalise=True))
    stage.prepare(flat(0.2, 0.8))
    assert statistics(network.norm)[0] == pytest.approx(0.5 * 0.5, abs=0.025)


def test_no_batches_leave_statistics_alone() -> None:
    stage = Supervised(TargetSettings(crop=SIDE, recalibrate=0), network := ConvToy(normalise=True))
    stage.prepare(flat(0.5))
    assert statistics(network.norm) == (0, 1)


def test_of_a_network_of_pairs_the_backbone_is_renewed() -> None:
    stage = Supervised(TargetSettings(crop=SIDE, recalibrate=2), network := OfPairs())
    stage.prepare(flat(0.5))
    assert statistics(network.backbone.norm) == pytest.approx((0.25, 0.5), abs=1e-6)
    assert network.pairs.running_mean.tolist() == [0, 0]


@pytest.mark.parametrize("brightness", [1.0, 0.1])
def test_in_training_statistics_follow_the_target_alone(brightness: float) -> None:
    stage, drawn = Supervised(TargetSettings(), network := ConvToy(normalise=True)), batch()
    source, target = drawn.both()
    stage.step(replace(drawn, source=replace(source, images=brightness * source.images)), "network")
    # One pass at a momentum of 0.1, from a mean of 0 and a variance of 1.
    mean, variance = target.images.mean().item(), target.images.var().item()
    assert statistics(network.norm) == pytest.approx((0.1 * mean, 0.9 + 0.1 * variance), rel=1e-5)


def test_source_losses_are_those_of_the_labelled_crops() -> None:
    class Plain(AdaptationStage):
        def losses(self, batch: Batch) -> dict[str, Tensor]:
            return self.source_losses(batch, WEAK)

    # An answer that is one half everywhere is the same in each view: cross-entropy is ln 2, whatever the labels.
    half = ImageToy(answer=lambda images: torch.full_like(images, 0.5))
    terms = Plain(TargetSettings(overlap=0.5), half).step(batch(), "network")
    source, _ = batch().both()
    by_hand = supervised_terms(half(source.images), source.labels, 0.5)
    assert set(terms) == {"loss", *by_hand}
    assert terms["segmentation"].item() == pytest.approx(math.log(2), rel=1e-4)
    assert terms["overlap"].item() == pytest.approx(by_hand["overlap"].item(), rel=1e-4)


# ------------------------------------------------------------------------------------------------------- self-training
class Followed(SelfTrainingStage):
    """The scheme's labels of the target, by the mean of what the network answers there."""

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        _, crops = batch.both()
        pseudo = self.pseudo_targets(crops, batch.generator)
        return {"target": (self.student(crops.images).probability - pseudo.labels).square().mean()}


class Rounds(ToyLabels):
    """A scheme with a teacher and a state, that remembers its data."""

    def __init__(self) -> None:
        super().__init__(lambda images: torch.where(images > 0.5, 1, 255).to(torch.uint8), rounds=True)
        self.teacher, self.round, self.attached, self.data = ImageToy(), torch.tensor(0), 0, cast(Any, None)

    def modules(self) -> dict[str, nn.Module]:
        return {"teacher": self.teacher}

    def attach(self, data: Any) -> None:
        self.attached, self.data = self.attached + 1, data

    def refresh(self, student: nn.Module, data: Any) -> None:
        assert (student, data) == (self.student, self.data)
        self.round = self.round + 1

    def state(self) -> dict[str, Tensor]:
        return {"round": self.round}

    def load_state(self, state: Any) -> None:
        self.round = state["round"]


def with_scheme(scheme: ToyLabels, **settings: Any) -> Followed:
    return Followed(SchemeSettings(self_training="toy", crop=SIDE, recalibrate=1, **settings), ImageToy(0.5), scheme)


def test_how_much_the_labels_say_is_watched_and_not_minimised() -> None:
    images = torch.zeros(1, 1, 4, 4)
    images[..., :1] = 0.8  # four of sixteen pixels are foreground, the others not known
    crops = TargetCrops(images, [torch.zeros(0, 2)], [CropId(0, Window(0, 0, 4, 4))])
    terms = with_scheme(Rounds()).step(replace(batch(), target=crops), "network")
    assert terms["pseudo_foreground"].item() == 0.25
    assert terms["pseudo_known"].item() == 0.25
    assert terms["loss"] == terms["target"]


def test_the_outcome_is_the_student_or_the_teacher() -> None:
    student, teacher = with_scheme(Rounds()), with_scheme(Rounds(), outcome="teacher")
    assert student.network() is student.student
    assert teacher.network() is cast(Rounds, teacher.scheme).teacher
    assert set(teacher.modules()) == {"network", "teacher"}
    teacher.step(batch(), "network")["loss"].backward()
    assert moved(teacher) == {"network"}


def test_a_teacher_that_the_scheme_lacks_is_refused_before_training() -> None:
    with pytest.raises(ConfigError, match="scheme 'toy' has no teacher"):
        with_scheme(ToyLabels(), outcome="teacher")


def test_a_scheme_that_works_in_rounds_is_refreshed() -> None:
    assert with_scheme(ToyLabels(), refresh_every=7).refresh_every == 0
    stage = with_scheme(Rounds(), refresh_every=7)
    assert stage.refresh_every == 7
    stage.prepare(data := flat(0.5))
    stage.refresh(data)
    stage.refresh(data)
    assert stage.state()["round"] == 2


def test_the_scheme_begins_once_statistics_are_mixed_and_follows_the_student() -> None:
    seen: list[float] = []

    class Watching(Rounds):
        def attach(self, data: Any) -> None:
            super().attach(data)
            seen.append(statistics(cast(Any, self.student).norm)[0])

    settings = SchemeSettings(self_training="toy", crop=SIDE, recalibrate=1)
    stage = Followed(settings, ConvToy(normalise=True), scheme := Watching())
    assert scheme.student is stage.student
    stage.prepare(flat(0.5))
    assert seen == pytest.approx([0.25])
    stage.after_update(3)
    assert scheme.followed == [(stage.student, 3)]


def test_the_schemes_state_is_kept_and_found_again() -> None:
    stage, again = with_scheme(Rounds()), with_scheme(Rounds())
    stage.prepare(data := flat(0.5))
    stage.refresh(data)
    again.load_state(stage.state())
    assert again.state()["round"] == 1


# --------------------------------------------------------------------------------------------------------- adversarial
class Adversarial(AdversarialStage):
    """Discriminators of the final map and, with another weight, of the decoder's, which a head reads."""

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        source, target = batch.both()
        ours, theirs = self.student(source.images), self.student(target.images, with_features=True)
        shown = {
            "final": (two_classes(ours.logits), two_classes(theirs.logits)),
            "deep": (two_classes(ours.logits), two_classes(self.trained["head"](theirs.features.decoder))),
        }
        return {"segmentation": ours.logits.square().mean()} | self.adversarial_losses(
            shown, {"final": 0.5, "deep": 0.25}
        )


@pytest.fixture
def adversarial() -> Adversarial:
    torch.manual_seed(0)
    discriminators = {name: nn.Conv2d(2, 1, 3) for name in ("final", "deep")}
    return Adversarial(AdversarialSettings(), ConvToy(), discriminators, head=nn.Conv2d(3, 1, 1))


def test_after_training_the_predictor_has_the_targets_statistics_not_those_of_the_last_batches() -> None:
    settings = AdversarialSettings(crop=SIDE, recalibrate=5)
    stage = Adversarial(settings, network := ConvToy(normalise=True), {"final": nn.Conv2d(2, 1, 3)})
    for _ in range(100):  # what training left behind: another brightness
        network.train()(torch.full((2, 1, SIDE, SIDE), 0.9))
    assert statistics(network.norm)[0] == pytest.approx(0.9, abs=1e-3)
    stage.finish(flat(0.3))
    assert statistics(cast(Any, stage.predictor()).network.norm)[0] == pytest.approx(0.3, abs=1e-6)


def test_the_segmenters_step_leaves_the_discriminators_alone(adversarial: Adversarial) -> None:
    adversarial.step(batch(), "segmenter")["loss"].backward()
    assert moved(adversarial) == {"network", "head"}
    assert all(p.requires_grad for p in adversarial.discriminators.parameters()), "frozen inside the step alone"


def test_the_discriminators_step_leaves_the_segmenter_alone(adversarial: Adversarial) -> None:
    adversarial.step(batch(), "segmenter")
    adversarial.step(batch(), "discriminators")["loss"].backward()
    assert moved(adversarial) == {"discriminators"}
    assert adversarial.shown == {}, "maps of an update are not kept for the next"


def test_adversarial_terms_alone_move_the_segmenter(adversarial: Adversarial) -> None:
    terms = adversarial.step(batch(), "segmenter")
    terms["adversarial_final"].backward()
    assert moved(adversarial) == {"network"}
    terms = adversarial.step(batch(), "segmenter")
    terms["adversarial_deep"].backward()
    assert moved(adversarial) == {"network", "head"}


def test_discriminators_of_zeros_cannot_tell(adversarial: Adversarial) -> None:
    for parameter in adversarial.discriminators.parameters():
        nn.init.zeros_(parameter)
    terms = {name: term.item() for name, term in adversarial.step(batch(), "segmenter").items()}
    # ln 2 each, times its weight.
    assert terms["adversarial_final"] == pytest.approx(0.5 * math.log(2))
    assert terms["adversarial_deep"] == pytest.approx(0.25 * math.log(2))
    assert terms["loss"] == pytest.approx(terms["segmentation"] + 0.75 * math.log(2), rel=1e-5)
    theirs = {name: term.item() for name, term in adversarial.step(batch(), "discriminators").items()}
    # Half of ln 2 for each domain of each discriminator.
    halves = [f"{name}_{domain}" for domain in ("source", "target") for name in ("final", "deep")]
    assert theirs == pytest.approx({"loss": 2 * math.log(2), **dict.fromkeys(halves, math.log(2) / 2)})


def test_each_discriminator_learns_what_the_domains_look_like(adversarial: Adversarial) -> None:
    network, theirs = adversarial.optimizer_steps()
    assert (network.name, theirs.name) == ("segmenter", "discriminators")
    optimizer, losses = torch.optim.Adam(theirs.parameters(), lr=5e-2), []
    for _ in range(60):
        adversarial.step(batch(), "segmenter")
        optimizer.zero_grad()
        loss = adversarial.step(batch(), "discriminators")["loss"]
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
