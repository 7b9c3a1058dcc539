"""``dabench skills``: short instructions for coding agents, which tests follow word for word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from dabench.errors import UnknownNameError
from dabench.files.atomic import write_text

_TEXTS = Path(__file__).with_name("skill_texts")
#: The file that coding agents look for in a skill's folder.
_FILE = "SKILL.md"


def skills(
    name: Annotated[str | None, typer.Argument(help="Skill to print; without a name, all are listed.")] = None,
    install: Annotated[Path | None, typer.Option(help="Write the skill, or all skills, to DIR/NAME/SKILL.md.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List, print or install short instructions for coding agents.

    Example:  dabench skills --install .agents/skills
    """
    texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted(_TEXTS.glob("*.md"))}
    if name is not None and name not in texts:
        raise UnknownNameError("skill", name, list(texts))
    chosen = texts if name is None else {name: texts[name]}
    if install is not None:
        for one, text in chosen.items():
            path = install / f"dabench-{one}" / _FILE
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, text)
            typer.echo(f"written: {path}")
    elif as_json:
        told = [{"name": one, "description": _description(text), "text": text} for one, text in chosen.items()]
        typer.echo(json.dumps(told, indent=1, ensure_ascii=False))
    elif name is not None:
        typer.echo(chosen[name], nl=False)
    else:
        for one, text in chosen.items():
            typer.echo(f"{one:<14}  {_description(text)}")


def _description(text: str) -> str:
    """The line of a skill's head that says when it is of use."""
    return next(line for line in text.splitlines() if line.startswith("description: ")).partition(": ")[2]
