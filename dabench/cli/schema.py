"""``dabench schema``: what editors complete and check cards, configurations and suites by."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def schema(of: Annotated[str, typer.Argument(help="card, config or suite.")]) -> None:
    """Print the JSON schema of a kind of file, including the installed components.

    Example:  dabench schema suite > suite.schema.json
    """
    from dabench.components.registry import Registry
    from dabench.suites.schemas import schema as schema_of

    typer.echo(json.dumps(schema_of(of, Registry.load()), indent=1, ensure_ascii=False))
