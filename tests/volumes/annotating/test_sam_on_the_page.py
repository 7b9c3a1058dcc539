"""SAM behind the page of points: each click adds one object, and those before it keep their pixels."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dabench.components.registry import Registry
from dabench.data.phantom import make_phantom
from dabench.data.volumes import ArrayVolume
from dabench.files.workspace import Workspace
from dabench.models import Model, load_model
from dabench.runs.config import validate_config
from dabench.runs.runner import run_cell
from dabench.runs.weights import WeightsStore
from dabench.volumes.annotating.click_files import Clicks
from dabench.volumes.annotating.outlines import outline
from dabench.volumes.annotating.points import Clicking, point_routes
from dabench.volumes.annotating.segmenter import Segmenter
from dabench.volumes.prediction.images import unit_volume
from tests.conftest import PHANTOMS

pytest.importorskip("transformers", reason="SAM comes from transformers (the sam extra)")
#: Without clicks every mask counts: random weights expect little of theirs.
ANY = {"quality": 0.0, "stability": 0.0}
#: What the page draws around the model's objects.
LINE = "document.querySelector('#picture .outlines .line')"


@pytest.fixture
def sam(registry: Registry, workspace: Workspace, tmp_path: Path) -> Model:
    """Small random weights, added as a lab adds SAM's, and the run of method ``sam`` with them."""
    from tests.plugins.sam_networks import loud

    tensors = {name: tensor.clone() for name, tensor in loud(seed=7).sam.state_dict().items()}
    save_file(tensors, tmp_path / "mine.safetensors")
    WeightsStore(workspace.weights).add("mine", tmp_path / "mine.safetensors")
    settings = {"method": "sam", "task": "human2stem", "data": "phantom", "preset": "tiny", "inference": "tiles"}
    config = validate_config({**settings, "options": {**PHANTOMS, "sam": ANY, "sam-vit": {"pretrained": "mine"}}})
    run_cell(config, registry, workspace)
    return load_model(config.cell_id, registry, workspace)


@torch.inference_mode()
def objects(sam: Model, images: ArrayVolume, points: list[tuple[float, float]]) -> str:
    """Outlines of what the network itself says of these clicks, object by object."""
    tile = np.array(unit_volume(images, sam.card.intensity, "phantom").read(0), np.float32)
    found = sam.predictor.predict(torch.from_numpy(tile)[None, None], [torch.tensor(points)]).instances
    assert found is not None
    return "".join(outline(found[0].numpy() == one, 0, 0) for one in range(1, len(points) + 1))


def test_clicks_give_objects_one_by_one(
    sam: Model, inside: Callable[..., Any], come: Callable[..., Any], tmp_path: Path
) -> None:
    images = ArrayVolume(make_phantom("phantom-human", "train", 0, (1, 96, 96)).images)
    clicks = Clicks(tmp_path / "clicks.csv", images.shape)
    clicking = Clicking("phantom", images, clicks, Segmenter(sam, images, None))
    page = come(inside("points", point_routes(clicking), clicking.pictures).next_link(), ready="#stage[data-z]")
    box, before = page.locator("#picture").bounding_box(), ""
    for count, (x, y) in enumerate([(25, 30), (70, 60), (30, 75)], start=1):
        page.mouse.click(box["x"] + (x + 0.5) * box["width"] / 96, box["y"] + (y + 0.5) * box["height"] / 96)
        page.wait_for_selector(f'#stage[data-clicks="{count}"]')
        page.wait_for_function(f"before => ({LINE}?.getAttribute('d') ?? '') !== before", arg=before)
        drawn = page.evaluate(f"{LINE}.getAttribute('d')")
        assert drawn.startswith(before), "objects of earlier clicks keep their outlines"
        assert drawn == objects(sam, images, [(click.x, click.y) for click in clicks.of("anna").standing().values()])
        before = drawn
    if folder := os.environ.get("DABENCH_SHOTS"):
        page.screenshot(path=f"{folder}/sam-points.png")
    clicks.close()
