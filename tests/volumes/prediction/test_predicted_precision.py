"""``--precision auto``: bfloat16 only where the hardware has it and the scan's own tiles stay within a hundredth."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import torch

from dabench.errors import ConfigError
from dabench.types import Prediction
from dabench.volumes.prediction import precision as module
from dabench.volumes.prediction.chunk_log import CHUNK_LOG, ChunkLog
from dabench.volumes.prediction.plan import make_prediction_plan
from dabench.volumes.prediction.precision import LIMIT, PROBED, deviation, measured
from tests.volumes.prediction.fakes import Deterministic, fake_model, request_of, run, scan


class Rough(Deterministic):
    """Off by so much under autocast, and only on tiles with a pixel this bright; counts what it is shown."""

    def __init__(self, error: float, neighbour: float = 0.0, brighter: float = 0.0) -> None:
        super().__init__(neighbour)
        self.error, self.brighter, self.shown, self.points = error, brighter, 0, 0

    def predict(self, images, points=None, *, density=False):
        self.shown += len(images)
        self.points += sum(map(len, points or []))
        found = super().predict(images, points).probability
        if torch.is_autocast_enabled("cpu"):
            off = (images.amax(dim=(1, 2, 3)) > self.brighter)[:, None, None]
            found = torch.where(off, found + self.error, found)
        return Prediction(found)


@pytest.fixture
def hardware(monkeypatch):
    monkeypatch.setattr(module, "multiplies_bfloat16", lambda device: True)


def planned(folder, registry, predictor, **changes):
    request = request_of(folder, precision="auto", **changes)
    return make_prediction_plan(request, fake_model(predictor), registry)


@pytest.mark.parametrize(("error", "chosen"), [(0.009, "bfloat16"), (0.011, "float32"), (-0.3, "float32")])
@pytest.mark.parametrize("neighbour", [0.0, 30.0], ids=["single", "pairs"])
def test_what_the_images_allow(error, chosen, neighbour, tmp_path, registry, hardware):
    scan(tmp_path / "scan.tif")
    plan = measured(planned(tmp_path, registry, Rough(error, neighbour)), registry)
    assert plan.precision == chosen
    assert plan.configuration()["precision"] == chosen
    assert any(f"{abs(error):.4f}" in note for note in plan.notes)


def test_what_was_begun_goes_on_as_it_was_begun(tmp_path, registry, hardware, monkeypatch):
    """On a machine that would choose otherwise, without trying again."""
    scan(tmp_path / "scan.tif")
    plan = measured(planned(tmp_path, registry, Rough(0.001)), registry)
    assert plan.precision == "bfloat16"
    plan.partial.mkdir()
    ChunkLog(plan.partial / CHUNK_LOG, plan.configuration())
    monkeypatch.setattr(module, "multiplies_bfloat16", lambda device: False)
    predictor = Rough(0.5)
    again = measured(planned(tmp_path, registry, predictor), registry)
    assert (again.precision, predictor.shown) == ("bfloat16", 0)
    ChunkLog(plan.partial / CHUNK_LOG, again.configuration())


def test_numbers_that_are_none_are_no_agreement(tmp_path, registry):
    scan(tmp_path / "scan.tif")
    assert deviation(planned(tmp_path, registry, Rough(float("nan"))), registry) == 1


def test_other_machines_are_not_tried(tmp_path, registry):
    scan(tmp_path / "scan.tif")
    with pytest.raises(ConfigError, match="--gpus-per-job"):
        planned(tmp_path, registry, Rough(0.0), gpus=1.0)


def test_without_the_hardware_nothing_is_tried(tmp_path, registry, monkeypatch):
    monkeypatch.setattr(module, "multiplies_bfloat16", lambda device: False)
    scan(tmp_path / "scan.tif")
    predictor = Rough(0.0)
    plan = measured(planned(tmp_path, registry, predictor), registry)
    assert (plan.precision, predictor.shown) == ("float32", 0)


@pytest.mark.parametrize("half", [slice(20), slice(20, 40)], ids=["first", "last"])
def test_tiles_of_the_whole_scan_are_tried(half, tmp_path, registry):
    """Whichever half of the scan is the bright one."""
    scan(tmp_path / "scan.tif", (40, 64, 64))
    images = tifffile.imread(tmp_path / "scan.tif") // 2
    images[half] *= 2
    tifffile.imwrite(tmp_path / "scan.tif", images)
    predictor = Rough(0.2, brighter=0.6)
    assert deviation(planned(tmp_path, registry, predictor), registry) == pytest.approx(0.2, abs=1e-6)
    assert predictor.shown == 2 * PROBED


def test_small_scans_blank_scans_and_points(tmp_path, registry):
    scan(tmp_path / "scan.tif", (1, 9, 30))  # lower than a tile
    (tmp_path / "clicks.csv").write_text("z,y,x\n0,4,4\n")
    predictor = Rough(0.1)
    plan = planned(tmp_path, registry, predictor, points=tmp_path / "clicks.csv")
    assert deviation(plan, registry) == pytest.approx(0.1, abs=1e-6)
    assert predictor.points > 0
    tifffile.imwrite(tmp_path / "scan.tif", np.full((3, 40, 40), 9, np.uint8), photometric="minisblack")
    assert deviation(planned(tmp_path, registry, Rough(0.1), blank=1.0), registry) == 0 < LIMIT


def test_it_is_what_is_predicted_with(tmp_path, registry, hardware):
    import zarr

    scan(tmp_path / "scan.tif")
    means = {}
    for precision, error in (("float32", 0.008), ("auto", 0.008), ("auto", 0.1)):
        output = tmp_path / f"{precision}-{error}.zarr"
        run(registry, request_of(tmp_path, output=output, precision=precision), fake_model(Rough(error)))
        means[precision, error] = zarr.open_array(output / "0")[:].mean()
    assert means["auto", 0.008] > means["float32", 0.008] == means["auto", 0.1]
