"""Packages that a component needs beside dabench's own: whether they are installed, without importing them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.util import find_spec


def absent(modules: Iterable[str]) -> list[str]:
    """Those of some top-level modules that cannot be imported here."""
    return [name for name in modules if not _is_there(name)]


def told(needs: Mapping[str, str]) -> str:
    """What is lacking of `Component.needs` and what installs it; "" when all is there.

    Example:
        >>> told({"json": "dabench", "no_such_module": "dabench[sam]"})
        "needs no_such_module: pip install 'dabench[sam]'"
    """
    lacking = absent(needs)
    installed = " ".join(f"'{name}'" for name in dict.fromkeys(needs[module] for module in lacking))
    return f"needs {' and '.join(lacking)}: pip install {installed}" if lacking else ""


def _is_there(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False
