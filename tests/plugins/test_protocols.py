"""The registered rules: edge cases, ignored pixels, instance ids, and the golden numbers on real labels."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import dabench_protocols
import numpy as np
import pytest
from dabench_protocols import Das2d, Das2dPooled, Instances2d, Watershed2d
from scipy.ndimage import binary_dilation, binary_erosion

from dabench.components.registry import PluginStatus, Registry
from dabench.ops.metrics import Overlap, aji, dice, panoptic
from dabench.plugin import IGNORE

#: Scores of the reference implementation of the published metrics, and the objects that each was computed from.
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "metrics.json").read_text())["cases"]
DATA = Path(os.environ.get("DABENCH_DATA") or Path(__file__).parents[3] / "shared" / "data")
LABELS = {
    "lucchi/test": "lucchi/train_labels.tif",  # named before the halves got their official names
    "vnc/stack1": "vnc/stack1_labels.tif",
    "cdeep3m/val": "cdeep3m/val_labels.tif",
}


def block(*boxes, shape=(40, 40)):
    mask = np.zeros(shape, np.uint8)
    for top, bottom, left, right in boxes:
        mask[top:bottom, left:right] = 1
    return mask


def test_all_are_registered():
    registry = Registry()
    registry.add(dabench_protocols, PluginStatus("protocols", "dabench"))
    assert not registry.failures()
    rules = ["das-2d-pooled@1", "das-2d@1", "instances-2d-watershed@1", "instances-2d@1", "instances-3d@1"]
    assert registry.names("protocol") == rules
    for item in registry.of_kind("protocol"):
        made = item.component.factory(item.component.config())
        assert {*made.metrics, "n", "left_out"} == set(made.result())


def test_empty_slices():
    protocol, mask, nothing = Das2d(), block((0, 8, 0, 8)), block()
    assert protocol.update(0, nothing, nothing).left_out
    assert protocol.update(1, block((0, 3, 0, 5)), nothing).left_out, "15 predicted pixels are nothing"
    assert protocol.update(2, nothing, mask).values["dice"] == 0
    assert protocol.update(3, mask, nothing).values["pq"] == 0
    assert protocol.update(4, mask, mask).values["dice"] == 1
    assert protocol.result() == pytest.approx(
        {"dice": 1 / 3, "aji": 1 / 3, "pq": 1 / 3, "n": 3, "left_out": 2}, abs=1e-6
    )


@pytest.mark.parametrize("rule", [Das2d, Das2dPooled, Instances2d])
def test_without_a_counted_slice_there_is_no_number(rule):
    protocol = rule()
    protocol.update(0, block(), block())
    result = protocol.result()
    assert (result["n"], result["left_out"]) == (0, 1)
    assert all(math.isnan(result[m]) for m in protocol.metrics)


@pytest.mark.parametrize("rule", [Das2d, Das2dPooled])
@pytest.mark.parametrize("predicted_there", [0, 1])
def test_ignored_pixels_count_on_neither_side(rule, predicted_there):
    label, prediction = block((4, 12, 4, 12)), block((4, 12, 6, 14))
    expected = rule().update(0, prediction, label)
    label[20:, :], prediction[20:, :] = IGNORE, predicted_there
    assert rule().update(0, prediction, label) == expected


def touching():
    """Two discs of 316 pixels each, cut where they overlap: true ids 1 and 2, one component."""
    rows, columns = np.mgrid[:40, :60]
    left = (rows - 20) ** 2 + (columns - 18) ** 2
    right = (rows - 20) ** 2 + (columns - 36) ** 2
    return np.where((left <= 100) & (left <= right), 1, np.where(right <= 100, 2, 0)).astype(np.int32)


def test_touching_objects_are_counted_apart_by_the_watershed():
    label = touching()
    before = Instances2d().update(0, label > 0, label)
    after = Watershed2d().update(0, label > 0, label)
    assert (before.values["n_true"], before.values["n_pred"], after.values["n_pred"]) == (2, 1, 2)
    # One component: both true objects take it, each is half of it: IoU 316/623 = .507 and 307/623 = .493.
    sizes = np.bincount(label.ravel())[1:]
    whole = sizes.sum()
    assert before.values["aji"] == pytest.approx(whole / (2 * whole))
    assert before.values["pq"] == pytest.approx(2 / 3 * sizes.max() / whole, abs=1e-5)
    assert [after.values[m] for m in ("dice", "aji", "pq")] == pytest.approx([1, 1, 1], abs=0.02)


def test_without_necks_and_with_ids_the_watershed_changes_nothing():
    label = block((4, 12, 4, 12), (20, 36, 5, 9), (20, 38, 20, 38)).astype(np.int32)
    shifted = np.roll(label, 1, 1)
    for prediction in (shifted > 0, shifted * 5):
        assert Watershed2d().update(0, prediction, label) == Instances2d().update(0, prediction, label)
    label[20:] = np.where(label[20:] > 0, 2, 0)
    assert Watershed2d().update(0, 7 * touching(), touching()).values["pq"] == pytest.approx(1, abs=1e-5)


def test_pooled_is_not_the_mean_and_keeps_specks():
    protocol = Das2dPooled()
    protocol.update(0, block((0, 10, 0, 10)), block((0, 10, 0, 10)))
    row = protocol.update(1, block((0, 1, 0, 2)), block((0, 1, 0, 1)))
    assert row.values == pytest.approx({"dice": 2 / 3, "iou": 1 / 2})
    assert protocol.result() == pytest.approx({"dice": 202 / 203, "iou": 101 / 102, "n": 2, "left_out": 0})


def test_touching_mitochondria_are_two_instances_but_one_component():
    ids = block((5, 15, 5, 15)).astype(np.int32)
    ids[5:15, 15:25] = 900_000_000
    prediction = ids > 0
    assert Das2d().update(0, prediction, (ids > 0).astype(np.uint8)).values["n_true"] == 1
    row = Instances2d().update(0, prediction, ids).values
    assert (row["n_true"], row["n_pred"]) == (2, 1)
    assert (row["dice"], row["aji"], row["pq"]) == (1, 0.5, 0)


def test_pieces_with_one_id_are_one_instance_and_negative_ids_are_ignored():
    ids = block((5, 15, 5, 15), (20, 30, 5, 15)).astype(np.int32) * 255
    ids[35:] = -1
    row = Instances2d().update(0, ids != 0, ids).values
    assert (row["n_true"], row["n_pred"], row["dice"]) == (1, 2, 1)


OPERATIONS = {
    "roll": lambda mask, by: np.roll(mask, by, axis=(0, 1)),
    "erode": lambda mask, n: binary_erosion(mask, np.ones((3, 3)), iterations=n),
    "dilate": lambda mask, n: binary_dilation(mask, np.ones((3, 3)), iterations=n),
    "clear_rows": lambda mask, rows: np.where(np.isin(np.arange(len(mask)), np.arange(*rows))[:, None], False, mask),
    "fill_box": lambda mask, box: mask | (block(box, shape=mask.shape) > 0),
}


def recorded(case):
    """The objects of a golden case, and which of them overlap by how many pixels."""
    pairs = np.array(case["pairs"], np.int64).reshape(-1, 3).T
    return Overlap(np.array(case["true_area"]), np.array(case["predicted_area"]), *pairs)


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: f"{case['domain']}-{case['slice']}")
def test_golden_numbers_from_their_objects(case):
    found, quality = recorded(case), panoptic(recorded(case))
    values = {"dice": dice(found), "aji": aji(found), "pq": quality.pq, "dq": quality.dq, "sq": quality.sq}
    assert values == pytest.approx({name: case[name] for name in values}, abs=1e-9)
    assert (found.true_area.size, found.predicted_area.size) == (case["n_true"], case["n_pred"])


@pytest.mark.parametrize("domain", LABELS)
def test_golden_numbers_from_labels(domain):
    path = DATA / LABELS[domain]
    if not path.is_file():
        pytest.skip(f"no labels of {domain} (set DABENCH_DATA)")
    tifffile = pytest.importorskip("tifffile")
    cases = [case for case in GOLDEN if case["domain"] == domain]
    assert len(cases) == 15
    for case in cases:
        label = tifffile.imread(path, key=case["slice"])
        prediction = label > 0
        for name, value in case["prediction"]:
            prediction = OPERATIONS[name](prediction, value)
        found = Das2d().overlap(prediction, label)
        for name in ("true_area", "predicted_area", "true", "predicted", "pixels"):
            assert np.array_equal(getattr(found, name), getattr(recorded(case), name)), (case["slice"], name)
        row = Das2d().update(case["slice"], prediction, label)
        for key, value in row.values.items():
            assert value == pytest.approx(case[key], abs=1e-5), (case["slice"], case["prediction"], key)
