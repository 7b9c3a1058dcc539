"""`dabench predict`, points in files, plans, and what is refused before anything is read."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import tifffile
import typer
import zarr
from typer.testing import CliRunner

import dabench
from dabench.api.progress import PlainDisplay, clock, make_display
from dabench.cli import predict as command
from dabench.cli.options import one_of
from dabench.data.volumes import open_volume
from dabench.errors import ConfigError, DabenchError, DataError, MissingDataError, UnknownNameError
from dabench.inference import Tiling, profile_named
from dabench.ops.splitting import split_touching
from dabench.volumes.prediction.chunking import SIDE, WORKING_SET, Chunking, choose_chunk
from dabench.volumes.prediction.plan import make_prediction_plan
from dabench.volumes.prediction.points import read_prompts
from dabench.volumes.prediction.worker import quantised
from tests.volumes.prediction.fakes import Deterministic, FakeSource, arrays, fake_model, request_of, scan


@pytest.fixture
def invoke(tmp_path, monkeypatch):
    """Run the command on a small scan with a fake model."""
    scan(tmp_path / "scan.tif")
    monkeypatch.setattr("dabench.api.prediction.load_model", lambda *_, **__: fake_model())
    monkeypatch.setattr("dabench.api.prediction.find", lambda run, place: tmp_path / run)
    app = typer.Typer()
    app.command()(command.predict)

    def call(*options, output="o.zarr"):
        files = ["--images", str(tmp_path / "scan.tif"), "--output", str(tmp_path / output)]
        return CliRunner().invoke(app, ["--run", "fake", *files, *options])

    return call


def test_it_says_what_it_will_do_and_what_came_of_it(invoke, tmp_path):
    found = invoke("--chunk", "1,40,56", "--min-size", "1px")
    assert found.exit_code == 0, found.output
    for text in ("chunks    5 of 1 x 40 x 56", "0.0% of the tiles", "predict: 5/5", "foreground", "dabench measure"):
        assert text in found.output
    assert arrays(tmp_path / "o.zarr")["0"].shape == (5, 40, 56)


def test_memory_is_that_of_each_process(invoke):
    assert re.search("memory .* plus the network\n", invoke("--dry-run").output)
    assert "plus the network in each of 3 processes" in invoke("--dry-run", "--jobs", "3").output
    assert "in each of the processes" in invoke("--dry-run", "--executor", "ray").output


def test_a_cluster_predicts_on_its_own_gpus(tmp_path, registry):
    """Though this machine, which only writes, has none."""
    scan(tmp_path / "scan.tif")
    plan = make_prediction_plan(request_of(tmp_path, gpus=0.5), fake_model(), registry)
    assert plan.assignment(FakeSource()).device == plan.configuration()["device"] == plan.describe()["device"] == "cuda"
    assert make_prediction_plan(request_of(tmp_path), fake_model(), registry).device == "cpu"


def test_the_next_commands_can_be_pasted(invoke, tmp_path):
    found = invoke("--min-size", "1px", output="Gewebe übung.zarr")
    assert f"next: dabench view '{tmp_path / 'Gewebe übung.zarr'}'" in found.output
    assert "--csv 'Gewebe übung.csv'" in found.output


def test_a_dry_run_writes_nothing(invoke, tmp_path):
    found = invoke("--dry-run", "--json", "--chunk", "5,20,56", "--voxel", "40,5,5", "--pixel-size", "native")
    plan = json.loads(found.output)
    assert (plan["chunks"], plan["tiles"], plan["voxel_nm"]) == (2, 5 * 2 * 3 * 6, [40, 5, 5])
    # Rows of tiles begin at 0, 8, 16 and 24: two chunks of 20 rows see three and three of the four.
    assert plan["recomputed"] == pytest.approx(6 / 4 - 1)
    assert [p.name for p in tmp_path.iterdir()] == ["scan.tif"]


def test_blank_and_absent_parts_are_said_and_refused_past_a_share(invoke, tmp_path, registry):
    stack = tifffile.imread(tmp_path / "scan.tif")
    stack[3:] = 0
    tifffile.imwrite(tmp_path / "scan.tif", stack)
    assert "note      images: 2 of 5 slices that were looked at hold one value only." in invoke("--dry-run").output
    refused = invoke("--dry-run", "--blank", "0.3").exception
    assert isinstance(refused, DataError)
    assert refused.mend.endswith("--blank 0.4")
    assert invoke("--dry-run", "--slices", "0:3", "--blank", "0").exit_code == 0
    array = zarr.create_array(str(tmp_path / "scan.zarr"), shape=stack.shape, dtype="u1", chunks=(1, 40, 56))
    array[:3] = stack[:3]
    plan = make_prediction_plan(request_of(tmp_path, images=tmp_path / "scan.zarr"), fake_model(), registry)
    assert "images: 2 of 5 chunks (40%) are not stored and read as blank." in plan.notes
    request = request_of(tmp_path, images=tmp_path / "scan.zarr", slices=(3, 5))
    with pytest.raises(DataError, match=r"2 of 2 chunks \(100%\)"):
        make_prediction_plan(request, fake_model(), registry)


def test_touching_objects_are_cut_apart_where_asked(invoke, tmp_path):
    """The fake model's mask has necks: more objects, on the same voxels, and the plan says so."""
    plain = json.loads(invoke("--json", "--instances", "2d", "--min-size", "1px").output)
    found = json.loads(
        invoke("--json", "--instances", "2d", "--min-size", "1px", "--split", "watershed", output="s.zarr").output
    )
    assert (plain["split"], found["split"]) == ("none", "watershed")
    parts = arrays(tmp_path / "s.zarr")
    mask, ids = parts["labels/mask/0"], parts["labels/instances/0"]
    assert np.array_equal(ids > 0, mask > 0)
    expected = [split_touching(one > 0).max() for one in mask]
    assert found["objects"] == ids.max() == sum(expected) >= plain["objects"]
    assert "touching ones separated" in invoke("--dry-run", "--split", "watershed", output="t.zarr").output


