"""A method that hands out objects: two that touch stay two, from the tiles to the score, the file and the array."""

from __future__ import annotations

import json
import shutil
import sys
from typing import Any, NamedTuple

import numpy as np
import pytest
import tifffile
import zarr

import dabench
from dabench.checking.verify import Verifier
from dabench.cli.main import main
from dabench.components.registry import PluginStatus, Registry
from dabench.files.workspace import Workspace
from dabench.runs.config import validate_config
from dabench.runs.predict import instances_of
from dabench.runs.runner import run_cell
from dabench.testing import check_components
from dabench.tracking.record import RunRecord
from tests.end_to_end import box_maker
from tests.end_to_end.box_maker import STEP, true_ids

#: Two slices. On the first the mask merges the two that touch: their IoU with it is 200 / 400, which is no match, so
#: that PQ is 1 / (1 + 1/2 + 2/2); the second has nothing that touches.
SEMANTIC_PQ = (0.4 + 1) / 2
one = pytest.approx(1, abs=1e-6)  # PQ divides by a millionth more than the objects there are


class Ran(NamedTuple):
    registry: Registry
    workspace: Workspace
    record: RunRecord


@pytest.fixture(scope="module")
def plugins() -> Registry:
    registry = Registry.load()
    registry.add(box_maker, PluginStatus("box-maker", "dabench-boxes"))
    return registry


def config(**changes: Any) -> Any:
    values = {"method": "box-maker", "task": "boxes2crates", "preset": "tiny", "intensity": "range"}
    return validate_config({**values, "protocol": "instances-2d@1", **changes})


