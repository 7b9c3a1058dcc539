"""What a name or a path means: a run, a predicted OME-Zarr, a mask, ids, a probability, or images alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import typer
from made_up_data import DEPTH, HEIGHT, WIDTH, arrays, block, plane
from typer.testing import CliRunner

from dabench.cli import view
from dabench.data.volumes import ArrayVolume, read_all
from dabench.errors import ConfigError, DabenchError, DataError, MissingDataError
from dabench.runs.predict import read_predictions
from dabench.runs.runner import run_cell
from dabench.types import Block
from dabench.volumes.output.omezarr import OmeZarr
from dabench.volumes.viewer.targets import Given, Opener, first_slice, predicted_layer
from tests.conftest import few

APP = typer.Typer()
APP.command()(view.view)


@pytest.fixture
def files(tmp_path) -> dict[str, Path]:
    found = {}
    for name, values in arrays().items():
        found[name] = tmp_path / f"{name}.tif"
        values = np.minimum(values, 9).astype(np.uint32) if name == "instances" else values
        tifffile.imwrite(found[name], values, photometric="minisblack")
    found["points"] = tmp_path / "points.csv"
    found["points"].write_text("z,y,x\n1,7,8\n3,2,1\n")
    return found


@pytest.fixture
def opener(registry, workspace) -> Opener:
    return Opener(registry, workspace)


def prediction(path: Path, first: int = 0, about: dict | None = None) -> Path:
    """An OME-Zarr of slices ``first`` on, as ``dabench predict`` writes it."""
    known = {name: values[first:] for name, values in arrays().items()}
    shape = known["images"].shape
    written = OmeZarr(path, shape, shape, (30.0, 8.0, 8.0), ("mask", "instances"), first, about or {})
    written.create()
    levels = np.floor(known["probability"] * 256).astype(np.uint8)
    ids = np.minimum(known["instances"], 9).astype(np.uint32)
    for name, values in (("probability", levels), ("mask", known["prediction"] // 255), ("instances", ids)):
        written.blocks(name).write_block(Block.whole(shape), values)
    return path


# ---------------------------------------------------------------- files
def test_images_alone(opener, files):
    view_data = opener.open(str(files["images"]), Given())
    assert (view_data.layers(), view_data.title, view_data.voxel) == ({}, "images.tif", None)


@pytest.mark.parametrize("layer", ["prediction", "instances", "probability"])
def test_a_file_over_images_is_what_its_values_say(opener, files, layer):
    view_data = opener.open(str(files[layer]), Given(images=files["images"], voxel=(30, 8, 8)))
    assert list(view_data.layers()) == [layer]
    assert view_data.voxel == (30, 8, 8)


def test_what_values_say():
    def kind(*values, dtype=np.uint8, **said):
        return predicted_layer(ArrayVolume(np.array([[list(values)]], dtype)), "file", **said)[0]

    assert [kind(0, 1), kind(0, 255), kind(0, 0), kind(0, 5)] == ["prediction"] * 4
    assert [kind(0, 1, 2, dtype=np.uint32), kind(0, 7, 2**40, dtype=np.uint64)] == ["instances"] * 2
    assert kind(0, 1, dtype=np.float32) == "probability"
    for values in ((0, 1, 2), (1, 255), (1, 2)):
        with pytest.raises(ConfigError, match="--predicted-values"):
            kind(*values)
        assert [kind(*values, predicted="ids"), kind(*values, predicted="mask")] == ["instances", "prediction"]


def test_labels_probability_and_points_beside_it(opener, files):
    beside = Given(files["images"], files["truth"], {0: 0, 1: 1, 255: 255}, files["probability"], files["points"])
    view_data = opener.open(str(files["prediction"]), beside)
    assert list(view_data.layers()) == ["prediction", "probability", "truth"]
    assert set(np.unique(read_all(view_data.truth))) == {0, 1, 255}
    assert view_data.points[1].tolist() == [[8, 7]]
    with pytest.raises(ConfigError, match="255 may be a mitochondrion"):
        opener.open(str(files["images"]), Given(labels=files["truth"]))


def test_a_name_that_means_nothing(opener, tmp_path):
    with pytest.raises(ConfigError, match=r"nothing.tif: no such file, and no run begins with"):
        opener.open(str(tmp_path / "nothing.tif"), Given())


def test_files_of_another_volume_are_refused(opener, files, tmp_path):
    other = tmp_path / "other.tif"
    tifffile.imwrite(other, np.zeros((DEPTH, HEIGHT, WIDTH + 1), np.uint8), photometric="minisblack")
    with pytest.raises(DataError, match="the prediction has"):
        opener.open(str(files["prediction"]), Given(images=other))
    (tmp_path / "far.csv").write_text("z,y,x\n9,1,1\n")
    with pytest.raises(DataError, match="point z=9"):
        opener.open(str(files["images"]), Given(points=tmp_path / "far.csv"))


# ---------------------------------------------------------------- predictions
def test_a_prediction_finds_its_layers_and_its_images(opener, files, tmp_path):
    path = prediction(tmp_path / "mito.zarr", about={"images": str(files["images"])})
    view_data = opener.open(str(path), Given())
    assert list(view_data.layers()) == ["prediction", "instances", "probability"]
    assert view_data.voxel == (30, 8, 8)
    assert (read_all(view_data.images) == arrays()["images"]).all()
    assert (read_all(view_data.probability) == np.floor(arrays()["probability"] * 256)).all()


def test_a_prediction_whose_images_are_gone_asks_for_them(opener, files, tmp_path):
    path = prediction(tmp_path / "mito.zarr", about={"images": str(tmp_path / "moved.zarr")})
    with pytest.raises(MissingDataError, match=r"--images scan.zarr"):
        opener.open(str(path), Given())
    assert opener.open(str(path), Given(images=files["images"])).images.shape == (DEPTH, HEIGHT, WIDTH)


def test_a_prediction_of_a_part_is_laid_over_that_part(opener, files, tmp_path):
    path = prediction(tmp_path / "part.zarr", first=1)
    assert first_slice(path) == 1
    view_data = opener.open(
        str(path), Given(files["images"], files["truth"], {0: 0, 1: 1, 255: 1}, points=files["points"])
    )
    assert (read_all(view_data.images) == arrays()["images"][1:]).all()
    assert (read_all(view_data.truth) == (arrays()["truth"][1:] > 0)).all()
    assert sorted(view_data.points) == [0, 2], "points count the slices of the scan"
    assert view_data.notes == ("z = 0 on this page is slice 1 of the scan.",)


@pytest.mark.parametrize("text", ["", "[]", '{"attributes": 3}', '{"attributes": {"ome": {"multiscales": []}}}'])
def test_damaged_metadata_put_a_prediction_at_slice_0(tmp_path, text):
    (tmp_path / "zarr.json").write_text(text)
    assert first_slice(tmp_path) == 0


# ---------------------------------------------------------------- runs
def test_a_run_is_its_prediction_truth_and_prompts(registry, workspace):
    record = run_cell(
        few("source-only", test_points=[0.5], options={"source-only": {"iterations": 1}}), registry, workspace
    )
    view_data = Opener(registry, workspace).open(record.cell_id, Given())
    assert list(view_data.layers()) == ["prediction", "truth"]
    assert view_data.title == record.cell_id
    assert view_data.points, "half of the centres were prompts"
    assert view_data.voxel is not None
    stored = workspace.runs / record.cell_id / "predictions" / "target_test.tif"
    assert (read_all(view_data.prediction) > 0).tolist() == [mask.tolist() for mask in read_predictions(stored)]
    receipt = workspace.runs / record.cell_id / "receipt.json"
    receipt.write_text(receipt.read_text().replace('"digest": "', '"digest": "0'))
    with pytest.raises(DataError, match="differs from the run's prediction"):
        Opener(registry, workspace).open(record.cell_id, Given())
    stored.unlink()
    with pytest.raises(MissingDataError, match="has no prediction"):
        Opener(registry, workspace).open(record.cell_id, Given())


# ---------------------------------------------------------------- command line
def call(*arguments: object) -> str:
    done = CliRunner().invoke(APP, [str(a) for a in arguments])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def test_the_command_writes_a_page_and_says_how_large_it_is(files, tmp_path):
    out = tmp_path / "look.html"
    beside = ("--images", files["images"], "--labels", files["truth"], "--label-values", "0:0,1:1,255:255")
    cut = ("--slices", "1:4", "--max", 2, "--window", "0,0,20,32", "--side", 16)
    said = call(files["prediction"], *beside, *cut, "--voxel", "30,8,8", "--output", out, "--no-open")
    assert said == f"written: {out} ({out.stat().st_size / 1e6:.1f} MB, 2 of 3 slices, shown at 1/2)\n"
    page = out.read_text()
    assert block(page, "data")["voxel"] == [30, 8, 8]
    assert (plane(block(page, "slice-0")["prediction"], 16) == (arrays()["prediction"][1, :20:2, ::2] > 0)).all()


def test_a_page_never_replaces_what_it_shows(files):
    before = files["images"].read_bytes()
    for output in (files["images"], files["images"].parent):
        with pytest.raises(ConfigError, match="--output"):
            call(files["prediction"], "--images", files["images"], "--output", output)
    assert files["images"].read_bytes() == before


def test_json_says_what_was_written_and_opens_nothing(files, tmp_path, monkeypatch):
    monkeypatch.setattr("webbrowser.open", lambda _: pytest.fail("opened"))
    told = json.loads(call(files["images"], "--output", tmp_path / "a.html", "--json"))
    assert (told["slices"], told["of"], told["factor"], told["layers"]) == (DEPTH, DEPTH, 1, [])
    assert told["bytes"] == (tmp_path / "a.html").stat().st_size


def test_the_page_is_opened_where_there_is_a_display(files, tmp_path, monkeypatch):
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr("dabench.cli.view._has_display", lambda: True)
    call(files["images"], "--output", tmp_path / "a.html")
    assert opened == [(tmp_path / "a.html").as_uri()]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("--napari", "--slices", "0:2"), "--napari shows all slices"),
        (("--slices", "9"), "write A:B"),
        (("--slices", "0:5"), "the volume has 4"),
        (("--window", "1,2,3"), "--window 0,0,512,512"),
        (("--voxel", "30,0,8"), "three positive numbers"),
        (("--label-values", "a"), "VALUE:LABEL"),
    ],
)
def test_wrong_options_are_refused_with_an_example(files, tmp_path, wrong, said):
    with pytest.raises(DabenchError, match=said):
        call(files["images"], *wrong, "--output", tmp_path / "a.html", "--no-open")
    assert not (tmp_path / "a.html").exists()
