"""``dabench measure`` on files: tables, summaries, what is read from metadata, and clear errors."""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import dabench_readers
import h5py
import numpy as np
import pytest
import tifffile
import typer
from typer.testing import CliRunner

from dabench.cli import measure as command
from dabench.errors import ConfigError, DataError

app = typer.Typer()
app.command()(command.measure)
app.callback()(lambda: None)


@pytest.fixture(autouse=True)
def _registry(installed):
    installed(readers=dabench_readers)


@pytest.fixture
def ids():
    """A box of 2 x 10 x 20 voxels, another that touches it, and a speck."""
    ids = np.zeros((4, 40, 50), np.uint16)
    ids[1:3, 5:15, 5:25], ids[1:4, 5:15, 25:40], ids[0, 30, 30] = 7, 9, 300
    return ids


@pytest.fixture
def stack(tmp_path, ids):
    tifffile.imwrite(tmp_path / "ids.tif", ids, photometric="minisblack")
    return tmp_path / "ids.tif"


def call(path, *options):
    return CliRunner().invoke(app, ["measure", str(path), *map(str, options)])


def answer(path, *options):
    result = call(path, "--json", *options)
    assert result.exit_code == 0, result.output or result.exception
    return json.loads(result.output)


def test_ids_to_csv_parquet_and_slices(stack, tmp_path):
    import pyarrow.parquet as pq

    result = call(
        stack, "--voxel", "30,8,8", "--csv", tmp_path / "o.csv", "--parquet", tmp_path / "o.parquet",
        "--per-slice", tmp_path / "s.csv",
    )  # fmt: skip
    assert result.exit_code == 0, result.output or result.exception
    assert "uint16 ids" in result.output
    assert "3 (2 touch the border)" in result.output
    rows = list(csv.DictReader((tmp_path / "o.csv").open()))
    assert [row["id"] for row in rows] == ["7", "9", "300"]
    assert float(rows[0]["volume_nm3"]) == 400 * 1920
    assert [row["touches_border"] for row in rows] == ["0", "1", "1"]
    table = pq.read_table(tmp_path / "o.parquet")
    assert table.column_names == list(rows[0])
    assert table["voxels"].to_pylist() == [400, 450, 1]
    assert table.schema.metadata[b"dabench.voxel_nm"] == b"[30.0, 8.0, 8.0]"
    slices = list(csv.DictReader((tmp_path / "s.csv").open()))
    assert [row["objects"] for row in slices] == ["1", "2", "2", "1"]
    assert not list(tmp_path.glob(".*part"))


def test_a_mask_is_labelled_first(ids, tmp_path):
    tifffile.imwrite(tmp_path / "mask.tif", (ids > 0).astype(np.uint8) * 255, photometric="minisblack")
    found = answer(tmp_path / "mask.tif", "--voxel", "30,8,8")
    assert (found["objects"], found["content"]) == (2, "uint8 mask, labelled in 3-D"), "boxes that touch are one"
    profiles = answer(tmp_path / "mask.tif", "--voxel", "30,8,8", "--dims", "2")
    assert (profiles["objects"], profiles["area_nm2"]["median"]) == (4, 250 * 64)
    assert answer(tmp_path / "mask.tif", "--voxel", "30,8,8", "--content", "ids")["objects"] == 1


@pytest.mark.parametrize(("size", "kept"), [("1px", 3), ("2px", 2), ("401px", 1), ("1921nm3", 2), ("1e9nm3", 0)])
def test_small_ones_are_dropped_from_objects_and_slices(stack, tmp_path, size, kept):
    found = answer(stack, "--voxel", "30,8,8", "--min-size", size, "--per-slice", tmp_path / "s.csv")
    assert found["objects"] == kept
    first = next(csv.DictReader((tmp_path / "s.csv").open()))
    assert first["objects"] == ("1" if kept == 3 else "0")


@pytest.mark.parametrize(
    ("size", "kept"), [("1px", 1), ("399px", 1), ("400px", 2), ("768000nm3", 2), ("767999nm3", 1), ("1e9nm3", 3)]
)
def test_large_ones_are_dropped_too(stack, tmp_path, size, kept):
    """A cell body that was taken for a mitochondrion; objects of 1, 400 and 450 voxels of 1920 nm3."""
    found = answer(stack, "--voxel", "30,8,8", "--max-size", size, "--per-slice", tmp_path / "s.csv")
    assert found["objects"] == kept
    assert sum(int(row["objects"]) for row in csv.DictReader((tmp_path / "s.csv").open())) == [1, 3, 6][kept - 1]
    if size != "1px":
        only = answer(stack, "--voxel", "30,8,8", "--min-size", "2px", "--max-size", size)
        assert only["objects"] == kept - 1


