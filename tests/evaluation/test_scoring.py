"""The loop over slices: one slice at a time, rows, and errors with slice and shape."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest

from dabench.data.volumes import ArrayVolume
from dabench.errors import DataError
from dabench.evaluation import Report, evaluate_slices, evaluate_stacks, foreground, truth_volume
from dabench.interfaces import EvaluationProtocol, SliceScore, Split


class Accuracy(EvaluationProtocol):
    """Share of equal pixels; leaves empty labels out."""

    metrics = ("accuracy",)

    def __init__(self):
        self.values = []

    def update(self, z, prediction, label):
        assert prediction.dtype == bool
        if not label.any():
            return SliceScore(z, {}, "empty")
        self.values.append(float((prediction == (label == 1)).mean()))
        return SliceScore(z, {"accuracy": self.values[-1]})

    def result(self):
        mean = sum(self.values) / len(self.values) if self.values else math.nan
        return {"accuracy": mean, "n": len(self.values), "left_out": 1}


LABELS = np.array([np.zeros((2, 2)), np.ones((2, 2)), [[1, 0], [0, 0]]], np.uint8)


def test_means_rows_and_csv(tmp_path):
    report = evaluate_stacks(ArrayVolume(LABELS), ArrayVolume(LABELS), Accuracy(), name="accuracy@1")
    assert (report.protocol, report.metrics, report.n, report.left_out) == ("accuracy@1", {"accuracy": 1}, 2, 1)
    assert report.rows()[0] == {"slice": 0, "left_out": "empty"}
    report.write_csv(tmp_path / "rows.csv")
    with (tmp_path / "rows.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert [row["accuracy"] for row in rows] == ["", "1.0", "1.0"]


def test_json_has_no_nan():
    report = Report("p", {"dice": math.nan}, 0, 1, (SliceScore(0, {}, "empty"),))
    assert json.loads(json.dumps(report.as_json(), allow_nan=False))["metrics"] == {"dice": None}


def test_one_slice_at_a_time():
    class Watched(ArrayVolume):
        reads = []  # noqa: RUF012

        def read(self, z):
            self.reads.append(z)
            return super().read(z)

    evaluate_stacks(Watched(LABELS), Watched(LABELS), Accuracy(), slices=range(1, 3))
    assert Watched.reads == [1, 1, 2, 2]


@pytest.mark.parametrize(
    ("values", "threshold", "expected"),
    [
        (np.array([[0.49, 0.5]], np.float32), None, [[False, True]]),
        (np.array([[0.49, 0.5]], np.float32), 0.4, [[True, True]]),
        (np.array([[0, 1]], np.uint8), None, [[False, True]]),
        (np.array([[0, 255]], np.uint8), None, [[False, True]]),
        (np.array([[127, 128]], np.uint8), 128, [[False, True]]),
        (np.array([[False, True]]), None, [[False, True]]),
    ],
)
def test_what_counts_as_foreground(values, threshold, expected):
    assert foreground(values, 0, threshold).tolist() == expected


def test_nan_names_slice_and_pixel():
    prediction = np.zeros((3, 2, 2), np.float32)
    prediction[1, 0, 1] = np.nan
    with pytest.raises(DataError, match="slice 1: the prediction is NaN at row 0, column 1"):
        evaluate_stacks(ArrayVolume(prediction), ArrayVolume(LABELS), Accuracy())


def test_shapes_must_match():
    with pytest.raises(DataError, match=r"3 x 2 x 2.*4 x 2 x 2") as caught:
        evaluate_stacks(ArrayVolume(LABELS), ArrayVolume(np.zeros((4, 2, 2))), Accuracy())
    assert caught.value.exit_code == 3
    with pytest.raises(DataError, match="slice 7: the prediction is 2 x 2 pixels, the label 2 x 3"):
        evaluate_slices([(7, np.zeros((2, 2), bool), np.zeros((2, 3)))], Accuracy())


def test_slices_past_the_stack():
    with pytest.raises(DataError, match="the stack has 3"):
        evaluate_stacks(ArrayVolume(LABELS), ArrayVolume(LABELS), Accuracy(), slices=range(2, 4))


def test_truth_is_what_the_protocol_wants():
    labels = ArrayVolume(LABELS)
    split = Split("vnc", "test", labels, labels, (50, 5, 5), "digest")
    protocol = Accuracy()
    assert truth_volume(split, protocol) is labels
    protocol.wants_instances = True
    with pytest.raises(DataError, match=r"'vnc'.*no instance ids"):
        truth_volume(split, protocol)
