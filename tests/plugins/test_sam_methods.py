"""Methods on SAM's modules: they begin with the model that they start from, learn what they say, run to the score."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from dabench_med_sa import MedSASettings, MedSAStage
from dabench_sam import SourcePromptableStage
from dabench_sam.settings import SamMethodSettings, SourcePromptableSettings
from dabench_wesam import WeSAMSettings, WeSAMStage
from dabench_wesam.losses import anchor_loss, instance_contrast, instance_embeddings
from torch import Tensor

from dabench.components.registry import Registry
from dabench.files.workspace import Workspace
from dabench.interfaces import Budget, TaskInfo
from dabench.plugin import Batch, CropId, SourceCrops, TargetCrops, Window
from dabench.runs.config import validate_config
from dabench.runs.runner import run_cell
from dabench.testing.fixtures import discs
from tests.conftest import PHANTOMS
from tests.plugins.sam_networks import loud

SIDE = 96


def images(count: int = 2) -> tuple[Tensor, Tensor]:
    volume, labels = discs(3, count, SIDE)
    grey = torch.stack([torch.from_numpy(volume.read(z).copy()) for z in range(count)])
    return grey[:, None], torch.stack([torch.from_numpy(labels.read(z).copy()) for z in range(count)])


def source_batch(step: int = 0) -> Batch:
    grey, labels = images()
    return Batch(step, torch.Generator().manual_seed(step), SourceCrops(grey, labels, [torch.zeros(0, 2)] * 2))


def target_batch(points: list[Tensor], step: int = 0) -> Batch:
    origins = [CropId(0, Window(0, 0, SIDE, SIDE))] * 2
    crops = TargetCrops(images()[0], points, origins)
    return Batch(step, torch.Generator().manual_seed(step), target=crops)


CLICKS = [torch.tensor([[20.0, 30.0], [70.0, 60.0]]), torch.tensor([[-0.4, 95.4]])]


def update(stage: Any, batch: Batch, rate: float = 0.05) -> dict[str, Tensor]:
    """One plain step down; the terms before it."""
    for module in stage.modules().values():
        module.zero_grad()
    terms: dict[str, Tensor] = stage.step(batch, "network")
    terms["loss"].backward()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for parameter in stage.parameters():
            if parameter.grad is not None:  # boxes and masks as prompts are never asked about
                parameter.sub_(rate * parameter.grad)
    stage.after_update(batch.step)
    return {name: term.detach() for name, term in terms.items()}


@torch.no_grad()
def answers(network: Any) -> tuple[Tensor, Tensor]:
    """What a network says of two tiles, without prompts and with."""
    grey, _ = images()
    embeddings = network.encode(grey)
    clicked = network.decode(embeddings, torch.tensor([[[20.0, 30.0]]]), torch.tensor([1]), (SIDE, SIDE))
    return network.whole(embeddings).logits, clicked.logits


# ---------------------------------------------------------------- where they begin
@pytest.mark.parametrize("make", [lambda n: MedSAStage(MedSASettings(), n), lambda n: WeSAMStage(WeSAMSettings(), n)])
def test_before_the_first_update_it_is_the_model_it_starts_from(make: Any) -> None:
    started = loud()
    stage = make(loud())
    for own, other in zip(answers(stage.network().eval()), answers(started), strict=True):
        assert torch.equal(own, other)


def test_med_sa_learns_adapters_and_decoder_alone() -> None:
    stage, started = MedSAStage(MedSASettings(), loud()), loud()
    terms = update(stage, source_batch())
    assert {"masks", "quality", "segmentation", "overlap"} < terms.keys()
    before, after = started.sam.state_dict(), stage.network().sam.state_dict()  # type: ignore[union-attr]
    encoder = {k for k in before if k.startswith("vision_encoder")}
    assert all(torch.equal(before[k], after[k]) for k in encoder)
    assert any(not torch.equal(before[k], after[k]) for k in before if k.startswith("mask_decoder"))
    assert after["vision_encoder.layers.0.attn.med_sa.up.weight"].any()
    assert after["vision_encoder.layers.3.mlp.med_sa.up.weight"].any()


def test_an_adapter_is_a_scaled_bottleneck() -> None:
    from dabench_med_sa import Adapter

    adapter = Adapter(8, 0.25, 0.5)
    with torch.no_grad():
        adapter.up.weight.fill_(1.0)
        adapter.down.weight.zero_()
        adapter.down.bias.fill_(1.0)
    gelu = 0.5 * (1 + math.erf(1 / math.sqrt(2)))
    assert adapter(torch.zeros(8)).tolist() == pytest.approx([0.5 * 2 * gelu] * 8)


def test_a_tuned_decoder_leaves_the_encoder_alone() -> None:
    stage, started = SourcePromptableStage(SourcePromptableSettings(trained="decoder"), loud()), loud()
    update(stage, source_batch())
    moved = {
        name.split(".")[0]
        for name, tensor in stage.network().sam.state_dict().items()  # type: ignore[union-attr]
        if not torch.equal(tensor, started.sam.state_dict()[name])
    }
    assert moved == {"mask_decoder", "prompt_encoder"}


def test_half_of_the_crops_may_be_of_phantoms() -> None:
    from dabench_sam.phantoms import PhantomCrops, mixed

    phantoms, source = PhantomCrops(), source_batch().source
    assert source is not None
    drawn = phantoms.draw(1, SIDE, torch.Generator().manual_seed(0))
    crops = mixed(source, drawn)
    assert torch.equal(crops.images[:1], source.images[:1])
    assert torch.equal(crops.images[1:], drawn.images)
    assert crops.labels.shape == source.labels.shape
    assert set(phantoms.labels.unique().tolist()) == {0, 1}
    assert float(phantoms.images.mean()) == pytest.approx(0.5, abs=0.02)
    again = phantoms.draw(1, SIDE, torch.Generator().manual_seed(0))
    assert torch.equal(again.images, drawn.images)
    beyond = phantoms.draw(1, 300, torch.Generator().manual_seed(0))
    assert (beyond.labels[0, 256:] == 255).all()


def test_wesam_moves_queries_and_values_alone() -> None:
    stage, started = WeSAMStage(WeSAMSettings(rank=2), loud()), loud()
    for step in range(2):
        terms = update(stage, target_batch(CLICKS, step))
    assert {"masks", "quality", "anchor", "contrast"} < terms.keys()
    layer = stage.network().sam.vision_encoder.layers[1].attn.qkv  # type: ignore[union-attr]
    queries, keys, values = layer.get_delta_weight("default").chunk(3)
    assert queries.any()
    assert values.any()
    assert not keys.any()
    state, before = stage.network().state_dict(), started.state_dict()
    plain = {name.replace(".base_layer", ""): tensor for name, tensor in state.items() if "lora" not in name}
    assert all(torch.equal(plain[name], before[name]) for name in before)
    for own, other in zip(answers(stage.anchor), answers(started), strict=True):
        assert torch.equal(own, other)


def test_wesam_at_the_start_is_as_near_to_its_anchor_as_the_anchor_to_itself() -> None:
    """Both halves compare the same masks; with views that change nothing the student's are the teacher's too."""
    from dabench.ops.augmentation import PLAIN

    stage = WeSAMStage(WeSAMSettings(), loud())
    stage.view = PLAIN
    terms = stage.step(target_batch(CLICKS), "network")
    soft = torch.cat([*map(torch.sigmoid, _said(stage))])
    p, q = (soft**2).sum((-2, -1)), soft.sum((-2, -1))
    assert float(terms["anchor"]) == pytest.approx(float((1 - (2 * p + 1) / (2 * q + 1)).mean()), abs=1e-4)


def _said(stage: WeSAMStage) -> list[Tensor]:
    """Logits of the anchor at the clicks and without, by the library's parts."""
    network: Any = stage.anchor
    grey, _ = images()
    with torch.no_grad():
        embeddings = network.encode(grey)
        points = torch.cat(CLICKS).clamp(0, SIDE - 1)[:, None]
        best, _ = network.decode(embeddings, points, torch.tensor([0, 0, 1]), (SIDE, SIDE)).best()
        logits = [best[:, None], network.whole(embeddings).logits]
        return [network.enlarge(one, (SIDE, SIDE))[:, 0] for one in logits]


