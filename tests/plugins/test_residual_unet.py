"""Residual U-Net: the published size, the authors' weights through the store, and their scores on real data."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from dabench_residual_unet import ResidualBlock, ResidualUNet
from torch import Tensor, nn

from dabench.components.assembly import Assembly
from dabench.components.registry import Registry
from dabench.errors import WeightsError
from dabench.files.workspace import Workspace
from dabench.runs.config import validate_config
from dabench.runs.plan import make_plan
from dabench.runs.weights import WeightsStore
from dabench.training.checkpoint import read_weights

DATA = Path(os.environ.get("DABENCH_DATA") or Path(__file__).parents[3] / "shared" / "data")
#: The released checkpoints are in a folder next to the data.
WEIGHTS, GOLDEN = DATA.parent / "weights", Path(__file__).parents[1] / "golden" / "rsunet2d.json"
FILES = {
    "lucchi/test": ("lucchi/test_images.tif", "lucchi/test_labels.tif"),
    "vnc/all": ("vnc/stack1_images.tif", "vnc/stack1_labels.tif"),
    "cdeep3m/test": ("cdeep3m/val_images.tif", "cdeep3m/val_labels.tif"),
}


def released(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The authors' names for tensors of ours."""
    names = {}
    for key in state:
        name = re.sub(r"^(embed_in|embed_out)\.", r"\1.conv.conv.", key)
        name = re.sub(r"^down\.(\d)\.conv(\d)\.", r"convmod\1.conv\2.conv.", name)
        name = re.sub(r"^narrow\.(\d)\.", lambda m: f"upsample{3 - int(m[1])}_o.conv.conv.", name)
        name = re.sub(r"^up\.(\d)\.conv(\d)\.", lambda m: f"dconvmod{3 - int(m[1])}_o.conv{m[2]}.conv.", name)
        names[f"module.{name}"] = state[key]
    return names


@pytest.fixture
def network() -> ResidualUNet:
    torch.manual_seed(0)
    return ResidualUNet().eval()


def assembly(registry: Registry, store: WeightsStore, **settings: Any) -> Assembly:
    options = {"residual-unet": settings} if settings else {}
    config = validate_config({"method": "source-only", "task": "human2stem", "preset": "tiny", "options": options})
    return Assembly(registry, config, store)


def test_published_size(network: ResidualUNet) -> None:
    assert sum(p.numel() for p in network.parameters()) == 567_314


def test_a_block_by_hand() -> None:
    block = ResidualBlock(1, 1)
    for convolution, gain in zip((block.conv1, block.conv2, block.conv3), (1.0, 2.0, -3.0), strict=True):
        nn.init.zeros_(convolution.weight)
        nn.init.zeros_(convolution.bias)
        with torch.no_grad():
            convolution.weight[0, 0, 1, 1] = gain
    # y = 1; conv2 gives 2, conv3 -6; ELU(1 - 6).
    assert block(torch.ones(1, 1, 1, 1)).item() == pytest.approx(np.expm1(-5.0))


def test_any_size_and_features(network: ResidualUNet) -> None:
    with torch.no_grad():
        output = network(torch.rand(1, 1, 50, 71), with_features=True)
    assert output.probability.shape == (1, 50, 71)
    assert [m.shape[1:] for m in output.features.encoder] == [
        (16, 50, 71),
        (32, 25, 35),
        (48, 12, 17),
        (64, 6, 8),
        (80, 3, 4),
    ]


def test_dropout_is_silent_in_evaluation_unless_always() -> None:
    images = torch.rand(1, 1, 32, 32)
    for always in (False, True):
        network = ResidualUNet(0.5, always).eval()
        torch.manual_seed(1)
        with torch.no_grad():
            same = torch.equal(network(images).probability, network(images).probability)
        assert same is not always


def test_dropout_spares_the_skips(network: ResidualUNet) -> None:
    network.train()
    network.drop.p = 1.0
    features = network(torch.rand(1, 1, 32, 32), with_features=True).features
    assert features.encoder[0].abs().sum() > 0
    # Deeper levels see nothing but their biases: constant away from the border's zero padding.
    assert features.encoder[1][..., 3:-3, 3:-3].std(dim=(2, 3)).max() < 1e-6


