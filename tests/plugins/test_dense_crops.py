"""Densely labelled crops: the draw, its price, errors, files, and a stage that learns from these crops alone."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
import tifffile
from dabench_dense_crops import window_in
from dabench_dense_crops.crops import CropAnswer, CropRequest, Crops, CropSettings
from PIL import Image

from dabench.ops.resampling import Resampling
from dabench.plugin import IGNORE, DataError, Window
from dabench.runs.runner import run_cell
from tests.conftest import FEW, validate_config


class Truth:
    """Two slices of 8 x 12 pixels: three objects in the first, one of them across two crops."""

    def __init__(self):
        self.planes = np.zeros((2, 8, 12), np.uint8)
        self.planes[0, 1:3, 1:3] = self.planes[0, 5:7, 5:9] = self.planes[0, 1:3, 9:11] = 1
        self.planes[1, 7, :] = IGNORE

    def labels(self, z):
        return self.planes[z]

    def __len__(self):
        return 2


def crops(side=8):
    return Crops(CropSettings.model_construct(side=side, seconds_per_object=79.0, seconds_per_crop=5.0, slip=1))


def simulate(fraction, error=0.0, seed=0, side=8):
    return crops(side).simulate(CropRequest(fraction, (0, 1)), Truth(), np.random.default_rng(seed), error)


def test_all_crops_are_the_labels():
    answers = simulate(1.0)
    assert sorted((a.z, a.window.x) for a in answers) == [(0, 0), (0, 4), (1, 0), (1, 4)], "the last is moved inside"
    for a in answers:
        assert a.labels.tolist() == Truth().planes[a.z][a.window.slices].tolist()
    assert sum(a.objects for a in answers) == 2 + 2
    assert crops().price(answers) == 4 * 79 + 4 * 5, (
        "an object in two crops is outlined twice, empty crops are looked at"
    )


def test_draws_are_nested_and_at_least_one():
    few, more = simulate(0.01), simulate(0.5)
    assert len(few) == 1
    assert [(a.z, a.window) for a in more][:1] == [(few[0].z, few[0].window)]
    assert len(more) == 2
    starts = {(a.z, a.window) for seed in range(40) for a in simulate(0.01, seed=seed)}
    assert len(starts) == 4, "every crop is drawn, empty ones too"


def test_errors_leave_out_or_shift_outlines():
    seen = {
        int((a.labels == 1).sum())
        for seed in range(20)
        for a in simulate(1.0, 1.0, seed)
        if (a.z, a.window.x) == (0, 0)
    }
    right = int((Truth().planes[0, :, :8] == 1).sum())
    assert min(seen) < right < max(seen)
    missed = simulate(1.0, 1.0, 3)
    assert sum(a.objects for a in missed) <= 4
    assert all((a.labels == IGNORE).sum() == (Truth().planes[a.z][a.window.slices] == IGNORE).sum() for a in missed)


def test_a_share_is_charged_once():
    kind, shape = crops(), (2, 8, 12)
    keys = [kind.key(CropRequest(f, (0, 1)), shape) for f in (0.1, 0.3, 0.1)]
    assert kind.charge(keys, shape) == 0.3
    with pytest.raises(DataError, match="slice 7"):
        kind.key(CropRequest(0.1, (7,)), shape)


def test_files_come_back(tmp_path):
    path, answers = tmp_path / "crops.jsonl", simulate(1.0)
    crops().write(answers, path, {"domain": "vnc"})
    read = crops().match(CropRequest(1.0, (0, 1)), crops().read(path))
    assert [(a.z, a.window, a.labels.tolist(), a.seconds) for a in read] == [
        (a.z, a.window, a.labels.tolist(), a.seconds) for a in answers
    ]
    assert json.loads(path.read_text().splitlines()[0])["domain"] == "vnc"


def test_a_painted_stack_is_read(tmp_path):
    stack = np.full((2, 8, 12), IGNORE, np.uint8)
    stack[1, 2:6, 3:9] = 0
    stack[1, 3:5, 4:6] = 1
    stack[1, 3, 8] = IGNORE
    stack[0, 0:2, 0:2] = 1
    tifffile.imwrite(tmp_path / "painted.tif", stack)
    first, second = crops().read(tmp_path / "painted.tif")
    assert (first.z, first.window, first.objects) == (0, Window(0, 0, 2, 2), 1)
    assert (second.z, second.window) == (1, Window(2, 3, 4, 6))
    assert second.labels.tolist() == stack[1, 2:6, 3:9].tolist()


def _line(labels, window=(0, 0, 2, 2)):
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(labels, np.uint8)).save(buffer, "PNG")
    return json.dumps({"z": 0, "window": window, "labels": base64.b64encode(buffer.getvalue()).decode()})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"crops\.jsonl, line 1: no crop"),
        ('{"z": 0, "window": [0, 0, 2], "labels": ""}', "line 1: no crop"),
        (_line([[0, 7], [0, 1]]), "line 1: value 7"),
        (_line([[0, 1]]), "the window has 2 x 2"),
    ],
)
def test_bad_files_are_named(tmp_path, text, message):
    path = tmp_path / "crops.jsonl"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        crops().read(path)


def test_a_bad_stack_is_named(tmp_path):
    tifffile.imwrite(tmp_path / "ids.tif", np.arange(16, dtype=np.uint16).reshape(1, 4, 4))
    (tmp_path / "none.tif").write_bytes(b"no tiff")
    for name, message in (("ids.tif", "slice 0: value 2"), ("none.tif", "cannot read crops")):
        with pytest.raises(DataError, match=message):
            crops().read(tmp_path / name)


def test_crops_of_another_volume_are_refused():
    answer = CropAnswer(0, Window(4, 4, 8, 8), np.zeros((8, 8), np.uint8), 0, 0.0, "a")
    with pytest.raises(DataError, match="2 slices of 8 x 12"):
        crops().check([answer], (2, 8, 12))


def test_crops_follow_the_pixels():
    (answer,) = [a for a in simulate(1.0) if (a.z, a.window.x) == (0, 0)]
    (half,) = crops().resampled([answer], Resampling((8, 12), (4, 6)))
    assert half.window == Window(0, 0, 4, 4)
    assert half.labels.tolist() == Truth().planes[0][1::2, 1::2][:, :4].tolist()
    (back,) = crops().resampled([half], Resampling((4, 6), (8, 12)))
    assert back.window == answer.window


@pytest.mark.parametrize("size", [4, 8, 20])
def test_windows_lie_inside_a_crop_or_hold_it(size):
    crop, rng = Window(10, 30, 8, 8), np.random.default_rng(0)
    for _ in range(50):
        w = window_in(crop, size, (64, 48), rng)
        assert (w.height, w.width) == (size, size)
        assert min(w.y, w.x) >= 0
        assert max(w.y - 64, w.x - 48) <= -size
        assert all(
            a <= b <= b + 8 <= a + size if size >= 8 else b <= a <= a + size <= b + 8 for a, b in ((w.y, 10), (w.x, 30))
        )


def test_a_run_is_charged_for_its_crops(registry, workspace):
    options = {"source-only": FEW["source-only"], "dense-crops": {"iterations": 2, "crop": 64, "recalibrate": 0}}
    config = {"method": "dense-crops", "task": "human2stem", "data": "phantom", "preset": "tiny", "options": options}
    record = run_cell(validate_config({**config, "budget": {"shares": {"crops": 0.2}}}), registry, workspace)
    assert record.status == "ok"
    lines = (record.path / "annotation" / "crops.jsonl").read_text().splitlines()
    assert record.metrics["cost/crops"] == len(lines) == 3, "a fifth of the crops of twelve slices"
    objects = sum(json.loads(line)["objects"] for line in lines)
    assert record.metrics["cost/annotation_seconds"] == 79 * objects + 5 * 3
