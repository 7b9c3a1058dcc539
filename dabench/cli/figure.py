"""``dabench figure``: pictures of runs for papers and talks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dabench.leaderboard.gather import Leaderboard

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Draw figures: runs side by side on one slice, and box plots of scores.",
)

_Runs = Annotated[list[str] | None, typer.Argument(metavar="RUN", help="Names of runs, or beginnings of names.")]
_Suite = Annotated[str | None, typer.Option("--suite", help="Runs of this suite, with the names of its rows.")]
_Filters = Annotated[
    list[str] | None, typer.Option("--filter", help="Only runs with KEY=VALUE[,VALUE], any tag (repeatable).")
]
_Output = Annotated[Path, typer.Option("--output", help="The picture: .png, .pdf or .svg.")]


@app.command("slices")
def slices_command(
    runs: _Runs = None,
    suite: _Suite = None,
    conditions: _Filters = None,
    slices: Annotated[
        str,
        typer.Option(metavar="Z,...", help="Slices by number, or best, median, worst by the mean Dice of all runs."),
    ] = "best,median,worst",
    window: Annotated[str | None, typer.Option(metavar="Y,X,H,W", help="Only this part of each slice.")] = None,
    crop: Annotated[
        int | None, typer.Option(min=16, metavar="PIXELS", help="Only the square of this side with most foreground.")
    ] = None,
    output: _Output = Path("slices.png"),
) -> None:
    """Draw several runs on the same slices: image, labels, then each run's correct, missed and false pixels.

    Example:  dabench figure slices --suite six-tasks --filter task=vnc2lucchi --crop 400 --output fig3.png
    """
    from dabench.api.figures import compare_slices
    from dabench.cli.view import window_of
    from dabench.components.registry import Registry
    from dabench.errors import ConfigError
    from dabench.files.workspace import Workspace
    from dabench.volumes.viewer.targets import Given, Opener

    if window and crop:
        raise ConfigError("--window and --crop at once.", "Choose one.")
    opener = Opener(Registry.load(), Workspace.find())
    figure = compare_slices(
        _found(runs, suite, conditions),
        lambda path: opener.open(path, Given()),
        slices=_slices(slices),
        window=window_of(window),
        crop=crop,
    )
    _save(figure, output)


@app.command("boxes")
def boxes_command(
    runs: _Runs = None,
    suite: _Suite = None,
    conditions: _Filters = None,
    by: Annotated[str, typer.Option(help="Which score: dice, aji, pq, or points_15/dice.")] = "dice",
    output: _Output = Path("boxes.png"),
) -> None:
    """Draw box plots of scores over the slices of the test split, a panel per task and a box per entry.

    Example:  dabench figure boxes --suite six-tasks --by dice --output fig6.png
    """
    from dabench.api.figures import box_plots
    from dabench.leaderboard.metric import Metric

    _save(box_plots(_found(runs, suite, conditions), Metric.parse(by)), output)


def _found(runs: list[str] | None, suite: str | None, conditions: list[str] | None) -> Leaderboard:
    from dabench.checking.verify import find_run
    from dabench.files.workspace import Workspace
    from dabench.leaderboard.gather import load

    place = Workspace.find()
    named = [f"cell_id={','.join(find_run(place, run).name for run in runs)}"] if runs else []
    return load(place, suite=suite or "", conditions=[*(conditions or ()), *named])


def _slices(text: str) -> list[str | int]:
    from dabench.api.figures import NAMED
    from dabench.errors import ConfigError

    parts = [part.strip() for part in text.split(",")]
    wrong = next((part for part in parts if part not in NAMED and not part.isdecimal()), None)
    if wrong is not None:
        raise ConfigError(f"--slices {text!r}: {wrong!r} is no slice number.", f"Or one of {', '.join(NAMED)}.")
    return [int(part) if part.isdecimal() else part for part in parts]


def _save(figure: Figure, output: Path) -> None:
    from dabench.api.figures import save_figure

    save_figure(figure, output)
    typer.echo(f"written: {output}")
