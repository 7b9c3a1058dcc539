"""``dabench figure``: pictures of runs for papers and talks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dabench.cli.options import SliceWindow
from dabench.errors import ConfigError
from dabench.files.workspace import Workspace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dabench.leaderboard.gather import Leaderboard

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Draw figures: runs side by side on one slice, box plots, curves, and quality against cost.",
)

_Runs = Annotated[list[str] | None, typer.Argument(metavar="RUN", help="Names of runs, or the start of a name.")]
_Suite = Annotated[str | None, typer.Option("--suite", help="Runs of this suite, with the names of its rows.")]
_Filters = Annotated[
    list[str] | None, typer.Option("--filter", help="Only runs with KEY=VALUE[,VALUE], any tag (repeatable).")
]
_From = Annotated[
    Path | None, typer.Option("--from", help="Recorded results (NAME.jsonl) instead of the workspace's runs.")
]
_By = Annotated[str, typer.Option(help="Which score: dice, aji, pq, or points_15/dice.")]
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
    window: SliceWindow = None,
    crop: Annotated[
        int | None,
        typer.Option(min=16, metavar="PIXELS", help="Only the square of this side length with the most foreground."),
    ] = None,
    publish: Annotated[
        bool, typer.Option("--publish", help="Refuse targets whose terms do not allow sharing their images.")
    ] = False,
    output: _Output = Path("slices.png"),
) -> None:
    """Draw several runs on the same slices: image, labels, then each run's correct, missed and false pixels.

    All runs are shown on the same slices, so none can pick its best. The terms of the target's images are printed.

    Example:  dabench figure slices --suite core --filter task=vnc2lucchi --crop 400 --output fig3.png
    """
    from dabench.api.figures import check_terms, compare_slices
    from dabench.cli.view import window_of
    from dabench.components.registry import Registry
    from dabench.runs.domains import known_domains
    from dabench.volumes.viewer.targets import Given, Opener

    if window and crop:
        raise ConfigError("--window and --crop exclude each other.", "Choose one.")
    opener, found = Opener(Registry.load(), Workspace.find()), _found(runs, suite, conditions)
    terms = check_terms(found, known_domains(opener.registry, opener.workspace), publish=publish)
    figure = compare_slices(
        found,
        lambda path: opener.open(path, Given()),
        slices=_slices(slices),
        window=window_of(window),
        crop=crop,
    )
    _save(figure, output)
    for line in terms:
        typer.echo(line)


@app.command("boxes")
def boxes_command(
    runs: _Runs = None,
    suite: _Suite = None,
    conditions: _Filters = None,
    by: _By = "dice",
    source: _From = None,
    output: _Output = Path("boxes.png"),
) -> None:
    """Draw box plots of scores over the slices of the test split, a panel per task and a box per entry.

    Example:  dabench figure boxes --suite core --by dice --output fig6.png
    """
    from dabench.api.figures import box_plots
    from dabench.leaderboard.metric import Metric

    _save(box_plots(_found(runs, suite, conditions, by, source), Metric.parse(by)), output)


@app.command("curve")
def curve_command(
    x: Annotated[str, typer.Option(metavar="AXIS", help="points, patches, rater-error, minutes or core-hours.")],
    runs: _Runs = None,
    suite: _Suite = None,
    conditions: _Filters = None,
    by: _By = "dice",
    source: _From = None,
    output: _Output = Path("curve.png"),
) -> None:
    """Draw scores over what was varied, a panel per task and a line per method.

    Example:  dabench figure curve --x points --suite points --from benchmarks/results/points.jsonl
    """
    from dabench.api.curves import curves
    from dabench.leaderboard.metric import Metric

    _save(curves(_found(runs, suite, conditions, by, source), x, Metric.parse(by)), output)


@app.command("pareto")
def pareto_command(
    runs: _Runs = None,
    suite: _Suite = None,
    conditions: _Filters = None,
    cost: Annotated[str, typer.Option(help="annotation (minutes of a task) or training (minutes of a cell).")] = (
        "annotation"
    ),
    by: _By = "dice",
    source: _From = None,
    output: _Output = Path("pareto.png"),
) -> None:
    """Draw quality against cost, with a line through the entries that no other entry beats in both.

    Example:  dabench figure pareto --suite core --cost training --output pareto.svg
    """
    from dabench.api.curves import quality_against_cost

    _save(quality_against_cost(_found(runs, suite, conditions, by, source), cost), output)


def _found(
    runs: list[str] | None,
    suite: str | None,
    conditions: list[str] | None,
    by: str = "dice",
    source: Path | None = None,
) -> Leaderboard:
    from dabench.api.progress import make_display
    from dabench.checking.verify import find_run
    from dabench.leaderboard.gather import load

    place = Workspace.find()
    named = [f"cell_id={','.join(find_run(place, run).name for run in runs)}"] if runs else []
    uri = None if source is None else str(source)
    wanted = [*(conditions or ()), *named]
    with make_display(quiet=False, stderr=True) as display:
        return load(place, by=by, suite=suite or "", conditions=wanted, uri=uri, observer=display)


def _slices(text: str) -> list[str | int]:
    from dabench.api.figures import NAMED

    parts = [part.strip() for part in text.split(",")]
    wrong = next((part for part in parts if part not in NAMED and not part.isdecimal()), None)
    if wrong is not None:
        raise ConfigError(f"--slices {text!r}: {wrong!r} is not a slice number.", f"Or one of {', '.join(NAMED)}.")
    return [int(part) if part.isdecimal() else part for part in parts]


def _save(figure: Figure, output: Path) -> None:
    from dabench.api.figures import save_figure

    save_figure(figure, output)
    typer.echo(f"written: {output}")