def test_large_ones_of_a_mask_are_dropped_once_it_is_labelled(ids, tmp_path):
    tifffile.imwrite(tmp_path / "mask.tif", (ids > 0).astype(np.uint8), photometric="minisblack")
    kept = [answer(tmp_path / "mask.tif", "--voxel", "30,8,8", "--max-size", f"{n}px")["objects"] for n in (849, 850)]
    assert kept == [1, 2]


def test_tables_never_replace_what_is_measured(stack, tmp_path):
    before = stack.read_bytes()
    for option in ("--csv", "--parquet", "--per-slice"):
        error = call(stack, "--voxel", "30,8,8", option, stack.parent / "ids.tif").exception
        assert isinstance(error, ConfigError)
        assert option in error.message
        assert isinstance(call(stack, "--voxel", "30,8,8", option, tmp_path).exception, ConfigError)
    assert stack.read_bytes() == before


def test_a_table_never_replaces_the_file_that_holds_the_volume(ids, tmp_path):
    with h5py.File(tmp_path / "all.h5", "w") as file:
        file["raw/ids"] = ids
    before = (tmp_path / "all.h5").read_bytes()
    error = call(tmp_path / "all.h5" / "raw" / "ids", "--voxel", "30,8,8", "--csv", tmp_path / "all.h5").exception
    assert isinstance(error, ConfigError)
    assert (tmp_path / "all.h5").read_bytes() == before


def test_small_profiles_are_dropped(stack):
    assert answer(stack, "--voxel", "30,8,8", "--min-size", "160px", "--dims", "2")["objects"] == 2
    assert answer(stack, "--voxel", "30,8,8", "--min-size", "9600nm2", "--dims", "2")["objects"] == 5


