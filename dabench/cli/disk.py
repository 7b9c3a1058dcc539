"""``dabench disk`` and ``dabench clean``: what a workspace takes, and what of it may go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from dabench.cli.json_output import print_json
from dabench.cli.options import number
from dabench.cli.tables import show
from dabench.files.tables import Column, Table
from dabench.files.workspace import Workspace

Json = Annotated[bool, typer.Option("--json", help="Print as JSON.")]


def disk(as_json: Json = False) -> None:
    """Print how much disk space each part of the workspace uses: suites, stages, MLflow.

    Example:  dabench disk
    """
    from dabench.api.disk import usage

    place = Workspace.find()
    found = usage(place)
    total = sum(one.bytes for one in found)
    if as_json:
        print_json({"parts": [asdict(one) for one in found], "bytes": total})
        return
    rows = [(one.part, _megabytes(one.bytes), str(one.count or "")) for one in found]
    _show(("part", "MB", "runs or stages"), [*rows, ("all", _megabytes(total), "")], str(place.root))


def clean(
    older_than: Annotated[float, number(help="Only files that have not changed for this many days.", min=0)] = 7,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be deleted, and stop.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
    as_json: Json = False,
) -> None:
    """Delete what is no longer needed: stages without a run, failed runs that no suite lists, duplicates.

    Shows what would be deleted and asks first. Files of a board, bundle, model or suite are never deleted.

    Example:  dabench clean --older-than 30 --dry-run
    """
    from dabench.api.disk import clean as delete
    from dabench.api.disk import leftovers

    place = Workspace.find()
    found = leftovers(place, older_than)
    total = sum(one.bytes for one in found)
    if as_json:
        freed = 0 if dry_run or not yes else delete(found)
        plain = [one.as_json() for one in found]
        print_json({"leftovers": plain, "bytes": total, "freed_bytes": freed})
        return
    rows = [(str(one.path.relative_to(place.root)), _megabytes(one.bytes), one.why) for one in found]
    if not rows:
        typer.echo(f"nothing to clean in {place.root} that is {older_than:g} days old")
        return
    _show(("what", "MB", "why"), rows, f"{_megabytes(total)} MB of {place.root}")
    if not dry_run and (yes or typer.confirm("Delete?")):
        typer.echo(f"{_megabytes(delete(found))} MB freed")


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.2f}"


def _show(names: tuple[str, ...], rows: Sequence[tuple[str, ...]], title: str) -> None:
    show(Table.of([Column(name, "text") for name in names], rows, title))
