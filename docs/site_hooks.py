"""What mkdocs.yml cannot say: the address of the code, and pages of methods that it does not list."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig

ROOT = Path(__file__).parents[1]


def on_config(config: MkDocsConfig) -> None:
    """Called by mkdocs before it builds."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    config.repo_url = project["tool"]["dabench"]["repository"] or None
    for section in config.nav or []:
        if "Methods" in section:
            own = next(
                group["Methods"] for group in section["Methods"] if isinstance(group, dict) and "Methods" in group
            )
            own += sorted(set(_pages(Path(config.docs_dir))) - set(_listed(section)))


def _pages(docs: Path) -> Iterator[str]:
    return (path.relative_to(docs).as_posix() for path in (docs / "methods").glob("*.md"))


def _listed(part: Any) -> Iterator[str]:
    """Every page that a part of the navigation names."""
    if isinstance(part, str):
        yield part
    for below in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _listed(below)