def test_summaries(stack, tmp_path):
    for name, files in (("a.png", ["a.png"]), ("b.html", ["b.html"]), ("folder", ["summary.html", "summary.png"])):
        result = call(stack, "--voxel", "30,8,8", "--summary", tmp_path / "out" / name)
        assert result.exit_code == 0, result.output or result.exception
        folder = tmp_path / "out" / ("" if "." in name else name)
        assert set(files) <= {p.name for p in folder.iterdir()}
    page = (tmp_path / "out" / "b.html").read_text()
    assert '<meta http-equiv="Content-Security-Policy" content="default-src &#x27;none&#x27;;' in page
    assert "data:image/png;base64," in page
    assert "4 x 40 x 50 voxels of 30 x 8 x 8 nm" in page
    assert (tmp_path / "out" / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_summary_of_nothing(tmp_path):
    tifffile.imwrite(tmp_path / "empty.tif", np.zeros((3, 8, 9), np.uint8), photometric="minisblack")
    result = call(
        tmp_path / "empty.tif", "--voxel", "1,1,1", "--summary", tmp_path / "s.html", "--csv", tmp_path / "o.csv"
    )
    assert result.exit_code == 0, result.output or result.exception
    assert "0 (0 touch the border)" in result.output
    assert len((tmp_path / "o.csv").read_text().splitlines()) == 1


def zarr_file(path, parts):
    zarr = pytest.importorskip("zarr")
    root = zarr.open_group(path, mode="w")
    for name, array in parts.items():
        group = root.require_group(name) if name else root
        group.create_array("0", data=array, chunks=(2, 16, 16))
        axes = [{"name": axis, "type": "space", "unit": "nanometer"} for axis in "zyx"]
        scale = [{"type": "scale", "scale": [30.0, 8.0, 8.0]}]
        multiscales = [{"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}]
        group.attrs["ome"] = {"version": "0.5", "multiscales": multiscales}
    return path


def test_an_ome_zarr_says_its_voxel_and_gives_instances_or_the_mask(ids, tmp_path):
    probability, mask = (ids > 0).astype(np.uint8) * 200 + 3, (ids > 0).astype(np.uint8)
    both = zarr_file(tmp_path / "both.zarr", {"": probability, "labels/mask": mask, "labels/instances": ids})
    found = answer(both)
    assert (found["objects"], found["voxel_nm"], found["content"]) == (3, [30, 8, 8], "uint16 ids")
    assert found["file"].endswith("labels/instances")
    only = answer(zarr_file(tmp_path / "mask.zarr", {"": probability, "labels/mask": mask}))
    assert (only["objects"], only["content"]) == (2, "uint8 mask, labelled in 3-D")
    assert answer(zarr_file(tmp_path / "ids.zarr", {"": ids}))["objects"] == 3


def discs():
    """On each of three slices two discs that touch; the right one moves away on the last."""
    rows, columns = np.mgrid[:40, :70]
    left = (rows - 20) ** 2 + (columns - 18) ** 2 <= 100
    right = [(rows - 20) ** 2 + (columns - x) ** 2 <= 100 for x in (36, 36, 40)]
    return np.stack([left | one for one in right]).astype(np.uint8)


@pytest.mark.parametrize(("dims", "whole", "apart"), [(3, 1, 2), (2, 4, 6)])
def test_touching_objects_of_a_mask_are_measured_apart(tmp_path, dims, whole, apart):
    path = zarr_file(tmp_path / "p.zarr", {"": discs(), "labels/mask": discs(), "labels/instances": discs()})
    found = answer(path, "--split", "watershed", "--dims", dims)
    assert (found["objects"], found["file"][-4:]) == (apart, "mask")
    assert found["content"].endswith("touching objects separated")
    assert found["volume_fraction"] == pytest.approx(discs().mean())
    assert answer(zarr_file(tmp_path / "m.zarr", {"": discs()}), "--dims", dims)["objects"] == whole
    dropped = answer(path, "--split", "watershed", "--dims", dims, "--min-size", "700px", "--voxel", "30,8,8")
    assert dropped["objects"] == {3: 2, 2: 0}[dims], "some 310 pixels on each of three slices"


def test_scratch_is_used_and_removed(ids, tmp_path):
    path = zarr_file(tmp_path / "mask.zarr", {"": (ids > 0).astype(np.uint8)})
    assert answer(path, "--scratch", tmp_path / "scratch")["objects"] == 2
    assert not list((tmp_path / "scratch").glob("*")) if (tmp_path / "scratch").exists() else True


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "--voxel z,y,x"),
        (["--voxel", "30,8"], "three positive numbers"),
        (["--voxel", "30,8,-8"], "three positive numbers"),
        (["--voxel", "30,8,8", "--min-size", "5"], "its unit"),
        (["--voxel", "30,8,8", "--min-size", "5nm2"], "nm3"),
        (["--voxel", "30,8,8", "--max-size", "5"], "its unit"),
        (["--voxel", "30,8,8", "--max-size", "1e400px"], "too large"),
        (["--voxel", "30,8,8", "--min-size", "9px", "--max-size", "8px"], "no object fits"),
        (["--voxel", "0,8,8", "--min-size", "5e5nm3"], "three positive numbers"),
        (["--voxel", "30,8,8", "--dims", "4"], "--dims 4"),
        (["--voxel", "30,8,8", "--dims", "0"], "--dims 0"),
        (["--voxel", "30,8,8", "--content", "id"], "--content"),
        (["--voxel", "30,8,8", "--split", "yes"], "--split 'yes'"),
        (["--voxel", "30,8,8", "--split", "watershed"], "contains ids"),
        (["--voxel", "30,8,8", "--summary", "x.pdf"], ".png or .html"),
    ],
)
def test_wrong_options(stack, options, message):
    result = call(stack, *options)
    assert isinstance(result.exception, ConfigError), result.exception
    assert message in str(result.exception)


def test_files_that_cannot_be_measured(tmp_path):
    assert isinstance(call(tmp_path / "gone.tif", "--voxel", "1,1,1").exception, DataError)
    tifffile.imwrite(tmp_path / "p.tif", np.full((3, 8, 9), np.nan, np.float32), photometric="minisblack")
    result = call(tmp_path / "p.tif", "--voxel", "1,1,1")
    assert isinstance(result.exception, DataError)
    assert "float32 is neither a mask nor ids" in str(result.exception)


def test_the_module_stays_light():
    code = "import sys, dabench.cli.measure; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"numpy", "torch", "cc3d", "matplotlib", "pyarrow", "scipy", "skimage"}.isdisjoint(loaded)


def test_what_has_no_background_is_doubted(tmp_path, stack):
    image = np.random.default_rng(0).integers(1, 250, (3, 9, 8), np.uint8)
    tifffile.imwrite(tmp_path / "image.tif", image, photometric="minisblack")
    doubt = call(tmp_path / "image.tif", "--voxel", "30,8,8").exception
    assert "is this an image?" in str(doubt)
    said = call(tmp_path / "image.tif", "--voxel", "30,8,8", "--content", "ids")
    assert "hardly any background" in said.output
    assert "hardly any background" not in call(stack, "--voxel", "30,8,8").output