# ------------------------------------------------------------------------------------------------ weights by name
def test_the_authors_names_are_understood_and_our_own(network: ResidualUNet) -> None:
    for state in (released(network.state_dict()), network.state_dict()):
        other = ResidualUNet()
        other.load_state_dict(state)
        assert all(torch.equal(a, b) for a, b in zip(network.parameters(), other.parameters(), strict=True))


def test_added_weights_reach_the_network(registry: Registry, tmp_path: Path, network: ResidualUNet) -> None:
    torch.save(released(network.state_dict()), tmp_path / "released.pth")
    store = WeightsStore(tmp_path / "weights")
    record = store.add("mitoem-human", tmp_path / "released.pth")
    assert record.parameters == 567_314
    made = assembly(registry, store, pretrained="mitoem-human").network("residual-unet", "none")
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), made.parameters(), strict=True))


def test_missing_and_foreign_weights_are_named(registry: Registry, tmp_path: Path) -> None:
    store = WeightsStore(tmp_path / "weights")
    with pytest.raises(WeightsError, match="no weights 'mine'") as caught:
        assembly(registry, store, pretrained="mine").network("residual-unet", "none")
    assert "dabench weights add mine FILE" in str(caught.value)
    torch.save({"module.convmod9.weight": torch.ones(3)}, tmp_path / "other.pth")
    store.add("mine", tmp_path / "other.pth")
    with pytest.raises(WeightsError, match="not weights of residual-unet"):
        assembly(registry, store, pretrained="mine").network("residual-unet", "none")


def test_the_weights_of_a_network_are_part_of_the_plan(registry: Registry, tmp_path: Path) -> None:
    """Their digest is in the key of the stages that begin with them."""
    scratch = {"start": "scratch", "network": "residual-unet", "backbone": "none"}
    options = {"residual-unet": {"pretrained": "mine"}, "adaptsegnet": scratch}
    config = validate_config({"method": "adaptsegnet", "task": "human2stem", "data": "phantom", "options": options})
    keys = []
    for number in range(2):
        workspace = Workspace(tmp_path / str(number))
        torch.save({"w": torch.full((1,), float(number))}, tmp_path / f"{number}.pth")
        record = WeightsStore(workspace.weights).add("mine", tmp_path / f"{number}.pth")
        plan = make_plan(config, registry, workspace)
        assert plan.weights == {"mine": record.sha256}
        keys.append(plan.stages[0].key)
    assert keys[0] != keys[1]


# ------------------------------------------------------------------------------------------------- published scores
needs_checkpoints = pytest.mark.skipif(not WEIGHTS.is_dir(), reason=f"no checkpoints next to {DATA} (set DABENCH_DATA)")


@needs_checkpoints
@pytest.mark.parametrize("source", ["human", "rat"])
def test_released_checkpoints_load(tmp_path: Path, source: str) -> None:
    network = ResidualUNet()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.load_state_dict(read_weights(WEIGHTS / f"rsunet2d-mitoem-{source}.pth"))
    assert not any(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


@needs_checkpoints
@pytest.mark.slow
@pytest.mark.parametrize("split", FILES)
@pytest.mark.parametrize("source", ["human", "rat"])
def test_released_checkpoints_score_as_expected(registry: Registry, tmp_path: Path, source: str, split: str) -> None:
    store = WeightsStore(tmp_path / "weights")
    store.add(source, WEIGHTS / f"rsunet2d-mitoem-{source}.pth")
    made = assembly(registry, store, pretrained=source)
    network = made.network("residual-unet", "none").eval()
    images, labels = (tifffile.imread(DATA / name) for name in FILES[split])
    sliced, pooled = made.protocol("das-2d@1"), made.protocol("das-2d-pooled@1")
    for z, (image, label) in enumerate(zip(images, labels, strict=True)):
        with torch.inference_mode():
            seen = network(torch.from_numpy(image).float()[None, None] / 255).probability[0].numpy() >= 0.5
        for protocol in (sliced, pooled):
            protocol.update(z, seen, (label > 0).astype(np.uint8))
    expected = json.loads(GOLDEN.read_text())["results"][f"{source}->{split}"]
    for name in ("dice", "iou"):
        assert pooled.result()[name] == pytest.approx(expected[f"pooled_{name}"], abs=1e-4), name
    for name in ("dice", "aji", "pq"):
        assert sliced.result()[name] == pytest.approx(expected[f"slice_mean_{name}"], abs=1e-3), name
