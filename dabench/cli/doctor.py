"""``dabench doctor``: what works on this machine, what does not, and what mends it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from dabench.cli.json_output import print_json
from dabench.files.workspace import Workspace

_MARKS = {"ok": "ok  ", "note": "note", "fail": "FAIL"}


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False) -> None:
    """Check Python, torch, devices, workspace, data, plugins, weights and the MLflow store. Nothing is changed.

    Example:  dabench doctor --json
    """
    from dabench.checking.machine import examine

    checks = list(examine(Workspace.find()))
    if as_json:
        print_json([asdict(check) for check in checks])
    else:
        for check in checks:
            typer.echo(f"{_MARKS[check.state]}  {check.name}: {check.detail}")
            if check.mend:
                typer.echo(f"        {check.mend}")
    if any(check.state == "fail" for check in checks):
        raise typer.Exit(1)
