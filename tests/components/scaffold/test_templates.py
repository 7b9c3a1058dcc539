"""What is rendered, for every kind: clean, importable, loaded, and kept to the contracts."""

from __future__ import annotations

import ast
import importlib
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

import dabench
from dabench.components.hookspecs import KINDS
from dabench.components.registry import PluginStatus, Registry
from dabench.components.scaffold.writer import TEMPLATES
from dabench.testing import check_components
from tests.tutorials.following import beside

ROOT = Path(__file__).parents[3]


def test_every_kind_has_templates():
    assert {path.name for path in TEMPLATES.iterdir()} == {"package", *KINDS}


def test_templates_reach_a_wheel():
    """They are no modules: what is not among the package data, and what is hidden, would be left behind."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    patterns = settings["package-data"]["*"]
    files = [path for path in TEMPLATES.rglob("*") if path.is_file()]
    assert len(files) > 2 * len(KINDS)
    assert [p for p in files if p.name.startswith(".") or not any(p.match(pattern) for pattern in patterns)] == []


@pytest.mark.parametrize("arguments", [["check"], ["format", "--check"]], ids="-".join)
def test_rendered_code_is_clean(written, arguments):
    """By the rules of this repository, and by those that the package itself brings."""
    for rules in (["--config", str(ROOT / "pyproject.toml"), "--config", 'src = ["*"]'], []):
        command = [sys.executable, "-m", "ruff", *arguments, "--no-cache", *rules, "."]
        done = subprocess.run(command, cwd=written, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_rendered_code_is_typed(written, plugins):
    modules = [str(written / plugin.name / plugin.module) for plugin in plugins.values()]
    command = [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", *modules]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_package_is_complete(written, plugins, kind):
    plugin = plugins[kind]
    folder = written / plugin.name
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    assert project["project"]["name"] == plugin.name
    assert project["project"]["dependencies"] == [f"dabench>={dabench.__version__}"]
    assert project["project"]["entry-points"]["dabench"] == {plugin.name: plugin.module}
    assert f"    {plugin.use}\n" in (folder / "README.md").read_text()
    assert f'plugin = "{plugin.name}"' in (folder / "tests" / "test_conformance.py").read_text()
    for path in folder.rglob("*"):
        if path.suffix == ".py":
            assert ast.get_docstring(ast.parse(path.read_text())), path
        if path.suffix == ".yaml":
            assert yaml.safe_load(path.read_text())["name"] == plugin.component
    left = [str(p) for p in folder.rglob("*") if p.is_file() and ("$" in p.read_text() or p.suffix == ".txt")]
    assert left == []


@pytest.mark.parametrize("kind", KINDS)
def test_keeps_the_contracts(written, plugins, kind, monkeypatch):
    plugin, registry = plugins[kind], Registry.load()
    monkeypatch.syspath_prepend(written / plugin.name)
    registry.add(importlib.import_module(plugin.module), PluginStatus(plugin.name, plugin.name))
    assert registry.plugins[plugin.name].error == ""
    assert registry.plugins[plugin.name].components == [f"{kind}:{plugin.component}"]
    outcomes = check_components(registry, [registry.get(kind, plugin.component)])
    assert len(outcomes) > 5
    assert [o for o in outcomes if o.problem] == []


def test_their_own_tests_pass(written, plugins, tmp_path):
    """Numbers of every package, and the whole suite of the one that writes files first (a domain)."""
    for plugin in plugins.values():
        about = tmp_path / f"{plugin.module}-0.1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Name: {plugin.name}\nVersion: 0.1.0\n")
        (about / "entry_points.txt").write_text(f"[dabench]\n{plugin.name} = {plugin.module}\n")
    folders = [tmp_path, *(written / plugin.name for plugin in plugins.values())]
    numbers = [str(path) for path in written.glob("*/tests/test_numbers.py")]
    assert len(numbers) == 5
    options = ("-q", "-p", "no:cacheprovider", "--import-mode=importlib", "--rootdir", str(written))
    domain = str(written / plugins["domain"].name)
    code, printed = beside("pytest", [*options, *numbers, domain], written, os.environ, folders)
    assert code == 0, printed
    assert "skipped" not in printed
