"""What ``dabench results`` prints: the runs of a workspace as a table, and what an import did."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from dabench.cli.tables import console, show
from dabench.files.tables import Cell, Column, Number, Table

if TYPE_CHECKING:
    from dabench.checking.bundle import Exported
    from dabench.checking.bundle_import import Imported
    from dabench.tracking.record import RunRecord


def show_export(done: Exported, left_out: int, told: str, with_plugins: bool) -> None:
    """Print what a bundle holds, its digest, and the digests of the wheels in it."""
    typer.echo(f"{len(done.cells)} runs, {left_out} left out, {done.size / 1e6:.1f} MB: {done.path}")
    if told:
        typer.echo(told)
    for name, digest in done.wheels:
        typer.echo(f"wheel {name}  sha256 {digest}")
    if with_plugins and not done.wheels:
        typer.echo("no wheels needed: these runs only used dabench's built-in plugins")
    if done.other_code:
        typer.echo(
            f"note: {len(done.other_code)} of these runs used other code than the wheels and this version of dabench"
        )
    typer.echo(f"sha256 {done.sha256}")


def show_import(done: Imported, bundle: Path, wheels: Path | None, dry_run: bool) -> None:
    """Print what an import took over, or would take over, and what is to be installed for it.

    Args:
        done: the import.
        bundle: its file, as the user named it.
        wheels: the folder to which wheels were copied.
        dry_run: whether nothing was taken over.
    """
    from dabench.checking.plugins import how_to_install

    for run in done.runs:
        unchecked = ", ".join(check.name for check in run.report.unchecked) if run.report.status == "ok" else ""
        note = f"  (not checked here: {unchecked})" if unchecked else ""
        note = note if run.report.status == "ok" else f"  ({run.report.status}: no result to verify)"
        typer.echo(f"{'new' if run.is_new else 'present':<12}  {run.folder}{note}")
    new = sum(run.is_new for run in done.runs)
    whose = "" if done.origin == "here" else f" from {done.origin}"
    would = "would be " if dry_run else ""
    typer.echo(f"{new} runs{whose} {would}imported, {len(done.runs) - new} already present.")
    for used in done.missing:
        parts = ", ".join(part.partition(":")[2] for part in used.components)
        how = how_to_install(used, str(bundle), done.wheels)
        typer.echo(f"{parts} not installed here. To run or apply it: {how}")
    for name, digest in done.wheels.items():
        place = f"{wheels / name}" if wheels else f"{name} (in the bundle, not installed)"
        typer.echo(f"wheel {place}  sha256 {digest}  This is the sender's code: install it only if you trust them.")
    for suite in done.suites:
        another = "" if suite.kept_as == suite.name else " (renamed: you have a different suite of that name)"
        typer.echo(f"suite {suite.name}{another}: dabench leaderboard --suite {suite.kept_as}")


def show_runs(runs: list[RunRecord], folder: Path) -> None:
    """Print the runs of a folder, or how to make one."""
    if not runs:
        typer.echo(
            f"No runs in {folder} yet. Make one: dabench run --method source-only --task human2stem --data phantom"
        )
        return
    show(_table(runs), console(200))


def _table(runs: list[RunRecord]) -> Table:
    from dabench.tracking.record import HERE

    columns = [Column(name, "text") for name in ("task", "method", "po", "preset", "budget", "seed", "status")]
    columns += map(Column, ("Dice", "AJI", "PQ", "label s", "train s"))
    ordered = sorted(runs, key=lambda r: (r.tags.get("task", ""), r.tags.get("method", ""), r.started))
    rows = [_row(run) for run in ordered]
    if any(run.origin != HERE for run in runs):
        columns.append(Column("origin", "text"))
        rows = [(*row, run.origin) for row, run in zip(rows, ordered, strict=True)]
    return Table.of(columns, rows)


def _row(run: RunRecord) -> tuple[Cell, ...]:
    from dabench.tracking.scores import ScoreKey

    tags = run.tags
    task = tags.get("task", "") + (f" ({tags['data']})" if tags.get("data", "real") != "real" else "")
    budget = f"{_points(run)} / {_percent(tags.get('patches'))}"
    named = (task, tags.get("method", run.cell_id), tags.get("po", ""), tags.get("preset", ""), budget)
    scores = [run.cell_scores.get(ScoreKey(0.0, name)) for name in ("dice", "aji", "pq")]
    spent = (run.costs.annotation_seconds, run.costs.train_seconds)
    numbers = [(value, 4) for value in scores] + [(value, 0) for value in spent]
    shown = (None if value is None else Number(value, digits=digits) for value, digits in numbers)
    return (*named, tags.get("seed", ""), run.status, *shown)


def _points(run: RunRecord) -> str:
    """The share of objects with a point; of a person's file, whose share is not known, the number of its points."""
    from dabench.tracking.events import Cost

    if not (run.params.get("budget") or {}).get("points_file"):
        return _percent(run.tags.get("points"))
    given = next((event.points for event in run.events if isinstance(event, Cost)), None)
    return "a file" if given is None else f"{given} points"


def _percent(fraction: str | None) -> str:
    """A tag that holds a fraction, as per cent; the tag itself where it holds something else."""
    try:
        return f"{float(fraction or 0):.0%}"
    except ValueError:
        return str(fraction)
