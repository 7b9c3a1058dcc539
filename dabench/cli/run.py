"""``dabench run`` and ``dabench validate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dabench.cli.json_output import print_json
from dabench.cli.options import number
from dabench.files.workspace import Workspace

if TYPE_CHECKING:
    from dabench.runs.config import RunConfig

Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="A setting, NAME.KEY=VALUE, for example mean-teacher.decay=0.99 (repeatable)."),
]
Config = Annotated[Path | None, typer.Option(help="YAML file with settings; flags and --set override it.")]


def run(
    method: Annotated[str | None, typer.Option(help="Method (dabench ls methods).")] = None,
    task: Annotated[str | None, typer.Option(help="SOURCE2TARGET, for example human2stem.")] = None,
    po: Annotated[str | None, typer.Option(help="Preference optimizer: gpo lpo slpo upo rn-dpo none.")] = None,
    label: Annotated[
        str | None, typer.Option(help="Name of this version of the method; it gets a separate row.")
    ] = None,
    data: Annotated[str | None, typer.Option(help="real or phantom.")] = None,
    preset: Annotated[str | None, typer.Option(help="tiny, small or paper.")] = None,
    seed: Annotated[int | None, typer.Option(help="Training seed.")] = None,
    backbone: Annotated[str | None, typer.Option(help="Image encoder instead of the preset's.")] = None,
    points: Annotated[
        str | None, typer.Option(help="Share of target mitochondria that get a point, or a file with recorded points.")
    ] = None,
    patches: Annotated[float | None, number(help="Share of target patches that a rater is asked about.")] = None,
    preferences: Annotated[
        Path | None,
        typer.Option(help="A preference data set with a person's answers: folder, zip, or older JSON lines."),
    ] = None,
    rater: Annotated[
        str | None,
        typer.Option(help="Who answers if no file is given: truth (simulated), self, or recorded (files for all)."),
    ] = None,
    rater_error: Annotated[float | None, number(help="Error rate of the simulated rater.")] = None,
    allow_unanswered: Annotated[
        bool | None,
        typer.Option("--allow-unanswered", help="Train even if fewer than half of the answers can be used."),
    ] = None,
    test_points: Annotated[
        str | None,
        typer.Option(help="Shares of test objects whose centres are prompts (0,0.15,0.5,1), or a points file."),
    ] = None,
    protocol: Annotated[str | None, typer.Option(help="Scoring protocol (dabench ls protocols).")] = None,
    inference: Annotated[str | None, typer.Option(help="hann, fast, paper or tiles.")] = None,
    selector: Annotated[str | None, typer.Option(help="How the checkpoint is chosen (dabench ls selectors).")] = None,
    snapshots: Annotated[
        int | None, typer.Option(help="Number of checkpoints of the last stage to choose among.")
    ] = None,
    pixel_size: Annotated[
        str | None,
        typer.Option(help="match (the source's pixel size) or native [match for your own domains, else native]."),
    ] = None,
    source_checkpoint: Annotated[
        str | None, typer.Option(help="Start from these added weights instead of training on the source.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1 ...")] = None,
    config: Config = None,
    sets: Set = None,
    tracker: Annotated[str, typer.Option(help="mlflow, none, or a tracking URI.")] = "mlflow",
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Train every stage again.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result (or plan) as JSON.")] = False,
) -> None:
    """Train one method on one task, predict the target's test split and score it.

    Example:  dabench run --method prefer-das --po slpo --task vnc2lucchi --preset small --seed 0
    """
    given = dict(locals())
    from dabench.api.run import configured, prepare
    from dabench.cli.run_report import show_plan, show_training_left
    from dabench.runs.plan import describe
    from dabench.runs.speed import training_left

    loaded = configured({**given, "test_points": _shares(test_points)}, config, sets or [])
    if dry_run:
        prepared = prepare(loaded, cache=not no_cache, warn=_warn)
        if as_json:
            left = training_left(prepared.plan, prepared.registry, prepared.workspace, _told)
            print_json({**describe(prepared.plan), "threads": prepared.threads.count, "training": left.as_json()})
        else:
            show_plan(prepared)
            show_training_left(prepared)
        raise typer.Exit
    carry_out(loaded, tracker, cache=not no_cache, as_json=as_json)


def carry_out(config: RunConfig, tracker: str, *, cache: bool = True, as_json: bool = False) -> None:
    """Run a configuration: its plan, its progress, its scores."""
    from dabench.api.progress import make_display
    from dabench.api.run import prepare
    from dabench.cli.run_report import show_plan, show_result

    prepared = prepare(config, cache=cache, warn=_warn)
    if not as_json:
        show_plan(prepared)
    with make_display(quiet=as_json) as display:
        done = prepared.execute(display, tracker, _warn)
    if as_json:
        print_json(done.as_json())
    else:
        show_result(done)


def validate(
    config: Annotated[Path, typer.Argument(help="YAML file with settings.")],
    sets: Set = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the full configuration as JSON.")] = False,
) -> None:
    """Check a configuration file without running it: every key, every component, every value.

    Example:  dabench validate my-run.yaml
    """
    from dabench.components.registry import Registry
    from dabench.runs.config import load_config
    from dabench.runs.plan import make_plan

    loaded = load_config({}, config, sets or [])
    plan = make_plan(loaded, Registry.load(), Workspace.find())
    if as_json:
        print_json(loaded.model_dump(mode="json"))
    else:
        typer.echo(f"{config}: valid; cell {plan.config.cell_id}")


def _shares(text: str | None) -> tuple[float, ...] | Path | None:
    """Numbers, else a file."""
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.replace("|", ",").split(","))
    except ValueError:
        return Path(text)


def _told(text: str) -> None:
    typer.echo(f"{text} ...", err=True)


def _warn(text: str) -> None:
    typer.echo(f"warning: {text}", err=True)
