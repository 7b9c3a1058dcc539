"""``dabench run`` and ``dabench validate``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from dabench.api.run import Run
    from dabench.files.tables import Cell, Table
    from dabench.runs.config import RunConfig
    from dabench.runs.plan import Plan
    from dabench.tracking.record import RunRecord

Set = Annotated[
    list[str] | None, typer.Option("--set", help="One setting, NAME.KEY=VALUE (repeatable): mean-teacher.decay=0.99.")
]
Config = Annotated[Path | None, typer.Option(help="YAML file with settings; flags and --set win over it.")]


def attach(app: typer.Typer) -> None:
    """Add the commands to the root."""
    app.command("run")(run)
    app.command("validate")(validate)


def run(
    method: Annotated[str | None, typer.Option(help="Method (dabench ls methods).")] = None,
    task: Annotated[str | None, typer.Option(help="SOURCE2TARGET, for example human2stem.")] = None,
    po: Annotated[str | None, typer.Option(help="Preference optimizer: gpo lpo slpo upo rn-dpo none.")] = None,
    data: Annotated[str | None, typer.Option(help="real or phantom.")] = None,
    preset: Annotated[str | None, typer.Option(help="tiny, small or paper.")] = None,
    seed: Annotated[int | None, typer.Option(help="Training seed.")] = None,
    backbone: Annotated[str | None, typer.Option(help="Image encoder instead of the preset's.")] = None,
    points: Annotated[
        str | None, typer.Option(help="Share of target mitochondria with a point, or a recorded points file.")
    ] = None,
    patches: Annotated[float | None, typer.Option(help="Share of target patches asked about.")] = None,
    preferences: Annotated[
        Path | None, typer.Option(help="A person's preference data set: folder or zip; older JSON lines too.")
    ] = None,
    rater: Annotated[
        str | None,
        typer.Option(
            help="Who answers what no file is given for: truth (simulated), self, or recorded (all need one)."
        ),
    ] = None,
    rater_error: Annotated[float | None, typer.Option(help="Error rate of the simulated rater.")] = None,
    allow_unanswered: Annotated[
        bool | None,
        typer.Option("--allow-unanswered", help="Train although less than half of the preferences are of use."),
    ] = None,
    test_points: Annotated[
        str | None, typer.Option(help="Shares of test centres given as prompts, comma-separated: 0,0.15,0.5,1.")
    ] = None,
    protocol: Annotated[str | None, typer.Option(help="Rule of scoring.")] = None,
    inference: Annotated[str | None, typer.Option(help="hann, fast, paper or tiles.")] = None,
    selector: Annotated[str | None, typer.Option(help="Who chooses the checkpoint (dabench ls selectors).")] = None,
    snapshots: Annotated[int | None, typer.Option(help="Checkpoints of the last stage to choose among.")] = None,
    pixel_size: Annotated[
        str | None,
        typer.Option(help="match (the source's) or native [native; match where a domain is your own]."),
    ] = None,
    source_checkpoint: Annotated[
        str | None, typer.Option(help="Start from these added weights instead of training on the source.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1 ...")] = None,
    config: Config = None,
    sets: Set = None,
    tracker: Annotated[str, typer.Option(help="mlflow, none, or a tracking URI.")] = "mlflow",
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Train every stage anew.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result (or plan) as JSON.")] = False,
) -> None:
    """Train one method on one task, predict the target's test split and score it.

    Example:  dabench run --method prefer-das --po slpo --task vnc2lucchi --preset small --seed 0
    """
    given = dict(locals())
    from dabench.api.run import configured, prepare
    from dabench.runs.plan import describe

    loaded = configured({**given, "test_points": _shares(test_points)}, config, sets or [])
    if dry_run:
        prepared = prepare(loaded, cache=not no_cache, warn=_warn)
        typer.echo(json.dumps(describe(prepared.plan), indent=1)) if as_json else _show_plan(prepared.plan)
        raise typer.Exit
    carry_out(loaded, tracker, cache=not no_cache, as_json=as_json)


def carry_out(config: RunConfig, tracker: str, *, cache: bool = True, as_json: bool = False) -> None:
    """Run a configuration: its plan, its progress, its scores."""
    from dabench.api.progress import make_display
    from dabench.api.run import prepare

    prepared = prepare(config, cache=cache, warn=_warn)
    if not as_json:
        _show_plan(prepared.plan)
    with make_display(quiet=as_json) as display:
        done = prepared.execute(display, tracker, _warn)
    if as_json:
        typer.echo(json.dumps(_as_json(done.record), indent=1))
    else:
        _show_result(done)


def validate(
    config: Annotated[Path, typer.Argument(help="YAML file with settings.")],
    sets: Set = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the full configuration as JSON.")] = False,
) -> None:
    """Check a configuration file without running it: every key, every component, every value.

    Example:  dabench validate my-run.yaml
    """
    from dabench.components.registry import Registry
    from dabench.files.workspace import Workspace
    from dabench.runs.config import load_config
    from dabench.runs.plan import make_plan

    loaded = load_config({}, config, sets or [])
    plan = make_plan(loaded, Registry.load(), Workspace.find())
    if as_json:
        typer.echo(json.dumps(loaded.model_dump(mode="json"), indent=1))
    else:
        typer.echo(f"{config}: valid; cell {plan.config.cell_id}")


def _shares(text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.replace("|", ",").split(","))
    except ValueError:
        raise typer.BadParameter(f"--test-points {text!r}: numbers between 0 and 1, comma-separated.") from None


def _warn(text: str) -> None:
    typer.echo(f"warning: {text}", err=True)


def _show_plan(plan: Plan) -> None:
    config = plan.config
    typer.echo(
        f"{config.cell_id}: {plan.task.source} → {plan.task.target} ({config.data} data, preset {config.preset})"
    )
    rater = "simulated rater" if config.budget.rater == "truth" else f"{config.budget.rater} rater"
    points = f"the points of {file}" if (file := config.budget.points_file) else f"{plan.budget.points:.0%} of points"
    answers = f" (answers of {file})" if (file := config.budget.preferences_file) else ""
    others = "".join(f", {share:.0%} of {kind}" for kind, share in plan.budget.others.items())
    typer.echo(f"  budget: {points}, {plan.budget.patches:.0%} of patches{answers}{others}, {rater}")
    for note in (*plan.notes, *plan.answers):
        typer.echo(f"  note: {note}")
    if plan.skip:
        typer.echo(f"  skipped: {plan.skip}")
    for path in plan.missing:
        typer.echo(f"  missing: {path}")
    for name in (name for name, digest in plan.weights.items() if not digest):
        typer.echo(f"  weights {name!r} are not in the store (dabench weights add); a backbone may ask the timm hub")
    for number, stage in enumerate(plan.stages, 1):
        state = {"cached": "reused", "resumes": "continues", "new": "to train", "frozen": "not trained"}[stage.state]
        typer.echo(
            f"  stage {number}: {stage.spec.name:<12} {stage.spec.iterations:>6} updates   {state}   {stage.key[:10]}"
        )
    if plan.stages and (why := plan.task.unscored()):
        typer.echo(f"  no scores: {why}")
    if len(plan.candidates) > 1:
        held = f", by {plan.desk.held_out} points held out" if plan.desk and plan.desk.held_out else ""
        typer.echo(f"  choice: {plan.choice.name}, among {len(plan.candidates)} candidates of the last stage{held}")


def _show_result(done: Run) -> None:
    from dabench.cli.tables import console as make_console
    from dabench.cli.tables import show

    console, record = make_console(), done.record
    if record.status == "skipped":
        console.print(f"skipped: {record.reason}")
        return
    if done.outcomes:
        show(_scores(done), console)
    else:
        console.print(f"no scores: {record.reason}", soft_wrap=True)
    for line in _choice(record):
        console.print(line, highlight=False, soft_wrap=True)
    if (word := record.tags.get("guard", "good")) != "good":
        console.print(f"warning: {word}", style="yellow", highlight=False, soft_wrap=True)
    cost = record.costs.annotation_seconds or 0.0
    rater = record.tags.get("rater", "")
    who = "simulated " if rater.startswith("simulated") else "partly simulated " if "simulated" in rater else ""
    console.print(f"annotation: {cost / 60:.1f} min of a {who}person")
    if line := _preferences(record):
        console.print(line, highlight=False, soft_wrap=True)
    shown = _short(done.path)
    panels = f"\npanels:   {shown}/panels" if done.outcomes else ""
    console.print(f"run:      {shown}{panels}", soft_wrap=True)
    if done.tracking_uri:
        console.print("browse:   dabench ui   (MLflow)")


def _scores(done: Run) -> Table:
    """A row for each stage and share of test points."""
    from dabench.files.tables import Column, Number, Table

    rows: list[tuple[Cell, ...]] = []
    metrics = list(dict.fromkeys(m for o in done.outcomes for score in o.scores for m in score.metrics))
    for outcome in done.outcomes:
        trained = outcome.planned.folder.record()
        seconds = f"{trained.seconds:.0f} s" if trained else ""
        reused = " (reused)" if outcome.planned.state == "cached" else ""
        for score in outcome.scores:
            cells = [Number(score.metrics[m], digits=3) if m in score.metrics else "" for m in metrics]
            rows.append((outcome.title, f"{score.test_points:.0%}", *cells, seconds + reused))
    heads = [{"dice": "Dice", "aji": "AJI", "pq": "PQ"}.get(m, m) for m in metrics]
    columns = [Column("after", "text"), *map(Column, ("prompts at test", *heads, "training"))]
    return Table.of(
        columns, rows, f"{done.config.task} ({done.config.data}, {done.config.preset}, {done.config.protocol})"
    )


def _choice(record: RunRecord) -> Iterator[str]:
    """Who predicts and why, and, apart from the result, what the test labels would have chosen."""
    found, apart = record.selected, record.regret
    if found is None:
        return
    yield (
        f"chosen:   update {found.update}, threshold {found.threshold:g}, by {found.selector} "
        f"(score {found.score:.4g}; {len(found.candidates)} candidates)"
    )
    if apart is not None:
        yield (
            f"apart:    target labels would choose update {apart.update}, threshold {apart.threshold:g}; "
            f"the choice without them lost {apart.best - apart.chosen:.3f} {apart.metric} (never ranked)"
        )


def _preferences(record: RunRecord) -> str:
    """How many questions of a person's file were answered, and how many answers were of use; "" without a file."""
    said = record.annotation.preferences if record.annotation else {}
    if not (asked := said.get("asked")):
        return ""
    origin = f" ({found})" if (found := record.tags.get("preference_set")) else ""
    return (
        f"preferences: {said['answered']} of {asked} questions answered ({said['answered'] / asked:.0%}), "
        f"{said['used']} used ({said['used'] / asked:.0%}): {said['ties']} ties, {said['bad']} all bad{origin}"
    )


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _as_json(record: RunRecord) -> dict[str, Any]:
    return {
        "cell_id": record.cell_id,
        "status": record.status,
        "reason": record.reason,
        "guard": record.tags.get("guard", "none"),
        "tags": dict(record.tags),
        "metrics": dict(record.metrics),
        "altered": [{"work": event.work, "reason": event.reason} for event in record.altered],
        "path": str(record.path),
    }