@pytest.mark.parametrize("whole", [True, False])
def test_wesam_without_a_click_in_its_crops(whole: bool) -> None:
    stage = WeSAMStage(WeSAMSettings(whole=whole), loud())
    terms = update(stage, target_batch([torch.zeros(0, 2)] * 2))
    assert all(math.isfinite(float(term)) for term in terms.values())
    assert (float(terms["masks"]) > 0) is whole


def test_wesam_needs_points(registry: Registry) -> None:
    from dabench.components.assembly import Assembly
    from dabench.runs.weights import WeightsStore

    config = validate_config({"method": "wesam", "task": "human2stem", "preset": "tiny"})
    method = Assembly(registry, config, WeightsStore(Workspace.find().weights)).method("wesam")
    task = TaskInfo("human2stem", "human", "stem")
    assert "points of the target" in str(method.skip(task, Budget()))
    assert method.skip(task, Budget(points=0.1)) is None


# ---------------------------------------------------------------- losses of WeSAM
def test_an_objects_embedding_is_its_mean_of_length_one() -> None:
    embeddings = torch.tensor([[[[3.0, 0.0], [0.0, 0.0]], [[0.0, 4.0], [0.0, 0.0]]]])
    masks = torch.zeros(1, 4, 4)
    masks[0, :2] = 1
    assert instance_embeddings(embeddings, masks, torch.tensor([0]))[0].tolist() == pytest.approx([0.6, 0.8])
    assert torch.isfinite(instance_embeddings(embeddings, 0 * masks, torch.tensor([0]))).all()


