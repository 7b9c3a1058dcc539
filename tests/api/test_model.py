"""A trained model in Python gives what `dabench predict` writes, whatever it is handed."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import tifffile
import zarr

import dabench
from dabench.cli.main import main
from dabench.errors import DataError, UnknownNameError
from dabench.models.registering import register
from dabench.tracking.sqlite_file import TrackingError
from dabench.volumes.arrays import as_volume
from dabench.volumes.prediction.worker import quantised
from tests.conftest import FEW


@pytest.fixture(scope="module")
def model(trained):
    """It takes points."""
    return dabench.load_model(trained.config.cell_id, device="cpu", workspace=trained.workspace.root)


@pytest.fixture(scope="module")
def scan():
    """Larger than a tile along one axis, smaller along the other."""
    return np.random.default_rng(3).integers(20, 230, (3, 50, 90), np.uint8)


def predicted(trained, folder, scan, monkeypatch, *flags):
    """What the command makes of the same scan: probability as stored, floor(256 p)."""
    tifffile.imwrite(folder / "scan.tif", scan, photometric="minisblack")
    monkeypatch.setenv("DABENCH_WORKSPACE", str(trained.workspace.root))
    files = ["--images", str(folder / "scan.tif"), "--output", str(folder / "found.zarr")]
    arguments = ["predict", "--run", trained.config.cell_id, *files, "--device", "cpu", "--json", *flags]
    monkeypatch.setattr(sys, "argv", ["dabench", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    return zarr.open_group(folder / "found.zarr", mode="r")["0"][:]


# ---------------------------------------------------------------- the same numbers
def test_it_is_what_the_command_writes(model, trained, scan, tmp_path, monkeypatch):
    stored = predicted(trained, tmp_path, scan, monkeypatch, "--instances", "none")
    found = model.predict(scan)
    assert (found.shape, found.dtype) == (scan.shape, np.float32)
    assert 0 <= found.min() < found.max() <= 1
    assert np.array_equal(np.stack([quantised(plane) for plane in found]), stored)


def test_points_are_those_of_the_command(model, trained, scan, tmp_path, monkeypatch):
    """Of one file, of a mapping and of an array."""
    (tmp_path / "points.csv").write_text("z,y,x\n0,10,20\n2,30,71.5\n2,8,9\n")
    points = ("--points", str(tmp_path / "points.csv"))
    stored = predicted(trained, tmp_path, scan, monkeypatch, "--instances", "none", *points)
    by_slice = {0: np.array([[20, 10]]), 2: np.array([[71.5, 30], [9, 8]])}
    table = np.array([[0, 10, 20], [2, 30, 71.5], [2, 8, 9]])
    several = [model.predict(scan, given) for given in (by_slice, table, tmp_path / "points.csv")]
    assert all(np.array_equal(one, several[0]) for one in several)
    assert np.array_equal(np.stack([quantised(plane) for plane in several[0]]), stored)
    assert model.takes_points
    assert not np.array_equal(several[0], model.predict(scan))


@pytest.mark.parametrize("no_points", [{}, np.zeros((0, 3)), {1: []}])
def test_no_point_is_a_prompt_without_points(model, scan, no_points):
    assert np.array_equal(model.predict(scan, no_points), model.predict(scan, {0: np.zeros((0, 2))}))


# ---------------------------------------------------------------- whatever is cut like an array
def test_every_way_to_hand_a_volume_over(model, scan, tmp_path):
    tifffile.imwrite(tmp_path / "scan.tif", scan, photometric="minisblack")
    stored = zarr.create_array(tmp_path / "scan.zarr", shape=scan.shape, chunks=(2, 32, 32), dtype=scan.dtype)
    stored[:] = scan
    expected = model.predict(scan)
    for volume in (stored, tmp_path / "scan.tif", str(tmp_path / "scan.zarr"), scan.astype(np.int64)):
        assert np.array_equal(model.predict(volume), expected)


def test_a_slice_is_a_volume_of_one(model, scan):
    assert np.array_equal(model.predict(scan[1]), model.predict(scan[1:2])[0])


def test_a_zarr_is_read_by_its_chunks(scan):
    class Counted:
        shape, dtype, chunks = scan.shape, scan.dtype, (3, 50, 90)
        reads = 0

        def __getitem__(self, key):
            self.reads += 1
            return scan[key]

    stack = Counted()
    volume = as_volume(stack)
    assert stack.reads == 0, "opening reads nothing"
    assert np.array_equal(np.stack([volume.read(z) for z in range(3)]), scan)
    assert stack.reads == 1


# ---------------------------------------------------------------- where it comes from
def test_a_file_is_the_run(model, scan, tmp_path):
    file = model.save(tmp_path / "stem.safetensors")
    loaded = dabench.load_model(file, device="cpu", workspace=tmp_path)
    assert np.array_equal(loaded.predict(scan), model.predict(scan))
    assert repr(loaded) == f"Model({model.card.name!r}, device='cpu')"


def test_a_registry_has_it(model, scan, tmp_path):
    from dabench.files.workspace import Workspace

    place = Workspace(tmp_path)
    uri = register(model.loaded, place, "stem").uri
    loaded = dabench.load_model(uri, device="cpu", workspace=tmp_path)
    assert np.array_equal(loaded.predict(scan), model.predict(scan))
    with pytest.raises(TrackingError, match="stem"):
        dabench.load_model("models:/stem/99", workspace=tmp_path)


# ---------------------------------------------------------------- errors
@pytest.mark.parametrize(
    ("points", "message"),
    [
        ({5: [[1, 1]]}, "z=5, y=1, x=1 .* outside the scan of 3 slices of 50 x 90"),
        ({0: [[90, 10]]}, "outside the scan"),
        ({1: [[5, 5], [float("nan"), 10]]}, "y=10, x=nan on slice 1 is not a position"),
        ([[0, 60, 10]], "y=60"),
        ([[1, 2]], r"points of shape \(1, 2\)"),
        ({0: [[1, 2, 3]]}, r"points of shape \(1, 3\)"),
    ],
)
def test_points_that_mean_nothing(model, scan, points, message):
    with pytest.raises(DataError, match=message):
        model.predict(scan, points)


def test_what_is_no_stack(model):
    for stack in (np.zeros(4), np.zeros((0, 5, 5)), np.zeros((1, 1, 5, 5)), [[1]]):
        with pytest.raises(DataError, match="slices, rows, columns"):
            model.predict(stack)
    with pytest.raises(DataError, match="NaN"):
        model.predict(np.full((1, 70, 70), np.nan, np.float32), intensity="range")


def test_settings_of_a_prediction(model, scan):
    with pytest.raises(UnknownNameError, match="paper"):
        model.predict(scan, profile="papr")
    assert not np.array_equal(model.predict(scan, profile="paper"), model.predict(scan))
    assert not np.array_equal(model.predict(scan, intensity="0,4095"), model.predict(scan))


def test_an_unknown_run_names_the_nearest(trained):
    name = trained.config.cell_id
    with pytest.raises(UnknownNameError, match=name):
        dabench.load_model(name.replace("2stem", "2stm"), workspace=trained.workspace.root)
    assert FEW["source-only"]["crop"] == dabench.load_model(trained.record.path, device="cpu").card.tile
