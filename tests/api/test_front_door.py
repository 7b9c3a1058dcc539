"""`import dabench`: light, typed, and every example in its docstrings runs."""

from __future__ import annotations

import doctest
import importlib
import subprocess
import sys

import pytest

import dabench

MODULES = ("dabench.api.evaluation", "dabench.api.model", "dabench.api.run", "dabench.api.tables")
HEAVY = ("torch", "mlflow", "pandas", "numpy", "rich", "pydantic")


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_run(module, tmp_path, monkeypatch):
    """In a workspace of their own, each after the others of its module."""
    monkeypatch.setenv("DABENCH_WORKSPACE", str(tmp_path))
    found = doctest.testmod(importlib.import_module(module))
    assert found.attempted, "a module of the front door has an example"
    assert not found.failed


@pytest.mark.parametrize("name", [name for name in dabench.__all__ if name[0].islower()])
def test_every_function_has_an_example(name):
    assert ">>> " in (getattr(dabench, name).__doc__ or "")
    assert importlib.import_module(getattr(dabench, name).__module__).__name__ in MODULES


def test_the_import_loads_nothing():
    code = f"import dabench, sys; sys.exit(' '.join(m for m in {HEAVY!r} if m in sys.modules) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_moved_says_where_to():
    with pytest.raises(ImportError, match=r"from dabench\.plugin import Component"):
        from dabench import Component  # noqa: F401
    with pytest.raises(AttributeError, match="'dabench' has no attribute 'evalute'"):
        dabench.evalute  # noqa: B018


def test_a_submodule_is_imported_without_the_plugins():
    code = "from dabench import files; import sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_name_is_a_package():
    """`dabench.results` is a function whatever was imported before: no module may take its place."""
    from pkgutil import iter_modules

    assert not set(dabench.__all__) & {module.name for module in iter_modules(dabench.__path__)}


def test_it_lists_what_it_offers():
    assert set(dir(dabench)) == {*dabench.__all__, "__version__"}
    assert all(getattr(dabench, name) is not None for name in dabench.__all__)
