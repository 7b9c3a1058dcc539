"""``dabench rerun``: is a recorded result what training gives here?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dabench.cli.json_output import print_json
from dabench.files.workspace import Workspace

if TYPE_CHECKING:
    from dabench.checking.comparison import Outcome
    from dabench.checking.rerun import Rerun

#: What the command returns for each verdict.
EXIT_CODES = {"same": 0, "different": 1, "no verdict": 4}


def rerun(
    run: Annotated[str, typer.Argument(metavar="RUN|BUNDLE|CELL", help="A run's folder, a cell, or a bundle.")],
    cell: Annotated[str, typer.Option(help="Which run of a bundle: its name or the start of it.")] = "",
    into: Annotated[
        Path | None, typer.Option(help="Keep what is trained in this new folder [default: a temporary one].")
    ] = None,
    reuse_source: Annotated[
        bool, typer.Option("--reuse-source", help="Reuse stages of this workspace that used only the source.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what differs, and stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Train a recorded cell again, without the cache of the workspace, and compare the results.

    First prints what differs: code, versions, data, machine. If weights, prediction and scores are bit-identical, the
    result is the same. If they are not, although nothing differs, the result is different. Otherwise the score must
    be in the 95 % prediction interval of at least three recorded seeds of its row. Exit code: 0 same, 1 different or
    failed, 4 cannot be decided. The outcome is stored in the workspace and shown on the leaderboard.

    Example:  dabench rerun em-lab.dabench.zip --cell prefer-das-slpo-human2stem
    """
    from tempfile import TemporaryDirectory

    from dabench.api.progress import make_display
    from dabench.checking.located import located
    from dabench.checking.rerun import prepare
    from dabench.checking.rerun_records import keep_rerun
    from dabench.components.registry import Registry

    place, registry = Workspace.find(), Registry.load()
    with located(run, cell, place, registry) as (path, others), TemporaryDirectory(prefix="dabench-rerun-") as folder:
        prepared = prepare(path, registry, place, into or Path(folder), reuse_source)
        if dry_run or not as_json:
            _show_differences(prepared, as_json)
        if dry_run:
            raise typer.Exit
        with make_display(quiet=as_json) as display:
            outcome = prepared.execute(others, display)
        kept = keep_rerun(place, prepared.run, outcome)
    if as_json:
        print_json(outcome.as_json())
    else:
        _show(outcome, kept)
    raise typer.Exit(EXIT_CODES[outcome.verdict])


def _show_differences(prepared: Rerun, as_json: bool) -> None:
    if as_json:
        print_json({"differences": [vars(one) for one in prepared.differences]})
        return
    name, device = prepared.run.path.name, prepared.plan.config.device
    typer.echo(f"{name}: rerun with {prepared.threads} threads on {device}")
    for difference in prepared.differences:
        typer.echo(f"  {difference}")
    if not prepared.differences:
        typer.echo("  code, versions, data and machine are as recorded")


def _show(outcome: Outcome, kept: Path) -> None:
    for name, (then, now) in outcome.scores.items():
        typer.echo(f"  {name}: {then:.4f} recorded, {now:.4f} here ({now - then:+.4f})")
    typer.echo(f"{outcome.verdict}: {outcome.why}")
    typer.echo(f"saved: {kept}")
