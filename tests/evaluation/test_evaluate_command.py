"""``dabench evaluate`` on stacks on disk, with the registered readers."""

from __future__ import annotations

import json
import subprocess
import sys

import dabench_protocols
import dabench_readers
import numpy as np
import pytest
import tifffile
import typer
from typer.testing import CliRunner

from dabench.cli import evaluate as command
from dabench.errors import ConfigError, DataError, UnknownNameError

app = typer.Typer()
app.command()(command.evaluate)
app.callback()(lambda: None)


@pytest.fixture(autouse=True)
def _registry(installed):
    installed(protocols=dabench_protocols, readers=dabench_readers)


@pytest.fixture
def stacks(tmp_path):
    labels = np.zeros((4, 40, 50), np.uint8)
    labels[1:, 5:25, 5:25] = 1
    prediction = np.roll(labels, 2, axis=2).astype(np.float32) * 0.9
    paths = tmp_path / "prediction.tif", tmp_path / "labels.tif"
    for path, stack in zip(paths, (prediction, labels * 255), strict=True):
        tifffile.imwrite(path, stack, photometric="minisblack")
    return paths


def call(paths, *options):
    arguments = ["evaluate", "--prediction", str(paths[0]), "--labels", str(paths[1]), *options]
    return CliRunner().invoke(app, arguments)


def test_table_states_score_counts_and_threshold(stacks):
    result = call(stacks)
    assert result.exit_code == 0, result.output
    assert "dice" in result.output
    assert "0.9000" in result.output
    assert "3 slices counted, 1 left out (empty on both sides)" in result.output
    assert "float32, foreground where >= 0.5" in result.output


@pytest.mark.parametrize("protocol", ["das-2d@1", "instances-2d@1"])
def test_slices_are_counted_on_a_terminal_alone(stacks, monkeypatch, protocol):
    monkeypatch.setenv("FORCE_COLOR", "1")
    seen = call(stacks, "--protocol", protocol)
    assert "scoring slices" in seen.stderr
    assert ("finding true objects" in seen.stderr) == (protocol == "instances-2d@1")
    assert "4/4" not in seen.stdout, "bars go to the error output"
    assert call(stacks, "--protocol", protocol, "--json").stderr == ""
    monkeypatch.delenv("FORCE_COLOR")
    assert call(stacks, "--protocol", protocol).stderr == ""


def test_labels_of_some_slices_of_a_prediction(stacks, tmp_path):
    """Of the middle two of four: as if the prediction had been cut."""
    labels = tifffile.imread(stacks[1])
    tifffile.imwrite(tmp_path / "some.tif", labels[1:3], photometric="minisblack")
    some = stacks[0], tmp_path / "some.tif"
    answer = json.loads(call(some, "--labelled", "1:3", "--json").output)
    assert (answer["metrics"]["dice"], answer["n"]) == (pytest.approx(0.9), 2)
    for option, file in (("--slices", 1), ("--label-slices", 1), ("--labelled", 0)):
        error = call(some, option, "1:9").exception
        assert isinstance(error, ConfigError)
        assert f"the slices of {some[file]}" in error.message


def test_255_beside_1_is_not_guessed(stacks, tmp_path):
    labels = np.where(tifffile.imread(stacks[1]) > 0, 1, 0).astype(np.uint8)
    labels[3] = 255
    tifffile.imwrite(tmp_path / "doubt.tif", labels, photometric="minisblack")
    doubtful = stacks[0], tmp_path / "doubt.tif"
    error = call(doubtful).exception
    assert isinstance(error, ConfigError)
    assert "--label-values 0:0,1:1,255:255" in error.mend
    result = call(doubtful, "--label-values", "0:0,1:1,255:255", "--per-slice", str(tmp_path / "rows.csv"))
    assert "2 slices counted, 2 left out (empty on both sides, not labelled)" in result.output
    assert (tmp_path / "rows.csv").read_text().splitlines()[-1].endswith("not labelled")


