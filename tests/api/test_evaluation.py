"""Scores of arrays: those of the same stacks in files, and the same refusals."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
import typer
from typer.testing import CliRunner

import dabench
from dabench.cli import evaluate as command
from dabench.errors import ConfigError, DataError, UnknownNameError


@pytest.fixture(scope="module")
def stacks():
    """Probabilities and labels 0/1 of four slices; the last one is empty on both sides."""
    rng = np.random.default_rng(5)
    labels = np.zeros((4, 40, 48), np.uint8)
    labels[:3, 5:20, 5:20], labels[:3, 25:38, 30:44] = 1, 1
    probability = np.clip(labels * 0.6 + rng.random(labels.shape) * 0.3, 0, 1).astype(np.float32)
    probability[1, 5:12], probability[3] = 0, 0
    return probability, labels


def of_files(folder, prediction, labels, *flags):
    tifffile.imwrite(folder / "p.tif", prediction, photometric="minisblack")
    tifffile.imwrite(folder / "l.tif", labels, photometric="minisblack")
    app = typer.Typer()
    app.command()(command.evaluate)
    files = ["--prediction", str(folder / "p.tif"), "--labels", str(folder / "l.tif")]
    return json.loads(CliRunner().invoke(app, [*files, "--json", *flags], catch_exceptions=False).output)


@pytest.mark.parametrize("protocol", ["das-2d@1", "das-2d-pooled@1", "instances-2d@1"])
def test_arrays_score_as_files_do(stacks, protocol, tmp_path):
    found = dabench.evaluate(*stacks, protocol=protocol)
    told = of_files(tmp_path, *stacks, "--protocol", protocol)
    assert found.metrics == told["metrics"]
    assert (found.n, found.left_out, found.foreground) == (told["n"], told["left_out"], told["foreground"])
    assert found.to_frame()["slice"].tolist() == [0, 1, 2, 3]


def test_paths_and_arrays_mix(stacks, tmp_path):
    tifffile.imwrite(tmp_path / "p.tif", stacks[0], photometric="minisblack")
    assert dabench.evaluate(tmp_path / "p.tif", stacks[1]).metrics == dabench.evaluate(*stacks).metrics


@pytest.mark.parametrize("kind", [bool, np.uint8, np.int64, np.float32])
def test_types_of_masks(stacks, kind):
    mask, labels = (stacks[0] >= 0.5), stacks[1]
    assert dabench.evaluate(mask.astype(kind), labels.astype(bool)).metrics == dabench.evaluate(*stacks).metrics


def test_a_slice_is_a_stack_of_one(stacks):
    whole = dabench.evaluate(*stacks, slices=slice(1, 2))
    assert dabench.evaluate(stacks[0][1], stacks[1][1]).metrics == whole.metrics
    assert whole.metrics["dice"] < 1


def test_parts_thresholds_and_values(stacks):
    probability, labels = stacks
    assert dabench.evaluate(probability, labels[1:3], labelled=slice(1, 3)).n == 2
    assert dabench.evaluate(probability[2:], labels, label_slices=slice(2, None)).n == 1
    assert dabench.evaluate(probability, labels, threshold=0.95).metrics["dice"] == 0
    ignored = dabench.evaluate(probability, labels, label_values={0: 0, 1: 255})
    assert {s.values.get("dice", 0.0) for s in ignored.slices} == {0.0}


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"protocol": "das-2d"}, UnknownNameError, "das-2d@1"),
        ({"slices": slice(3, 9)}, ConfigError, "--slices '3:9'.* B <= 4, the slices of labels"),
        ({"slices": slice(0, 4, 2)}, ConfigError, "--slices"),
        ({"label_slices": slice(2)}, DataError, "same shape"),
        ({"label_values": {0: 0, 1: 7}}, ConfigError, "label 7 must be 0, 1 or 255"),
        ({"predicted": "idz"}, ConfigError, "idz"),
        ({"predicted": "ids"}, ConfigError, "instances-3d@1"),
    ],
)
def test_what_is_refused(stacks, settings, error, message):
    with pytest.raises(error, match=message):
        dabench.evaluate(*stacks, **settings)


def test_doubtful_labels_are_refused(stacks):
    labels = stacks[1].copy()
    labels[0, 0, 0] = 255
    with pytest.raises(ConfigError, match="--label-values"):
        dabench.evaluate(stacks[0], labels)
    with pytest.raises(DataError, match="same shape"):
        dabench.evaluate(stacks[0][:2], stacks[1])
