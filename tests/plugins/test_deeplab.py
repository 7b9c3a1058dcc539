"""DeepLab-v2: its size, its strides, and how its classifier begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from dabench_deeplab import DeepLabV2
from safetensors.torch import save_file
from torch import nn
from torchvision.models.resnet import Bottleneck, ResNet

from dabench.components.assembly import Assembly
from dabench.components.registry import Registry
from dabench.errors import WeightsError
from dabench.runs.config import validate_config
from dabench.runs.weights import WeightsStore


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_it_has_the_published_size() -> None:
    with torch.device("meta"):
        network = DeepLabV2()
    # torchvision's ResNet-101 without its classifier, and four dilated 3x3 convolutions of one class.
    assert parameters(network.stem) + parameters(network.groups) == 42_500_160
    assert parameters(network.classifier) == 4 * (2048 * 9 + 1) == 73_732
    assert parameters(network) == 42_573_892


@torch.no_grad()
def test_it_answers_at_full_resolution_from_stride_eight() -> None:
    torch.manual_seed(0)
    network, images = DeepLabV2().eval(), torch.rand(1, 1, 40, 48)
    alone, output = network(images), network(images, with_features=True)
    assert torch.equal(alone.probability, output.probability)
    assert (alone.features, alone.density) == (None, None)
    assert output.probability.shape == (1, 40, 48)
    assert ((output.probability >= 0) & (output.probability <= 1)).all()
    shapes = [tuple(m.shape[1:]) for m in output.features.encoder]
    assert shapes == [(256, 10, 12), (512, 5, 6), (1024, 5, 6), (2048, 5, 6)]
    assert [c for c, _, _ in shapes] == list(network.encoder_channels)


def test_its_classifier_begins_as_in_the_release() -> None:
    torch.manual_seed(0)
    for branch in DeepLabV2().classifier:
        assert isinstance(branch, nn.Conv2d)
        assert branch.weight.std().item() == pytest.approx(0.01, rel=0.1)


@pytest.fixture
def thin(monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    """In place of a ResNet-101 one of four blocks: what is tested is which tensors go where."""

    def make(**options: Any) -> ResNet:
        return ResNet(Bottleneck, [1, 1, 1, 1], **{k: v for k, v in options.items() if k != "weights"})

    monkeypatch.setattr(torchvision.models, "resnet101", make)
    return make()


def made(tmp_path: Path, **options: str) -> nn.Module:
    config = validate_config({"method": "adaptsegnet", "task": "human2rat", "options": {"deeplab-v2": options}})
    return Assembly(Registry.load(), config, WeightsStore(tmp_path / "weights")).network("deeplab-v2", "none")


@pytest.mark.parametrize("whole", [True, False])
def test_it_begins_with_added_weights_of_the_trunk(thin: nn.Module, tmp_path: Path, whole: bool) -> None:
    state = {k: torch.rand_like(v) if v.is_floating_point() else v for k, v in thin.state_dict().items()}
    kept = state if whole else {k: v for k, v in state.items() if not k.startswith("fc.")}
    save_file(kept, tmp_path / "resnet.safetensors")
    WeightsStore(tmp_path / "weights").add("resnet", tmp_path / "resnet.safetensors")
    network = made(tmp_path, pretrained="resnet")
    assert torch.equal(network.get_parameter("stem.0.weight"), state["conv1.weight"])
    assert torch.equal(network.get_parameter("groups.3.0.conv3.weight"), state["layer4.0.conv3.weight"])
    assert torch.equal(network.get_buffer("groups.0.0.bn1.running_var"), state["layer1.0.bn1.running_var"])


def test_other_weights_and_missing_ones_are_refused(thin: nn.Module, tmp_path: Path) -> None:
    del thin
    with pytest.raises(WeightsError, match="'resnet' were added"):
        made(tmp_path, pretrained="resnet")
    save_file({"x": torch.ones(1)}, tmp_path / "x.safetensors")
    WeightsStore(tmp_path / "weights").add("resnet", tmp_path / "x.safetensors")
    with pytest.raises(WeightsError, match="not weights of resnet101"):
        made(tmp_path, pretrained="resnet")