def test_contrast_by_hand() -> None:
    """Two orthogonal objects at τ 0.5: log(1 + exp(-2)); all alike: log of their number; one: 0."""
    own = torch.eye(2)
    assert float(instance_contrast(own, own, 0.5)) == pytest.approx(math.log(1 + math.exp(-2)))
    assert float(instance_contrast(torch.ones(3, 1), torch.ones(3, 1), 0.3)) == pytest.approx(math.log(3))
    assert float(instance_contrast(own[:1], own[:1], 0.5)) == 0


def test_anchor_by_hand() -> None:
    """Two pixels that are surely foreground, of which the teacher misses one: 1 - 5/5 and 1 - 3/4, half each."""
    both, one = torch.tensor([[[30.0, 30.0]]]), torch.tensor([[[30.0, -30.0]]])
    assert float(anchor_loss(both, one, torch.ones(1, 1, 2))) == pytest.approx(0.125)
    assert float(anchor_loss(both[:0], one[:0], torch.ones(0, 1, 2))) == 0


# ---------------------------------------------------------------- as a user runs them
def test_the_area_filter_is_a_setting() -> None:
    assert SamMethodSettings().rule() == {
        "side": 32,
        "quality": 0.88,
        "stability": 0.95,
        "overlap": 0.7,
        "largest": 1.0,
    }
    assert SamMethodSettings(filter="area-filtered", largest=0.1).rule()["largest"] == 0.1


def test_clicks_at_test_are_scored_as_objects(registry: Registry, tmp_path: Any) -> None:
    """A few updates on phantoms, at two shares of test points by a rule that takes ids."""
    config = validate_config(
        {
            "method": "source-promptable",
            "task": "human2stem",
            "data": "phantom",
            "preset": "tiny",
            "protocol": "instances-2d@1",
            "inference": "tiles",
            "test_points": [0, 1],
            "options": {**PHANTOMS, "source-promptable": {"iterations": 2}},
        }
    )
    record = run_cell(config, registry, Workspace(tmp_path))
    assert record.status == "ok"
    assert {"target_test/dice", "target_test/points_100/dice"} <= record.metrics.keys()
