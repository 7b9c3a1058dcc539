"""The package's links, from the one setting ``tool.dabench.repository``; all else is in pyproject.toml."""

import tomllib
from pathlib import Path

from setuptools import setup

PROJECT = Path(__file__).with_name("pyproject.toml")


def urls() -> dict[str, str]:
    """Links by name; none while there is no address."""
    address = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["tool"]["dabench"]["repository"]
    if not address:
        return {}
    return {"Source": address, "Issues": f"{address}/issues", "Changelog": f"{address}/blob/main/CHANGELOG.md"}


setup(project_urls=urls())
