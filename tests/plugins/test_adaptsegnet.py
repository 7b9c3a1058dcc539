"""AdaptSegNet: who learns from what, and the published network."""

from typing import Any, cast

import pytest
import torch
from dabench_adaptsegnet import AdaptSegNetSettings, AdaptSegNetStage, DeepClassifier
from dabench_deeplab import DeepLabV2
from torch import Tensor, nn

from dabench.assembly import Assembly
from dabench.config import validate_config
from dabench.ops.prompts import Features, NetworkOutput
from dabench.registry import Registry
from dabench.types import Batch, CropId, SourceCrops, TargetCrops, Window
from dabench.weights import WeightsStore


class Toy(nn.Module):
    """One convolution for each map."""

    encoder_channels = (3, 4)
    decoder_channels = 3

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Conv2d(4, 1, 1)

    def forward(self, images: Tensor, *_: Any, with_features: bool = False, **__: Any) -> NetworkOutput:
        first = self.first(images)
        second = self.second(first)
        features = Features(first, [first, second]) if with_features else None
        return NetworkOutput(self.head(second)[:, 0].sigmoid(), features=features)


def batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.rand(2, 1, 32, 32), torch.randint(0, 2, (2, 32, 32), dtype=torch.uint8)
    points, window = [torch.zeros(0, 2)] * 2, Window(0, 0, 32, 32)
    source = SourceCrops(images, labels, points)
    return Batch(0, generator, source, TargetCrops(images.flip(0), points, [CropId(0, window)] * 2))


@pytest.fixture
def stage() -> AdaptSegNetStage:
    torch.manual_seed(0)
    return AdaptSegNetStage(AdaptSegNetSettings(judge_widths=(8,)), Toy())


def gradients(stage: AdaptSegNetStage) -> dict[str, bool]:
    """Which modules have a gradient that is not zero."""
    found = {}
    for name, module in stage.modules().items():
        found[name] = any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in module.parameters())
    return found


def test_the_segmenters_turn_leaves_the_judges_alone(stage: AdaptSegNetStage) -> None:
    terms = stage.step(batch(), "segmenter")
    terms["loss"].backward()
    assert gradients(stage) == {"network": True, "classifier": True, "judge": False, "judge_deep": False}


def test_the_judges_turn_leaves_the_segmenter_alone(stage: AdaptSegNetStage) -> None:
    stage.step(batch(), "segmenter")
    stage.step(batch(), "judges")["loss"].backward()
    assert gradients(stage) == {"network": False, "classifier": False, "judge": True, "judge_deep": True}


def test_fooling_alone_moves_the_segmenter_by_the_target(stage: AdaptSegNetStage) -> None:
    terms = stage.step(batch(), "segmenter")
    (terms["fooling"] + terms["deep_fooling"]).backward()
    assert gradients(stage)["network"]
    assert gradients(stage)["classifier"]


def test_the_loss_is_the_sum_of_its_weighted_terms(stage: AdaptSegNetStage) -> None:
    terms = stage.step(batch(), "segmenter")
    names = {"segmentation", "overlap", "deep_segmentation", "deep_overlap", "fooling", "deep_fooling"}
    assert set(terms) == {"loss", *names}
    assert terms["loss"].item() == pytest.approx(sum(terms[n].item() for n in names), rel=1e-5)
    # Untrained judges cannot tell: ln 2 each, times λ.
    assert terms["fooling"].item() == pytest.approx(1e-3 * 0.693, rel=0.15)
    assert terms["deep_fooling"].item() == pytest.approx(2e-4 * 0.693, rel=0.15)


def test_training_the_judges_makes_them_right(stage: AdaptSegNetStage) -> None:
    optimizer, data = torch.optim.Adam(stage.turns()[1].parameters(), lr=1e-2), batch()
    data = Batch(0, data.generator, data.source, TargetCrops(1 - data.target.images * 0.1, data.target.points, []))
    losses = []
    for _ in range(30):
        stage.step(data, "segmenter")
        optimizer.zero_grad()
        loss = stage.step(data, "judges")["loss"]
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_the_deep_classifier_sums_its_branches() -> None:
    classifier = DeepClassifier(2, (1, 2))
    for branch in classifier.branches:
        nn.init.zeros_(branch.weight)
        nn.init.constant_(branch.bias, 0.5)
    seen = classifier(torch.rand(1, 2, 4, 4), (8, 8))
    assert torch.allclose(seen, torch.full((1, 8, 8), torch.tensor(1.0).sigmoid().item()))


def test_deeplab_has_the_published_size() -> None:
    # torchvision's ResNet-101 without its classifier: 42,500,160; four dilated 3x3 convolutions of one class: 73,732.
    network = DeepLabV2()
    assert sum(p.numel() for p in network.groups.parameters()) + 9_408 + 128 == 42_500_160
    assert sum(p.numel() for p in network.classifier.parameters()) == 4 * (2048 * 9 + 1)


def test_paper_trains_deeplab_from_scratch(registry: Registry, tmp_path: Any) -> None:
    config = validate_config({"method": "adaptsegnet", "task": "human2stem", "data": "phantom", "preset": "paper"})
    assembly = Assembly(registry, config, WeightsStore(tmp_path))
    (spec,) = assembly.method("adaptsegnet").stages(cast(Any, None), cast(Any, None))
    assert spec.components == (("network", "deeplab-v2"),)
    assert spec.iterations == 150_000
