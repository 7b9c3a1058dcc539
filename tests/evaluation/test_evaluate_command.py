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
from dabench.registry import PluginStatus, Registry

app = typer.Typer()
command.attach(app)
app.callback()(lambda: None)


@pytest.fixture(autouse=True)
def _registry(monkeypatch):
    registry = Registry()
    registry.add(dabench_protocols, PluginStatus("protocols", "dabench"))
    registry.add(dabench_readers, PluginStatus("readers", "dabench"))
    monkeypatch.setattr(Registry, "load", classmethod(lambda cls: registry))


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


def test_json_and_rows(stacks, tmp_path):
    result = call(stacks, "--json", "--per-slice", str(tmp_path / "rows.csv"))
    answer = json.loads(result.output)
    assert answer["metrics"]["dice"] == pytest.approx(0.9)
    assert (answer["n"], answer["left_out"], len(answer["slices"])) == (3, 1, 4)
    assert len((tmp_path / "rows.csv").read_text().splitlines()) == 5


@pytest.mark.parametrize("protocol", ["das-2d-pooled@1", "instances-2d@1"])
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
        (["--label-values", "255:2"], "label 2 is none of"),
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


def test_the_module_stays_light():
    code = "import sys, dabench.cli.evaluate; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"numpy", "torch", "cc3d", "matplotlib", "mlflow"}.isdisjoint(loaded)