def test_rows_never_replace_what_is_scored(stacks, tmp_path):
    before = stacks[1].read_bytes()
    (tmp_path / "x").mkdir()
    error = call(stacks, "--per-slice", str(tmp_path / "x" / ".." / "labels.tif")).exception
    assert isinstance(error, ConfigError)
    assert "--per-slice" in error.message
    assert stacks[1].read_bytes() == before


def test_json_and_rows(stacks, tmp_path):
    result = call(stacks, "--json", "--per-slice", str(tmp_path / "rows.csv"))
    answer = json.loads(result.output)
    assert answer["metrics"]["dice"] == pytest.approx(0.9)
    assert (answer["n"], answer["left_out"], len(answer["slices"])) == (3, 1, 4)
    assert len((tmp_path / "rows.csv").read_text().splitlines()) == 5


@pytest.mark.parametrize("protocol", ["das-2d-pooled@1", "instances-2d@1", "instances-3d@1"])
def test_other_protocols(stacks, protocol):
    answer = json.loads(call(stacks, "--json", "--protocol", protocol).output)
    assert answer["protocol"] == protocol
    assert answer["metrics"]["dice"] == pytest.approx(0.9)


def test_slices_thresholds_and_label_values(stacks):
    assert json.loads(call(stacks, "--json", "--slices", "2:").output)["n"] == 2
    assert json.loads(call(stacks, "--json", "--threshold", "0.95").output)["metrics"]["dice"] == 0
    ignored = json.loads(call(stacks, "--json", "--label-values", "0:0,255:255").output)
    assert ignored["slices"][1]["n_true"] == 0


def test_a_prediction_of_some_slices_of_the_labels(stacks):
    tifffile.imwrite(stacks[0], tifffile.imread(stacks[0])[1:3], photometric="minisblack")
    result = call(stacks)
    assert isinstance(result.exception, DataError)
    assert "2 x 40 x 50" in str(result.exception)
    assert result.exception.exit_code == 3
    assert json.loads(call(stacks, "--json", "--label-slices", "1:3").output)["n"] == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--slices", "3:9"], r"0 <= A < B <= 4"),
        (["--slices", "two"], r"--slices 'two'"),
        (["--label-values", "255"], "VALUE:LABEL"),
        (["--label-values", "255:2"], "label 2 must be 0, 1 or"),
    ],
)
def test_wrong_options(stacks, options, message):
    result = call(stacks, *options)
    assert isinstance(result.exception, ConfigError)
    assert message in str(result.exception)


def test_names_and_files_that_do_not_exist(stacks):
    result = call(stacks, "--protocol", "das-2d@2")
    assert isinstance(result.exception, UnknownNameError)
    assert "das-2d@1" in str(result.exception)
    assert isinstance(call((stacks[0], stacks[1].with_name("gone.tif"))).exception, DataError)
    result = call(stacks, "--label-values", "0:0,1:1")
    assert isinstance(result.exception, DataError)
    assert "label value 255" in str(result.exception)


@pytest.fixture
def objects(tmp_path):
    """Two true objects that touch, predicted as two ids."""
    ids = np.zeros((4, 40, 50), np.uint16)
    ids[1:3, 5:25, 5:25], ids[1:3, 5:25, 25:40] = 7, 9
    paths = tmp_path / "ids.tif", tmp_path / "true.tif"
    for path in paths:
        tifffile.imwrite(path, ids, photometric="minisblack")
    return paths


def test_ids_are_handed_over_to_rules_that_take_them(objects):
    result = call(objects, "--protocol", "instances-3d@1")
    assert "uint16 instance ids" in result.output
    answers = {
        kind: json.loads(call(objects, "--json", "--protocol", "instances-3d@1", "--predicted", kind).output)["metrics"]
        for kind in ("auto", "ids", "mask")
    }
    assert answers["auto"] == answers["ids"] == dict.fromkeys(answers["ids"], 1)
    assert (answers["mask"]["dice"], answers["mask"]["ap_75"]) == (1, 0), "a mask of both is one component"
    assert json.loads(call(objects, "--json").output)["slices"][1]["n_pred"] == 1, "2-D rules see a mask, as ever"


