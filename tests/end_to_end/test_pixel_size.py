"""One tissue at two pixel sizes: matched, a model sees what it knows; results lie on the stored pixels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from scipy import ndimage
from typer.testing import CliRunner

import dabench
from dabench.annotation.preference_set import PreferenceSet
from dabench.cli.main import app
from dabench.data.phantom import make_phantom
from dabench.errors import ConfigError
from dabench.files.workspace import Workspace
from dabench.runs.predict import read_predictions
from dabench.tracking.run_reader import read_run
from tests.conftest import FEW

#: Enough updates to find mitochondria, few enough for a test.
TRAINED = {"source-only": {"iterations": 100, "crop": 96, "batch": 4}}
SLICES, SIDE = 4, 128


def finer(array: np.ndarray, order: int) -> np.ndarray:
    """The same tissue with pixels of half the side."""
    return np.stack([ndimage.zoom(plane, 2, order=order, grid_mode=True, mode="nearest") for plane in array])


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Workspace:
    """A workspace with the user's own domain ``fine``: a phantom of the source's kind at 4 nm instead of 8."""
    folder = tmp_path_factory.mktemp("pixels")
    workspace = Workspace(folder / "workspace")
    for split in ("train", "test"):
        phantom = make_phantom("phantom-human", split, 7, (SLICES, SIDE, SIDE))
        for name, array, order in (("images", phantom.images, 1), ("labels", phantom.labels, 0)):
            tifffile.imwrite(folder / f"{split}_{name}.tif", finer(array, order), photometric="minisblack")
        files = ["--images", f"{folder}/{split}_images.tif", "--labels", f"{folder}/{split}_labels.tif"]
        said = command(workspace, "data", "add", "fine", *files, "--voxel", "30,4,4", "--split", split)
        assert said.exit_code == 0, said.output
    return workspace


def command(place: Workspace, *arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments), env={"DABENCH_WORKSPACE": str(place.root), "COLUMNS": "200"})


def sets(options: dict[str, dict[str, Any]]) -> list[str]:
    return [f"--set={name}.{key}={value}" for name, values in options.items() for key, value in values.items()]


def run_command(place: Workspace, *more: str, method: str = "source-only", options: Any = None) -> Any:
    task = ["--task", "phantom-human2fine", "--preset", "tiny", "--tracker", "none"]
    return command(place, "run", "--method", method, *task, *sets(options or TRAINED), *more)


@pytest.fixture(scope="module")
def matched(place) -> dict[str, Any]:
    """What the command says of a run with nothing said of pixels."""
    done = run_command(place, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.output)


def scores(found: dict[str, Any]) -> tuple[float, float]:
    return found["metrics"]["target_test/dice"], found["metrics"]["target_test/pq"]


def test_matched_beats_native_by_far_and_python_gives_the_same(place, matched):
    native = json.loads(run_command(place, "--json", "--pixel-size", "native").output)
    (dice, pq), (plain_dice, plain_pq) = scores(matched), scores(native)
    assert dice > plain_dice + 0.05
    assert pq > plain_pq + 0.2
    assert [one["tags"]["pixel_size"] for one in (matched, native)] == ["match", "native"]
    again = python_run(place, pixel_size="match", options=TRAINED)
    assert (again.metrics["target_test/dice"], again.metrics["target_test/pq"]) == (dice, pq)
    assert [o.planned.state for o in again.outcomes] == ["cached"], "the source is trained once for all of them"


def test_the_plan_and_the_record_say_it(place, matched):
    plan = json.loads(run_command(place, "--dry-run", "--json").output)
    assert (plan["pixel_size"], plan["pixel_nm"]) == ("match", [8, 8])
    (note,) = plan["notes"]
    assert "pixels of 4 x 4 nm in 'fine', 8 x 8 nm in 'phantom-human'" in note
    assert f"  note: {note}" in run_command(place, "--dry-run").output.splitlines()
    record = read_run(Path(matched["path"]))
    assert record.tags["pixel_notes"] == note
    assert record.model is not None
    assert list(record.model.pixel) == [8, 8]
    assert list(record.model.voxel) == [30, 4, 4]
    native = json.loads(run_command(place, "--dry-run", "--json", "--pixel-size", "native").output)
    assert "nothing is resampled (--pixel-size native)" in native["notes"][0]
    assert native["stages"][0]["key"] == plan["stages"][0]["key"], "a stage that sees the source alone is the same"


def stored_mask(found: dict[str, Any]) -> np.ndarray:
    return np.stack(list(read_predictions(Path(found["path"]) / "predictions" / "target_test.tif")))


def test_results_lie_on_the_stored_pixels(place, matched):
    assert stored_mask(matched).shape == (SLICES, 2 * SIDE, 2 * SIDE)


def test_predict_matches_by_the_models_card(place, matched, tmp_path):
    images = place.root.parent / "test_images.tif"
    asked = ["predict", "--run", matched["cell_id"], "--images", str(images), "--json", "--output"]
    said = command(place, *asked, f"{tmp_path}/matched.tif", "--voxel", "30,4,4")
    assert said.exit_code == 0, said.output
    plan = json.loads(said.output)
    assert (plan["model_pixel_nm"], plan["resampled_to"], plan["min_voxels"]) == ([8, 8], [SIDE, SIDE], 64)
    stored = stored_mask(matched)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "matched.tif") > 0, stored)
    unknown = json.loads(command(place, *asked, f"{tmp_path}/o.tif", "--dry-run").output)
    assert unknown["resampled_to"] is None
    assert any("sizes are not matched" in note and "--voxel" in note for note in unknown["notes"])
    native = command(place, *asked, f"{tmp_path}/o.tif", "--dry-run", "--voxel", "30,4,4", "--pixel-size", "native")
    assert json.loads(native.output)["min_voxels"] == 16
    far = json.loads(command(place, *asked, f"{tmp_path}/o.tif", "--dry-run", "--voxel", "30,1,1").output)
    assert any("8.0 times apart" in note for note in far["notes"])
    model = dabench.load_model(matched["cell_id"], workspace=place.root, device="cpu")
    with pytest.warns(UserWarning, match="slices are resampled to that size"):
        found = model.predict(tifffile.imread(images), voxel=(30, 4, 4))
    np.testing.assert_array_equal(found >= 0.5, stored)
    with pytest.warns(UserWarning, match=r"sizes are not matched; .* voxel="):
        model.predict(tifffile.imread(images)[:1])


@pytest.mark.parametrize("name", ["run", "predict"])
def test_an_unknown_value_is_refused(place, matched, name):
    images = place.root.parent / "test_images.tif"
    asked = [
        "predict",
        "--run",
        matched["cell_id"],
        "--images",
        str(images),
        "--output",
        "o.tif",
        "--pixel-size",
        "all",
    ]
    done = run_command(place, "--pixel-size", "all") if name == "run" else command(place, *asked)
    assert done.exception.exit_code == 2
    assert "native" in str(done.exception)
    with pytest.raises(ConfigError, match="pixel_size"):
        python_run(place, pixel_size="all")


def python_run(place: Workspace, **changes: Any) -> dabench.api.run.Run:
    values = {"method": "source-only", "task": "phantom-human2fine", "preset": "tiny", "options": FEW, **changes}
    return dabench.run(**values, tracker="none", workspace=place.root)


def test_clicks_and_preferences_on_matched_pixels(place, tmp_path):
    """Points are written where a person would click; patches are asked about as the model saw them."""
    run = python_run(place, method="prefer-das", po="lpo", test_points=(0, 1.0))
    points = np.loadtxt(run.path / "annotation" / "points.csv", delimiter=",", skiprows=1, usecols=(5, 6))
    assert points.max() > SIDE, "in voxels of the scan"
    assert run.scores["test_points"].nunique() == 2
    asked = PreferenceSet.open(run.path / "annotation" / "preferences")
    ends = [(q.window.y + q.window.height, q.window.x + q.window.width) for q in asked.questions]
    assert SIDE / 2 < np.max(ends) <= SIDE, "in pixels of the model"
    assert asked.manifest.shape[1:] == (SIDE, SIDE)
    clicked = python_run(place, method="prefer-das", po="upo", points=run.path / "annotation" / "points.csv")
    assert clicked.status == "ok"


def test_points_of_another_scale_are_told(place, tmp_path):
    near = [f"{z},{10 + 2 * i},{10 + 2 * k}" for z in range(2) for i in range(3) for k in range(3)]
    (tmp_path / "clicks.csv").write_text("\n".join(["z,y,x", *near]))
    said = run_command(place, "--dry-run", "--points", str(tmp_path / "clicks.csv"), method="prompt-das", options=FEW2)
    assert said.exit_code == 0, said.output
    assert "points in clicks.csv lie 1 pixels apart" in said.output


#: Of the stages up to prompt-das.
FEW2 = {name: FEW[name] for name in ("source-only", "prompt-das")}
