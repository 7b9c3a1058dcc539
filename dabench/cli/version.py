"""``dabench --version``: what is installed, for people and programs."""

from __future__ import annotations

import json
import platform
from importlib import metadata

import typer

from dabench import __version__

#: Whose versions decide most of what a report of a fault is about.
_PACKAGES = ("torch", "numpy", "mlflow", "zarr", "pydantic")


def show_version(as_json: bool) -> None:
    """Print the version; as JSON also of plugins' API, Python and the packages that matter most."""
    if not as_json:
        typer.echo(f"dabench {__version__}")
        return
    from dabench.types import API_VERSION

    about = {"dabench": __version__, "api_version": API_VERSION, "python": platform.python_version()}
    typer.echo(json.dumps({**about, "packages": {name: _installed(name) for name in _PACKAGES}}, indent=1))


def _installed(name: str) -> str | None:
    """A package's version, read without importing it; None where it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
