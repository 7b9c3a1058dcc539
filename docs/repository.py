"""The site's link to the code, from the setting ``tool.dabench.repository`` of pyproject.toml."""

from __future__ import annotations

import tomllib
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig


def on_config(config: MkDocsConfig) -> None:
    """Called by mkdocs before it builds."""
    project = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text(encoding="utf-8"))
    config.repo_url = project["tool"]["dabench"]["repository"] or None
