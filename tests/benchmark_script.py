"""A script of ``benchmarks/`` or ``docs/`` as a module, so that a test can call its functions."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[1]


@cache
def load(name: str, folder: str = "benchmarks") -> ModuleType:
    """The script of this name."""
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", ROOT / folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module
