"""The tables of the Prefer-DAS, Prompt-DAS and IPL papers as suites, the published numbers beside their rows.

Every YAML file below this folder is one table or figure; its path is its name (``prefer-das/table-2``). The format is
that of `dabench.suites.spec`. Where a paper contradicts itself or its table, the file's note says so.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

from dabench.plugin import Component, Register, Settings, hookimpl

HERE = Path(__file__).parent


def files() -> dict[str, Path]:
    """Files of all suites by name."""
    found = (path.relative_to(HERE) for path in HERE.rglob("*.yaml"))
    return {path.with_suffix("").as_posix(): HERE / path for path in sorted(found)}


@hookimpl
def register_suites(register: Register) -> None:
    """Register each file."""
    for name, path in files().items():
        register(
            Component(
                name,
                partial(_file, path),
                Settings,
                summary=_line("title", path),
                paper=_line("  source", path),
                licence="Published numbers, quoted",
            )
        )


def _file(path: Path, config: Settings) -> Path:
    del config
    return path


def _line(key: str, path: Path) -> str:
    """A one-line text of a suite's file. Listings need no more of it, and parsing twenty files takes a second."""
    found = re.search(rf"^{key}: (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return found.group(1).strip('"') if found else ""