def test_wrong_words_about_ids(objects, stacks):
    for paths, options, message in (
        (objects, ["--predicted", "ids"], "finds the objects itself"),
        (objects, ["--predicted", "id"], "choose one of"),
        (stacks, ["--predicted", "ids", "--protocol", "instances-3d@1"], "float32"),
        (objects, ["--threshold", "0.6"], "--threshold 154"),
    ):
        result = call(paths, *options)
        assert isinstance(result.exception, ConfigError)
        assert message in str(result.exception)


def test_nothing_to_score(objects):
    tifffile.imwrite(objects[0], np.zeros((4, 40, 50), np.uint8), photometric="minisblack")
    result = call(objects, "--label-values", "0:0,7:255,9:255")
    assert "0 slices counted, 4 left out" in result.output
    assert "No score: no slice has" in result.output


def test_parts_of_an_ome_zarr(tmp_path, objects):
    """The label image inside is scored: ids where they are taken, else the mask; the image itself with a threshold."""
    zarr = pytest.importorskip("zarr")
    ids = tifffile.imread(objects[1])
    root = zarr.open_group(tmp_path / "mito.zarr", mode="w")
    image = (ids > 0).astype(np.uint8) * 200
    image[:, :5] = 3
    for name, array in (("0", image), ("labels/mask/0", (ids > 0).astype(np.uint8)), ("labels/instances/0", ids)):
        root.create_array(name, data=array)
        axes = [{"name": axis, "type": "space", "unit": "nanometer"} for axis in "zyx"]
        scale = [{"type": "scale", "scale": [30.0, 8.0, 8.0]}]
        multiscales = [{"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}]
        group = root[name[:-2]] if name != "0" else root
        group.attrs["ome"] = {"version": "0.5", "multiscales": multiscales}
    paths = tmp_path / "mito.zarr", objects[1]
    assert json.loads(call(paths, "--json", "--protocol", "instances-3d@1").output)["metrics"]["ap_75"] == 1
    assert "uint8, foreground where not 0" in call(paths).output
    assert json.loads(call(paths, "--json").output)["metrics"]["dice"] == 1
    assert json.loads(call(paths, "--json", "--threshold", "2").output)["metrics"]["dice"] < 1
    assert json.loads(call(paths, "--json", "--threshold", "128").output)["metrics"]["dice"] == 1


def test_the_module_stays_light():
    code = "import sys, dabench.cli.evaluate; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"numpy", "torch", "cc3d", "matplotlib", "mlflow"}.isdisjoint(loaded)


def test_components_of_a_mask_are_the_true_objects(tmp_path):
    ids = np.zeros((3, 30, 40), np.uint8)
    ids[:, 2:9, 2:9], ids[1:, 15:25, 20:35] = 1, 2
    paths = tmp_path / "ids.tif", tmp_path / "mask.tif"
    for path, stack in zip(paths, (ids + (ids > 0), 255 * (ids > 0).astype(np.uint8)), strict=True):
        tifffile.imwrite(path, stack, photometric="minisblack")
    answer = json.loads(call(paths, "--json", "--protocol", "instances-3d@1", "--predicted", "ids").output)
    assert answer["metrics"]["ap_75"] == answer["metrics"]["pq"] == 1
    assert "components are the true objects" in answer["foreground"]


def test_images_are_no_labels(tmp_path, stacks):
    images = np.random.default_rng(0).integers(1, 200, (4, 40, 50)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "images.tif", images, photometric="minisblack")
    result = call((stacks[0], tmp_path / "images.tif"))
    assert isinstance(result.exception, ConfigError)
    assert "is this an image?" in str(result.exception)
