"""``dabench doctor`` tells what is broken, and fails only for what is essential."""

from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from dabench.cli import doctor as module
from dabench.components.registry import PluginStatus, Registry

program = typer.Typer()
program.command()(module.doctor)


class FakeDomain:
    def __init__(self, missing):
        self._missing = missing

    def missing(self):
        return self._missing


@pytest.fixture
def registry(monkeypatch):
    """A registry with one good plugin of dabench, filled further by the tests."""
    made = Registry()
    made.plugins["source-only"] = PluginStatus("source-only", "dabench")
    monkeypatch.setattr(Registry, "load", classmethod(lambda cls, files=(): made))
    return made


def add_domain(registry, name, missing):
    from dabench.plugin import Component, hookimpl

    class Plugin:
        @hookimpl
        def register_domains(self, register):
            register(Component(name, lambda config: FakeDomain(missing)))

    registry.add(Plugin(), PluginStatus(f"plugin-{name}", "dabench"))


def run(tmp_path, *arguments):
    environment = {"DABENCH_WORKSPACE": str(tmp_path), "DABENCH_DATA": str(tmp_path / "data")}
    result = CliRunner().invoke(program, arguments, env=environment)
    return result, result.output


def checks(tmp_path):
    result, output = run(tmp_path, "--json")
    return result.exit_code, {c["name"]: c for c in json.loads(output)}


def test_healthy_machine(tmp_path, registry):
    add_domain(registry, "stem", [])
    add_domain(registry, "vnc", [str(tmp_path / "data" / "vnc" / "train.tif"), "vnc/test.tif"])
    code, found = checks(tmp_path)
    assert code == 0
    assert {
        "python",
        "torch",
        "devices",
        "workspace",
        "disk",
        "plugins",
        "data root",
        "weights",
        "MLflow store",
    } <= set(found)
    assert found["domain stem"]["state"] == "ok"
    assert found["domain vnc"]["detail"] == ("missing vnc/train.tif and 1 more (where to get it: dabench info vnc)")


def test_it_changes_nothing(tmp_path, registry):
    run(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_failed_third_party_plugin_is_named_with_cause_and_is_no_failure(tmp_path, registry):
    registry.plugins["bad"] = PluginStatus("bad", "acme-das", error="import failed: ImportError: no module acme")
    result, output = run(tmp_path)
    assert result.exit_code == 0
    assert "note  plugin bad: not loaded, from acme-das: import failed: ImportError: no module acme" in output
    assert "pip uninstall acme-das" in output


def test_failed_own_plugin_is_a_failure(tmp_path, registry):
    registry.plugins["oracle"] = PluginStatus("oracle", "dabench", error="import failed")
    result, output = run(tmp_path)
    assert result.exit_code == 1
    assert "FAIL  plugin oracle" in output


def test_domain_that_raises_is_a_finding(tmp_path, registry):
    add_domain(registry, "odd", 5)
    code, found = checks(tmp_path)
    assert code == 0
    assert found["domain odd"]["state"] == "note"
    assert "TypeError" in found["domain odd"]["detail"]


def test_workspace_that_is_a_file(tmp_path, registry):
    (tmp_path / "file").write_text("")
    result, output = run(tmp_path / "file")
    assert result.exit_code == 1
    assert "FAIL  workspace" in output
    assert "DABENCH_WORKSPACE" in output


def test_broken_store_is_shown(tmp_path, registry):
    (tmp_path / "mlflow.db").write_text("not a database " * 100)
    code, found = checks(tmp_path)
    assert code == 0
    assert found["MLflow store"]["state"] == "note"
    assert "dabench results sync" in found["MLflow store"]["mend"]


def test_no_usable_plugin_at_all(tmp_path, registry):
    registry.plugins.clear()
    assert checks(tmp_path)[0] == 1


def test_weights_are_listed(tmp_path, registry):
    import torch
    from safetensors.torch import save_file

    from dabench.runs.weights import WeightsStore

    save_file({"w": torch.zeros(2)}, tmp_path / "mine.safetensors")
    WeightsStore(tmp_path / "weights").add("dino-vits8", tmp_path / "mine.safetensors")
    assert checks(tmp_path)[1]["weights"]["detail"] == "dino-vits8"
