"""``dabench annotate --task ...``: the whole way from a scan to a model that people have helped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dabench.cli import annotate_pages as pages
from dabench.cli.annotate_report import report
from dabench.cli.options import number
from dabench.cli.run import carry_out
from dabench.errors import ConfigError
from dabench.files.workspace import Workspace

if TYPE_CHECKING:
    from dabench.annotation.preference_set import PreferenceSet
    from dabench.runs.config import RunConfig

app = typer.Typer(help="Let people annotate, on a page in the browser.", rich_markup_mode=None)
for command in (pages.preferences, pages.points, report):
    app.command()(command)

_CLICKS, _CHOICES = "clicks.csv", "choices"


@app.callback(invoke_without_command=True)
def annotate(
    context: typer.Context,
    method: Annotated[str, typer.Option(help="Method that learns from points and preferences.")] = "",
    task: Annotated[str, typer.Option(help="SOURCE2TARGET, for example lucchi2mine.")] = "",
    po: Annotated[str | None, typer.Option(help="Preference optimizer: gpo lpo slpo rn-dpo.")] = None,
    data: Annotated[str | None, typer.Option(help="real or phantom.")] = None,
    preset: Annotated[str | None, typer.Option(help="tiny, small or paper.")] = None,
    seed: Annotated[int | None, typer.Option(help="Training seed.")] = None,
    patches: Annotated[float | None, number(help="Share of target patches that a rater is asked about.")] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder for clicks and answers [annotation-TASK]; existing files are continued.")
    ] = None,
    sets: Annotated[list[str] | None, typer.Option("--set", help="A setting, as for dabench run (repeatable).")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file with settings, as for dabench run.")] = None,
    rater: Annotated[str, typer.Option(help="Rater name that the pages suggest.")] = "",
    port: Annotated[int, typer.Option(help="Port on this machine [a free one].", min=0, max=65535)] = 0,
    no_open: Annotated[bool, typer.Option("--no-open", help="Print links without opening them.")] = False,
    tracker: Annotated[str, typer.Option(help="mlflow, none, or a tracking URI.")] = "mlflow",
) -> None:
    """Let people annotate, on a page in the browser.

    With --method and --task, go through all steps: points, training, preferences, training. Ctrl-C closes a page and
    continues with the next step. If it was stopped, the same command continues from there.

    Example:  dabench annotate --method prefer-das --po slpo --task lucchi2mine
    """
    if context.invoked_subcommand is not None:
        return
    if not (method and task):
        typer.echo(context.get_help())
        raise typer.Exit
    folder = output or Path(f"annotation-{task}")
    clicks, choices = folder / _CLICKS, folder / _CHOICES
    given = {"method": method, "task": task, "po": po, "data": data, "preset": preset, "seed": seed, "patches": patches}
    shown: dict[str, Any] = {"rater": rater, "port": port, "no_open": no_open}
    target = _target(_configured(given, config, sets))
    if choices.exists():
        _need_domain(choices, target)
    else:
        typer.echo("step 1 of 4: points. Press Ctrl-C to continue with step 2.")
        pages.points(clicks, domain=target, **shown)
        _need_points(clicks)
        typer.echo("step 2 of 4: training with the points")
        pages.ask(_configured({**given, "points": clicks}, config, sets), choices)
    typer.echo("step 3 of 4: preferences. Press Ctrl-C to continue with step 4.")
    pages.preferences(choices, **shown)
    _need_answers(choices)
    typer.echo("step 4 of 4: training with the preferences")
    carry_out(_configured({**given, "points": clicks, "preferences": choices}, config, sets), tracker)


def _configured(given: dict[str, Any], config: Path | None, sets: list[str] | None) -> RunConfig:
    from dabench.api.run import configured

    return configured(given, config, sets or [])


def _target(config: RunConfig) -> str:
    """The domain that is annotated. Raises ConfigError, before the first click, for a run that asks no person."""
    from dabench.components.registry import Registry
    from dabench.runs.questions import asking_plan

    plan, _ = asking_plan(config, Registry.load(), Workspace.find())
    return plan.task.domains[1]


def _need_domain(choices: Path, target: str) -> None:
    from dabench.annotation.preference_set import PreferenceSet

    domain = PreferenceSet.open(choices).manifest.domain
    if domain != target:
        raise ConfigError(
            f"{choices}: its questions are about {domain}, not about {target}.", "Choose another folder (--output)."
        )


def _need_points(clicks: Path) -> None:
    import csv

    with clicks.open() as rows:
        objects = sum(row["kind"] == "object" for row in csv.DictReader(rows))
    if not objects:
        raise ConfigError(f"{clicks}: no mitochondrion was clicked.", "The same command opens the page again.")


def _need_answers(choices: Path) -> None:
    from dabench.annotation.preference_set import PreferenceSet

    found: PreferenceSet = PreferenceSet.open(choices)
    if not any(found.answers(rater) for rater in found.raters):
        raise ConfigError(f"{choices}: no question was answered.", "The same command opens the page again.")