def test_json_is_plan_and_summary(invoke):
    found = json.loads(invoke("--json", "--instances", "none", "--what", "probability", output="o.h5").output)
    assert (found["objects"], found["chunks"], found["path"][-4:]) == (None, 1, "o.h5")


@pytest.mark.parametrize("end", ["zarr", "tif", "h5", "nii", "nii.gz"])
def test_an_output_says_how_it_was_made(end, invoke, tmp_path, registry):
    done = invoke("--instances", "none", "--what", "mask", "--slices", "1:4", "--voxel", "30,8,4", output=f"o.{end}")
    assert done.exit_code == 0, done.output
    readers = [item.component.factory(item.component.config()) for item in registry.of_kind("reader")]
    for path in [tmp_path / f"o.{end}", *([tmp_path / "o.zarr/labels/mask"] if end == "zarr" else [])]:
        said = open_volume(path, readers).provenance
        assert said["dabench_version"] == dabench.__version__
        assert (said["model"], said["run"], said["model_digest"]) == ("fake", "fake-human2stem-s0", "0" * 64)
        assert (said["config_digest"], len(said["images_fingerprint"])) == ("1" * 64, 64)
        assert (said["threshold"], said["slices"], said["voxel_nm"]) == (0.5, [1, 4], [30, 8, 4])
        # A file that is handed on does not say where the images lie here.
        assert said["images"] == (str(tmp_path / "scan.tif") if end == "zarr" else "scan.tif")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--voxel", "30,8"], "--voxel '30,8': write three positive numbers"),
        (["--voxel", "30,8,0"], "three positive"),
        (["--voxel", "30,8,nan"], "three positive"),
        (["--chunk", "1,2,x"], "--chunk '1,2,x'"),
        (["--slices", "3"], "--slices '3': write A:B"),
        (["--slices", "3:9"], r"--slices 3:9: .* B <= 5"),
        (["--slices", "2:2"], r"--slices 2:2"),
        (["--threshold", "1.5"], "--threshold 1.5"),
        (["--profile", "papr"], "'papr'(.|\n)*paper"),
        (["--instances", "4d"], "'4d'(.|\n)*3d"),
        (["--split", "water"], "'water'(.|\n)*watershed"),
        (["--split", "watershed", "--instances", "none"], "no objects are requested"),
        (["--what", "masks"], "'masks'(.|\n)*mask"),
        (["--precision", "float16"], "'float16'"),
        (["--executor", "dask"], "'dask'"),
        (["--address", "auto"], "need --executor ray"),
        (["--gpus-per-job", "0.5"], "need --executor ray"),
        (["--intensity", "5,1"], "--intensity '5,1'"),
        (["--intensity", "0,inf"], "--intensity '0,inf'"),
        (["--intensity", "bright"], "--intensity 'bright'"),
        (["--min-size", "15"], "size '15'"),
        (["--points", "none.csv"], "none.csv"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(options, message, invoke, tmp_path):
    found = invoke(*options)
    assert isinstance(found.exception, DabenchError)
    assert re.search(message, str(found.exception)), str(found.exception)
    assert [p.name for p in tmp_path.iterdir()] == ["scan.tif"]


def test_outputs_and_images_that_are_none(invoke, tmp_path, registry):
    assert "'.png'" in str(invoke(output="o.png").exception)
    assert isinstance(invoke("--what", "instances", "--instances", "none", output="o.tif").exception, ConfigError)
    with pytest.raises(MissingDataError):
        make_prediction_plan(request_of(tmp_path, images=tmp_path / "none.tif"), fake_model(), registry)
    with pytest.raises(UnknownNameError):
        one_of("--what", "x", ("a",))


# ---------------------------------------------------------------- plans
def test_the_voxel_size_is_asked_of_the_user_then_the_file_then_the_model(tmp_path, registry):
    scan(tmp_path / "scan.tif")
    plan = make_prediction_plan(request_of(tmp_path), fake_model(), registry)
    assert plan.voxel == (30.0, 8.0, 8.0)
    assert "do not state" in plan.notes[0]
    assert make_prediction_plan(request_of(tmp_path, voxel=(1.0, 2.0, 3.0)), fake_model(), registry).voxel == (1, 2, 3)
    unknown = make_prediction_plan(request_of(tmp_path), fake_model(voxel=None), registry)
    assert unknown.voxel is None
    with pytest.raises(ConfigError, match=r"60 nm away(.|\n)*--voxel"):
        make_prediction_plan(request_of(tmp_path), fake_model(Deterministic(60.0), voxel=None), registry)


def test_large_slices_are_cut_and_the_working_set_is_bounded():
    tiling = Tiling(256, profile_named("fast"))
    assert choose_chunk((100, 1024, 1024), tiling) == (16, 1024, 1024)
    assert choose_chunk((3, 500, 500), tiling) == (3, 500, 500)
    large = Chunking((100, 30000, 20000), choose_chunk((100, 30000, 20000), tiling), tiling)
    assert large.chunk == (1, SIDE, SIDE)
    assert large.memory < WORKING_SET * 1.1
    assert 0.03 < large.recomputed < 0.1
    assert choose_chunk((100, 30000, 20000), tiling, whole_slices=True) == (1, 30000, 20000)
    assert large.count == len(list(large.blocks())) == 100 * 8 * 5
    assert large.all_tiles == sum(map(large.tiles, large.blocks()))


def test_probabilities_are_cut_into_256_steps_and_a_half_is_128():
    values = np.array([0, 0.4999999, 0.5, 0.50000006, 0.996, 1], np.float32)
    assert quantised(values).tolist() == [0, 127, 128, 128, 254, 255]


# ---------------------------------------------------------------- points
SHAPE, VOXEL = (5, 40, 56), (30.0, 8.0, 4.0)


def prompts(tmp_path, registry, text, name="p.csv", unit="voxel", voxel=VOXEL):
    (tmp_path / name).write_text(text)
    found = read_prompts(request_of(tmp_path, points=tmp_path / name, points_unit=unit), registry, SHAPE, voxel)
    return {z: xy.tolist() for z, xy in found.items()}


def test_voxels_and_nanometres_are_the_same_points(tmp_path, registry):
    expected = {0: [[0, 0]], 3: [[10.5, 20], [1, 2]]}
    assert prompts(tmp_path, registry, "z,y,x\n0,0,0\n3,20,10.5\n3,2,1\n") == expected
    nm = "# clicks\nx_nm, y_nm, z_nm\n0,0,0\n42,160,90\n4,16,85\n"
    assert prompts(tmp_path, registry, nm) == expected
    assert prompts(tmp_path, registry, nm.replace(",", ";").replace("90", "90,0")) == expected
    assert prompts(tmp_path, registry, "z,y,x\n0,0,0\n90,160,42\n90,16,4\n", unit="nm") == expected


@pytest.mark.parametrize(
    ("text", "unit", "message"),
    [
        ("z,y,x\n5,0,0\n", "voxel", r"z=5, y=0, x=0 .*outside the scan of 5 slices of 40 x 56"),
        ("z,y,x\n1,nan,0\n", "voxel", "line 2: y = 'nan' is not a position"),
        ("z,y,x\n1,3,3\n1,40,0\n", "voxel", "y=40"),
        ("z,y,x\n1,3,55.5\n", "voxel", "x=55.5"),
        ("z_nm,y_nm,x_nm\n150,0,0\n", "voxel", "z=5"),
        ("z_nm,y_nm,x_nm\n-20,0,0\n", "voxel", "z=-1"),
        ("z_nm,y_nm,x_nm\n1,two,3\n", "voxel", r"point 1: '1,two,3' is not a position in nm"),
        ("z_nm,y_nm,x_nm\nnan,2,3\n", "voxel", r"point 1: 'nan,2,3' is not a position in nm"),
        ("z_nm,y_nm,x_nm\ninf,2,3\n", "voxel", "point 1"),
        ("z,y\n1,2\n", "nm", "point 1"),
        ("z,y,x\n1,b,3\n", "voxel", "line 2: y = 'b'"),
    ],
)
def test_points_that_are_none(text, unit, message, tmp_path, registry):
    with pytest.raises(DataError, match=message):
        prompts(tmp_path, registry, text, unit=unit)


def test_negative_clicks_are_no_prompts(tmp_path, registry):
    assert prompts(tmp_path, registry, "z,y,x,kind\n1,2,3,\n1,9,9,negative\n")[1] == [[3, 2]]
    nm = "z_nm,y_nm,x_nm,kind\n30,16,12,object\n30,72,36,negative\n"
    assert prompts(tmp_path, registry, nm)[1] == [[3, 2]]


def test_nanometres_need_a_voxel_size(tmp_path, registry):
    with pytest.raises(ConfigError, match="--voxel"):
        prompts(tmp_path, registry, "z_nm,y_nm,x_nm\n1,2,3\n", voxel=None)


# ---------------------------------------------------------------- progress
def test_progress_has_an_eta_that_does_not_count_what_was_there(monkeypatch):
    from rich.console import Console

    now = [100.0]
    monkeypatch.setattr("dabench.api.progress.time.monotonic", lambda: now[0])
    console = Console(record=True, width=100)
    with PlainDisplay(console) as display:
        for done, at in ((11, 100), (12, 105), (13, 120), (20, 190)):
            now[0] = at
            display.advanced("predict", done, 20)
    assert console.export_text().splitlines() == ["predict: 13/20  70 s left", "predict: 20/20"]
    assert [clock(s) for s in (47.2, 185, 7800)] == ["47 s", "3:05 min", "2:10 h"]
    make_display(quiet=True).advanced("predict", 1, 2)
