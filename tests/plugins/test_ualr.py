"""UALR: a target model that inherits nothing, labels that the source model made, dropout where it belongs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dabench_ualr
import numpy as np
import pytest
import torch
from dabench_residual_unet import ResidualUNet
from dabench_ualr import DropoutPredictor, RecipeSettings, SourceModel, TargetModel, UALRSettings
from dabench_uncertainty import UncertaintyLabels, UncertaintySettings
from torch import Tensor, nn

from dabench.annotation.desk import AnnotationDesk
from dabench.components.assembly import Assembly
from dabench.components.registry import Registry
from dabench.data.volumes import ArrayVolume
from dabench.errors import ConfigError
from dabench.interfaces import Budget, CropSpec, SelfTraining, TaskInfo
from dabench.ops.losses import overlap_loss, segmentation_loss
from dabench.runs.config import validate_config
from dabench.runs.weights import WeightsStore
from dabench.testing.toys import ConvToy, ToyLabels
from dabench.training.loop import LoopOptions, train
from dabench.training.sampling import CropSampler
from dabench.training.stage_data import StageData
from dabench.types import IGNORE, Batch, CropId, SourceCrops, TargetCrops, Window

TASK = TaskInfo("one2other", "one", "other")
CPU = torch.device("cpu")


def toy() -> ConvToy:
    return ConvToy(dropout=0.5)


def method(registry: Registry, folder: Path, preset: str = "tiny", **options: Any) -> Any:
    config = validate_config({"method": "ualr", "task": "human2stem", "preset": preset, "options": options})
    return Assembly(registry, config, WeightsStore(folder)).method("ualr")


def volume() -> ArrayVolume:
    return ArrayVolume(np.random.default_rng(0).random((2, 40, 40)).astype(np.float32))


def target_model(seed: int = 0) -> TargetModel:
    torch.manual_seed(seed)
    settings = UALRSettings(crop=32, batch=2, iterations=6, recalibrate=2, dropout=0.5)
    scheme = UncertaintyLabels(UncertaintySettings(tile=32, passes=3))
    return TargetModel(settings, toy(), toy(), scheme)


def run(stage: TargetModel, folder: Path, stop: int = 99) -> list[dict[str, float]]:
    images = volume()
    desk = AnnotationDesk(None, images.shape, Budget(), {})
    data = StageData(images, desk, CPU, 0, "ualr", None, folder / "kept")
    sampler = CropSampler(CropSpec(32, target=2), 0, "ualr", target=images)
    losses = []
    for update in train(stage, 6, sampler, data, LoopOptions(CPU, False, folder / "checkpoint.pt", 2)):
        losses.append(update.losses)
        if update.step + 1 == stop:
            break
    return losses


def test_the_target_model_inherits_nothing_and_leaves_the_source_model_alone(
    registry: Registry, tmp_path: Path
) -> None:
    specs = method(registry, tmp_path, ualr={"start": "scratch"}).stages(TASK, Budget())
    torch.manual_seed(0)
    source = specs[0].build(None)
    target = specs[1].build(source)
    assert isinstance(source.network(), ResidualUNet)
    assert isinstance(target.network(), ResidualUNet)
    assert not torch.equal(source.network().embed_in.weight, target.network().embed_in.weight)
    assert torch.equal(source.network().embed_in.weight, target.labeller.embed_in.weight)
    assert target.labeller is not source.network()
    assert set(target.modules()) == {"network"}


def test_the_shared_source_models_network_is_built_anew(registry: Registry, tmp_path: Path) -> None:
    source, spec = method(registry, tmp_path).stages(TASK, Budget())
    assert source.method == "source-only"
    assert spec.components == (("network", "promptable"), ("backbone", "conv-tiny"), ("self_training", "uncertainty"))
    assert spec.crops.source == 0
    assert type(spec.build(source.build(None)).network()).__name__ == "PromptableNetwork"


def test_paper_preset(registry: Registry, tmp_path: Path) -> None:
    source, target = method(registry, tmp_path, "paper").stages(TASK, Budget())
    assert (source.iterations, target.iterations) == (20_000, 10_000)
    assert source.components == (("network", "residual-unet"),)
    assert (source.crops.size, source.crops.source, target.crops.target) == (256, 64, 64)
    assert isinstance(source.config, RecipeSettings)
    assert source.config.dropout == 0.5


def test_the_source_stage_does_not_depend_on_settings_of_the_target(registry: Registry, tmp_path: Path) -> None:
    one, other = (
        method(registry, tmp_path, "paper", ualr={"iterations": n}).stages(TASK, Budget())[0] for n in (10, 20)
    )
    assert one.config == other.config


def test_weights_for_the_target_model_are_refused(registry: Registry, tmp_path: Path) -> None:
    made = method(registry, tmp_path, "paper", **{"residual-unet": {"pretrained": "mine"}})
    with pytest.raises(ConfigError, match="from scratch"):
        made.stages(TASK, Budget())


def test_a_network_that_cannot_drop_is_refused() -> None:
    with pytest.raises(ConfigError, match="Conv2d has neither"):
        SourceModel(RecipeSettings(), nn.Conv2d(1, 1, 1))


def test_source_loss_is_the_sum_of_its_terms_and_reaches_every_layer() -> None:
    torch.manual_seed(0)
    stage = SourceModel(RecipeSettings(overlap=0.5), toy())
    labels = torch.randint(0, 2, (4, 32, 32), dtype=torch.uint8)
    crops = SourceCrops(torch.rand(4, 1, 32, 32), labels, [torch.zeros(0, 2)] * 4)
    terms = stage.step(Batch(0, torch.Generator().manual_seed(0), crops), "network")
    assert terms["loss"].item() == pytest.approx(terms["segmentation"].item() + terms["overlap"].item(), rel=1e-6)
    terms["loss"].backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in stage.student.parameters())


def test_all_labels_ignored_is_a_loss_of_zero() -> None:
    stage = SourceModel(RecipeSettings(overlap=0.0), toy())
    labels = torch.full((1, 32, 32), IGNORE, dtype=torch.uint8)
    crops = SourceCrops(torch.rand(1, 1, 32, 32), labels, [torch.zeros(0, 2)])
    assert stage.step(Batch(0, torch.Generator().manual_seed(0), crops), "network")["loss"].item() == 0


def test_dropout_follows_the_batchs_generator() -> None:
    torch.manual_seed(0)
    stage = SourceModel(RecipeSettings(dropout=0.5), toy())
    labels = torch.randint(0, 2, (2, 32, 32), dtype=torch.uint8)
    crops = SourceCrops(torch.rand(2, 1, 32, 32), labels, [torch.zeros(0, 2)] * 2)
    losses = []
    for other in (1, 2):
        torch.manual_seed(other)
        losses.append(stage.step(Batch(0, torch.Generator().manual_seed(0), crops), "network")["loss"].item())
    assert losses[0] == losses[1]


def test_the_labels_are_made_once_by_the_source_model(tmp_path: Path) -> None:
    stage = target_model()
    labeller = {name: tensor.clone() for name, tensor in stage.labeller.state_dict().items()}
    losses = run(stage, tmp_path)
    assert stage.state()["round"].item() == 0
    assert [file.name for file in (tmp_path / "kept").iterdir()] == ["uncertainty-0.npy"]
    assert all(torch.equal(labeller[name], tensor) for name, tensor in stage.labeller.state_dict().items())
    assert all(0.9 < row["pseudo_known"] <= 1 for row in losses)


def weighted(foreground: float, background: float) -> ToyLabels:
    return ToyLabels(foreground=foreground, background=background)


def terms_of(scheme: SelfTraining, step: int = 0) -> dict[str, Tensor]:
    torch.manual_seed(0)
    stage = TargetModel(UALRSettings(), toy(), toy(), scheme)
    generator = torch.Generator().manual_seed(step)
    origins = [CropId(0, Window(0, 0, 32, 32))] * 2
    crops = TargetCrops(torch.rand(2, 1, 32, 32, generator=generator), [torch.zeros(0, 2)] * 2, origins)
    return stage.step(Batch(step, generator, target=crops), "network")


def test_weights_of_the_scheme_scale_its_terms_and_ones_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    full, half, none = (terms_of(weighted(weight, weight)) for weight in (1.0, 0.5, 0.0))
    assert full["segmentation"] > 0
    assert torch.equal(half["segmentation"], full["segmentation"] / 2)
    assert none["segmentation"] == none["overlap"] == 0
    assert terms_of(weighted(1.0, 0.0))["segmentation"] < full["segmentation"]
    for name, loss in (("segmentation_loss", segmentation_loss), ("overlap_loss", overlap_loss)):
        monkeypatch.setattr(dabench_ualr, name, lambda p, labels, weights, loss=loss: loss(p, labels))
    plain = terms_of(ToyLabels())
    assert all(torch.equal(plain[name], full[name]) for name in full)


def test_in_every_view_weights_stay_with_their_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(
        dabench_ualr, "segmentation_loss", lambda p, *maps: seen.append(maps) or segmentation_loss(p, *maps)
    )
    for step in range(8):
        terms_of(weighted(0.7, 0.2), step)
    labels, weights = (torch.cat(maps) for maps in zip(*seen, strict=True))
    known = labels != IGNORE
    assert not known.all(), "no view was warped: the test sees nothing"
    assert torch.equal(weights[known], torch.tensor([0.2, 0.7])[labels[known].long()])


def test_the_scheme_follows_the_labelling_model(tmp_path: Path) -> None:
    stage = TargetModel(UALRSettings(crop=32, iterations=6, recalibrate=0), toy(), toy(), scheme := ToyLabels())
    run(stage, tmp_path, stop=3)
    assert scheme.student is stage.labeller
    assert scheme.followed == [(stage.labeller, step) for step in range(3)]


@pytest.mark.parametrize("stop", [1, 3, 5])
def test_killed_and_continued_it_ends_the_same(tmp_path: Path, stop: int) -> None:
    whole = target_model()
    run(whole, tmp_path / "whole")
    run(target_model(), tmp_path / "parts", stop)
    again = target_model()
    run(again, tmp_path / "parts")
    for expected, found in zip(whole.student.parameters(), again.student.parameters(), strict=True):
        assert torch.equal(expected, found)


def test_the_final_prediction_can_drop_and_is_repeatable() -> None:
    torch.manual_seed(0)
    network, images = toy(), torch.rand(2, 1, 32, 32)
    plain, dropped = DropoutPredictor(network, 0.0), DropoutPredictor(network, 0.5)
    with torch.no_grad():
        first = dropped.predict(images).probability
        assert torch.equal(first, dropped.predict(images, [torch.ones(1, 2)] * 2, density=True).probability)
        assert not torch.equal(first, plain.predict(images).probability)
    for asked, rate in ((False, 0.0), (True, 0.25)):
        predictor = SourceModel(RecipeSettings(dropout=0.25, test_dropout=asked), network).predictor()
        assert isinstance(predictor, DropoutPredictor)
        assert predictor.rate == rate
