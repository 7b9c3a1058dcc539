"""What is rendered, at work: the command that a new plugin of each kind shows, in a tiny run from data to score."""

from __future__ import annotations

import importlib
import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from torch import nn

from dabench.cli.main import main
from dabench.components.hookspecs import KINDS
from dabench.components.registry import PluginStatus, Registry
from dabench.data.phantom import make_phantom
from dabench.files.workspace import Workspace
from dabench.plugin import Component, CropSpec, Method, PointRequest, Prediction, Predictor, Settings, Stage, StageSpec
from dabench.plugin import hookimpl as hook
from dabench.runs.config import validate_config
from dabench.runs.runner import run_cell

#: So few updates of so small slices that a run takes seconds.
SIZES = [f"--set=phantom-{name}.{key}" for name in ("human", "lucchi") for key in
         ("size=96", "train_slices=2", "test_slices=1")]  # fmt: skip
SOURCE, PROMPTED = (
    ["--set=source-only.iterations=4"],
    ["--set=prompt-das.iterations=2", "--set=prompt-das.recalibrate=1"],
)
FEW = {
    "backbone": SOURCE,
    "network": SOURCE,
    "protocol": SOURCE,
    "selector": SOURCE,
    "method": [*SOURCE, "--set=my-method.iterations=2"],
    "self_training": [*SOURCE, *PROMPTED],
    "preference_optimizer": [*SOURCE, *PROMPTED, "--set=prefer-das.iterations=2"],
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of a user, with a workspace and a data root."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DABENCH_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.setenv("DABENCH_DATA", str(tmp_path / "data"))
    return tmp_path


@pytest.fixture
def loaded(written: Path, plugins: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], Registry]:
    """Load the rendered plugin of a kind; every command finds it, also those that read a kept listing."""

    def load(kind: str) -> Registry:
        plugin, registry = plugins[kind], Registry.load()
        monkeypatch.syspath_prepend(written / plugin.name)
        registry.add(importlib.import_module(plugin.module), PluginStatus(plugin.name, plugin.name))
        assert registry.failures() == []
        monkeypatch.setattr(Registry, "load", classmethod(lambda cls: registry))
        monkeypatch.setenv("DABENCH_CACHE", str(tmp_path / "listings"))
        return registry

    return load


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command as it is typed; what it prints."""

    def run(command: str, *more: str) -> str:
        monkeypatch.setattr(sys, "argv", [*shlex.split(command), *more])
        with pytest.raises(SystemExit) as stop:
            main()
        said = capsys.readouterr()
        assert not stop.value.code, said.out + said.err
        return said.out

    return run


def test_every_kind_is_here() -> None:
    assert {*FEW, "weak_label", "domain", "reader", "suite"} == set(KINDS)


@pytest.mark.slow
@pytest.mark.parametrize("kind", FEW)
def test_a_run_uses_it(kind: str, plugins: Any, loaded: Any, typed: Any, place: Path) -> None:
    loaded(kind)
    said = json.loads(typed(plugins[kind].use, *FEW[kind], *SIZES, "--tracker=none", "--json"))
    assert said["status"] == "ok", said["reason"]
    config = (Path(said["path"]) / "config.json").read_text()
    assert json.dumps(plugins[kind].component) in config
    assert any(name.startswith("target_test/") for name in said["metrics"])


def scan() -> tuple[Any, Any]:
    """Eight slices of a phantom, and its labels as 0 and 255."""
    made = make_phantom("phantom-lucchi", "train", 0, (8, 96, 96))
    return made.images, ((made.labels == 1) * 255).astype(np.uint8)


def adapted(typed: Any, target: str) -> dict[str, Any]:
    command = f"dabench run --method source-only --task phantom-human2{target} --preset tiny"
    said: dict[str, Any] = json.loads(typed(command, *SOURCE, *SIZES[:3], "--tracker=none", "--json"))
    return said


def test_a_domain_is_read(plugins: Any, loaded: Any, typed: Any, place: Path) -> None:
    """Its files where the card says that they lie: listed, and the target of a run."""
    loaded("domain")
    folder = place / "data" / plugins["domain"].component
    folder.mkdir(parents=True)
    for name, values in zip(("images", "labels"), scan(), strict=True):
        tifffile.imwrite(folder / f"{name}.tif", values, photometric="minisblack")
    assert plugins["domain"].component in typed(plugins["domain"].use)
    said = adapted(typed, plugins["domain"].component)
    assert (said["status"], said["reason"]) == ("ok", "")
    assert said["metrics"]["target_test/dice"] >= 0


def test_a_reader_opens_a_volume_of_ones_own(plugins: Any, loaded: Any, typed: Any, place: Path) -> None:
    loaded("reader")
    for name, values in zip(("images", "labels"), scan(), strict=True):
        np.save(place / f"{name}.npy", values)
    typed(plugins["reader"].use)
    assert adapted(typed, "my-volume")["status"] == "ok"


@pytest.mark.slow
def test_a_suite_runs(plugins: Any, written: Path, loaded: Any, typed: Any, place: Path, monkeypatch: Any) -> None:
    """One seed of one of its tasks: both rows. Its jobs are processes, which find the plugin by its file."""
    loaded("suite")
    module = written / plugins["suite"].name / plugins["suite"].module / "__init__.py"
    monkeypatch.setenv("DABENCH_PLUGIN_FILES", str(module))
    few = ["--set=source-only.iterations=2", "--tasks=human2lucchi", "--seeds=0", "--tracker=none", "--jobs=1"]
    typed(plugins["suite"].use, *few)
    runs = [json.loads(path.read_text()) for path in Workspace(place / "workspace").runs.glob("*/config.json")]
    assert sorted(run["method"] for run in runs) == ["oracle", "source-only"]


# ---------------------------------------------------------------- a weak label, which a method has to ask for
class Half(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("level", torch.tensor([0.5]))


class HalfPredictor(Predictor):
    def predict(self, images: Any, points: Any = None, *, density: bool = False) -> Prediction:
        return Prediction(0.5 + images[:, 0] / 10)


class Asking(Stage):
    """Asks for half of the objects of the first slice, and learns nothing."""

    def __init__(self, label: str) -> None:
        self.label, self.half = label, Half()

    def modules(self) -> dict[str, nn.Module]:
        return {"network": self.half}

    def optimizer_steps(self) -> tuple[()]:
        return ()

    def step(self, batch: Any, optimizer: str) -> Any:
        raise AssertionError("a frozen stage is never trained")

    def prepare(self, view: Any) -> None:
        view.desk.ask(self.label, PointRequest(0.5, (0,)))

    def predictor(self) -> Predictor:
        return HalfPredictor()


class AskingMethod(Method):
    label = "my-weak-label"

    def __init__(self, settings: Settings, components: Any) -> None:
        self.settings = settings

    def default_shares(self) -> dict[str, float]:
        return {self.label: 0.5}

    def stages(self, task: Any, budget: Any) -> list[StageSpec]:
        asks = (self.label,)
        return [StageSpec("ask", "asking", self.settings, (), CropSpec(64), 0, lambda _: Asking(self.label), asks)]


@hook
def register_methods(register: Any) -> None:
    register(Component("asking", AskingMethod, Settings, summary="asks", licence="Apache-2.0"))


def test_a_weak_label_is_asked_for_and_charged(plugins: Any, loaded: Any, typed: Any, place: Path) -> None:
    registry, label = loaded("weak_label"), plugins["weak_label"].component
    assert label in typed(plugins["weak_label"].use)
    registry.add(sys.modules[__name__], PluginStatus("asking", "asking"))
    config = validate_config({"method": "asking", "task": "human2stem", "data": "phantom", "preset": "tiny"})
    record = run_cell(config, registry, Workspace(place / "workspace"))
    assert (record.status, record.tags["weak_labels"]) == ("ok", label)
    assert record.metrics[f"cost/{label}"] > 0
    assert (record.path / "annotation").is_dir()