@pytest.fixture(scope="module")
def ran(plugins: Registry, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    workspace = Workspace(tmp_path_factory.mktemp("boxes"))
    return Ran(plugins, workspace, run_cell(config(), plugins, workspace))


@pytest.fixture
def command(ran: Ran, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command that finds the plugin; what it prints as JSON."""
    monkeypatch.setattr(Registry, "load", classmethod(lambda cls: ran.registry))
    monkeypatch.setenv("DABENCH_WORKSPACE", str(ran.workspace.root))

    def call(*arguments: str) -> Any:
        monkeypatch.setattr(sys, "argv", ["dabench", *arguments, "--json"])
        with pytest.raises(SystemExit) as stop:
            main()
        assert not stop.value.code
        return json.loads(capsys.readouterr().out)

    return call


def pages(path: Any) -> Any:
    """All slices of a stored prediction."""
    with tifffile.TiffFile(path) as stack:
        return np.stack([page.asarray() for page in stack.pages])


def same_objects(found: Any, true: Any) -> None:
    """Equal but for the names."""
    pairs = set(zip(found.ravel().tolist(), true.ravel().tolist(), strict=True))
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}) == true.max() + 1
    assert (0, 0) in pairs


def test_keeps_the_contracts(plugins: Registry) -> None:
    assert [o for o in check_components(plugins, [plugins.get("method", "box-maker")]) if o.problem] == []


@pytest.mark.parametrize("inference", ["hann", "fast", "paper", "tiles"])
def test_objects_that_touch_are_counted_apart(ran: Ran, inference: str) -> None:
    """Every profile joins the two that cross a border of tiles; the masks are equal, so that Dice is 1 for both."""
    own = run_cell(config(inference=inference), ran.registry, ran.workspace)
    mask = run_cell(config(inference=inference, options={"box-maker": {"objects": False}}), ran.registry, ran.workspace)
    assert own.metrics["target_test/pq"] == one
    assert own.metrics["target_test/dice"] == 1
    assert mask.metrics["target_test/pq"] == pytest.approx(SEMANTIC_PQ, abs=1e-6)
    assert mask.metrics["target_test/dice"] == 1


def test_a_rule_of_masks_does_not_see_them(ran: Ran) -> None:
    """`das-2d@1` merges what touches on both sides."""
    assert run_cell(config(protocol="das-2d@1"), ran.registry, ran.workspace).metrics["target_test/pq"] == one


def test_whole_objects_in_three_dimensions(ran: Ran) -> None:
    """Objects keep their id through slices, so that a rule of volumes finds all three."""
    record = run_cell(config(protocol="instances-3d@1"), ran.registry, ran.workspace)
    assert record.metrics["target_test/pq"] == one


def test_they_are_stored_with_the_run(ran: Ran) -> None:
    path = instances_of(ran.record.path / "predictions" / "target_test.tif")
    found = pages(path)
    assert found.dtype == np.uint32
    same_objects(found, true_ids())
    receipt = json.loads((ran.record.path / "receipt.json").read_text())
    assert f"predictions/{path.name}" in receipt["outputs"]


def test_a_stored_volume_opens_whole(ran: Ran) -> None:
    """One series: tifffile, scikit-image and imageio read the first one of several alone."""
    mask = ran.record.path / "predictions" / "target_test.tif"
    for path in (mask, instances_of(mask)):
        with tifffile.TiffFile(path) as file:
            assert [(s.shape, s.axes) for s in file.series] == [(true_ids().shape, "ZYX")]
        np.testing.assert_array_equal(tifffile.imread(path), pages(path))


def test_kept_objects_are_scored_again(ran: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    """No predictor is asked: what the stage kept is enough, also where the scores are gone."""
    for kept in ran.workspace.stages.rglob("predictions/*.json"):
        kept.unlink()
    monkeypatch.delattr(box_maker.BoxPredictor, "predict")
    assert run_cell(config(), ran.registry, ran.workspace).metrics["target_test/pq"] == one


def test_kept_objects_that_changed_are_made_again(ran: Ran) -> None:
    for kept in ran.workspace.stages.rglob("predictions/*.json"):
        kept.unlink()
    for kept in ran.workspace.stages.rglob("predictions/*.instances.tif"):
        kept.write_bytes(b"")
    assert run_cell(config(), ran.registry, ran.workspace).metrics["target_test/pq"] == one


def test_verify_scores_the_objects_again(ran: Ran, tmp_path: Any) -> None:
    verifier = Verifier(ran.registry, ran.workspace)
    assert verifier.verify(ran.record.path).verdict == "too good", "its predictions are the labels"
    forged = tmp_path / ran.record.path.name
    shutil.copytree(ran.record.path, forged)
    path = instances_of(forged / "predictions" / "target_test.tif")
    tifffile.imwrite(path, (pages(path) > 0).astype(np.uint32), compression="zlib")
    problems = str(verifier.verify(forged))
    assert "pq is 1.000000 in the journal; computed from the prediction it is" in problems
    assert f"{path.name} was edited" in problems


@pytest.mark.parametrize(("dims", "objects"), [("3d", 3), ("2d", 5)])
def test_predict_writes_them(ran: Ran, command: Any, tmp_path: Any, dims: str, objects: int) -> None:
    tifffile.imwrite(tmp_path / "scan.tif", (true_ids() * STEP).astype(np.uint8), photometric="minisblack")
    files = ["--images", str(tmp_path / "scan.tif"), "--output", str(tmp_path / "found.zarr"), "--chunk", "1,48,80"]
    said = command("predict", "--run", ran.record.cell_id, *files, "--instances", dims, "--device", "cpu")
    assert (said["objects"], said["objects_of"], said["chunks"]) == (objects, "model", 2)
    found = zarr.open_group(tmp_path / "found.zarr", mode="r")["labels/instances/0"][:]
    for z, ids in enumerate(found) if dims == "2d" else [(slice(None), found)]:
        same_objects(np.unique(ids, return_inverse=True)[1], np.unique(true_ids()[z], return_inverse=True)[1])
    tifffile.imwrite(tmp_path / "true.tif", true_ids())
    scored = command(
        *("evaluate", "--prediction", str(tmp_path / "found.zarr"), "--labels", str(tmp_path / "true.tif")),
        *("--protocol", "instances-2d@1", "--label-kind", "instance"),
    )
    assert scored["metrics"]["pq"] == one


def test_small_ones_are_dropped(ran: Ran, command: Any, tmp_path: Any) -> None:
    """Through slices the objects have 400, 200 and 200 voxels."""
    tifffile.imwrite(tmp_path / "scan.tif", (true_ids() * STEP).astype(np.uint8), photometric="minisblack")
    files = ["--images", str(tmp_path / "scan.tif"), "--output", str(tmp_path / "found.zarr")]
    said = command("predict", "--run", ran.record.cell_id, *files, "--min-size", "201px", "--device", "cpu")
    assert said["objects"] == 1
    found = zarr.open_group(tmp_path / "found.zarr", mode="r")["labels/instances/0"][:]
    assert np.array_equal(found, (true_ids() == 1).astype(np.uint32))


def test_python_gives_the_same(ran: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Registry, "load", classmethod(lambda cls: ran.registry))
    run = dabench.run(
        method="box-maker", task="boxes2crates", preset="tiny", protocol="instances-2d@1", tracker="none",
        workspace=ran.workspace.root, config=None, intensity="range",
    )  # fmt: skip
    assert run.metrics["target_test/pq"] == one
    model = dabench.load_model(run, device="cpu", workspace=ran.workspace.root)
    assert model.gives_instances
    scan = (true_ids() * STEP).astype(np.uint8)
    found = model.predict(scan, instances=True)
    assert found.dtype == np.uint32
    same_objects(found, true_ids())
    assert np.array_equal(model.predict(scan) >= 0.5, true_ids() > 0)
    ids = {"protocol": "instances-2d@1", "label_kind": "instance"}
    assert dabench.evaluate(found, true_ids(), **ids).metrics["pq"] == one
    merged = dabench.evaluate(found, true_ids(), **ids, predicted="mask")
    assert merged.metrics["pq"] == pytest.approx(SEMANTIC_PQ, abs=1e-6)


def test_a_model_without_objects_says_so(ran: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Registry, "load", classmethod(lambda cls: ran.registry))
    record = run_cell(config(options={"box-maker": {"objects": False}}), ran.registry, ran.workspace)
    model = dabench.load_model(record.cell_id, device="cpu", workspace=ran.workspace.root)
    with pytest.raises(dabench.DabenchError, match="predicts only a probability, no objects"):
        model.predict((true_ids() * STEP).astype(np.uint8), instances=True)
