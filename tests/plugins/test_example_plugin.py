"""`docs/example_plugin` as a stranger's package: installs, is listed, passes conformance and runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "docs" / "example_plugin"
TINY = (
    *(
        "--task",
        "human2stem",
        "--data",
        "phantom",
        "--preset",
        "tiny",
        "--device",
        "cpu",
        "--tracker",
        "none",
        "--json",
    ),
    *("--set", "source-only.iterations=2", "--set", "checkpoint_every=2"),
    *(
        f"--set=phantom-{name}.{key}"
        for name in ("human", "stem")
        for key in ("size=96", "train_slices=2", "test_slices=1")
    ),
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The package, installed by pip from a copy into a folder of its own (no index is asked); folder and copy."""
    sources = tmp_path_factory.mktemp("sources") / "example_plugin"
    shutil.copytree(EXAMPLE, sources, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    target = tmp_path_factory.mktemp("site")
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check")
    pip = subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "--target", str(target), str(sources)],
        capture_output=True,
        text=True,
    )
    assert pip.returncode == 0, pip.stderr
    return target, sources


@pytest.fixture
def call(installed, tmp_path):
    """Run a Python module with the package on the path; its standard output."""
    target, _ = installed
    environment = os.environ | {"PYTHONPATH": str(target), "DABENCH_WORKSPACE": str(tmp_path), "OMP_NUM_THREADS": "1"}

    def run(module, *arguments):
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments], capture_output=True, text=True, env=environment, cwd=tmp_path
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout

    return run


def test_is_listed(call):
    found = {(c["kind"], c["name"]): c for c in json.loads(call("dabench.cli.main", "ls", "--json"))}
    for pair in (("method", "adabn"), ("preference_optimizer", "ipo")):
        assert found[pair]["distribution"] == "dabench-example"
        assert found[pair]["plugin"] == "example"


def test_passes_conformance(call):
    outcomes = json.loads(call("dabench.cli.main", "plugins", "check", "example", "--json"))
    assert [o for o in outcomes if o["problem"]] == []
    assert {o["component"] for o in outcomes} == {"method:adabn", "preference_optimizer:ipo"}


@pytest.mark.slow
def test_its_own_tests_pass(call, installed):
    output = call("pytest", str(installed[1] / "tests"), "-q", "-p", "no:cacheprovider")
    assert "test_conformance" in output or "passed" in output


@pytest.mark.slow
def test_method_runs(call):
    result = json.loads(call("dabench.cli.main", "run", "--method", "adabn", "--set", "adabn.iterations=2", *TINY))
    assert result["status"] == "ok"
    assert 0 <= result["metrics"]["target_test/dice"] <= 1


@pytest.mark.slow
def test_preference_optimizer_runs(call):
    sets = ("--set", "prompt-das.iterations=1", "--set", "prompt-das.recalibrate=1", "--set", "prefer-das.iterations=2")
    result = json.loads(call("dabench.cli.main", "run", "--method", "prefer-das", "--po", "ipo", *sets, *TINY))
    assert result["status"] == "ok"
    assert result["tags"]["po"] == "ipo"
