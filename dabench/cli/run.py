"""``dabench run`` and ``dabench validate``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from dabench.runs.plan import Plan
    from dabench.runs.runner import Runner
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
    po: Annotated[str | None, typer.Option(help="Preference optimizer: gpo lpo slpo upo none.")] = None,
    data: Annotated[str | None, typer.Option(help="real or phantom.")] = None,
    preset: Annotated[str | None, typer.Option(help="tiny, small or paper.")] = None,
    seed: Annotated[int | None, typer.Option(help="Training seed.")] = None,
    backbone: Annotated[str | None, typer.Option(help="Image encoder instead of the preset's.")] = None,
    points: Annotated[
        str | None, typer.Option(help="Share of target mitochondria with a point, or a recorded points file.")
    ] = None,
    patches: Annotated[float | None, typer.Option(help="Share of target patches asked about.")] = None,
    preferences: Annotated[Path | None, typer.Option(help="A recorded preferences file.")] = None,
    rater: Annotated[str | None, typer.Option(help="truth (simulated), self or recorded.")] = None,
    rater_error: Annotated[float | None, typer.Option(help="Error rate of the simulated rater.")] = None,
    test_points: Annotated[
        str | None, typer.Option(help="Shares of test centres given as prompts, comma-separated: 0,0.15,0.5,1.")
    ] = None,
    protocol: Annotated[str | None, typer.Option(help="Rule of scoring.")] = None,
    inference: Annotated[str | None, typer.Option(help="fast, paper or tiles.")] = None,
    selector: Annotated[str | None, typer.Option(help="Who chooses the checkpoint (dabench ls selectors).")] = None,
    snapshots: Annotated[int | None, typer.Option(help="Checkpoints of the last stage to choose among.")] = None,
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
    flags: dict[str, Any] = {
        "method": method,
        "task": task,
        "po": po,
        "data": data,
        "preset": preset,
        "seed": seed,
        "backbone": backbone,
        "protocol": protocol,
        "inference": inference,
        "selector": selector,
        "snapshots": snapshots,
        "source_checkpoint": source_checkpoint,
        "device": device,
        "budget.patches": patches,
        "budget.rater": rater,
        "budget.rater_error": rater_error,
        "test_points": _shares(test_points),
        **_points(points, preferences),
    }
    from dabench.cli.progress import make_display
    from dabench.components.registry import Registry
    from dabench.files.workspace import Workspace
    from dabench.runs.config import load_config
    from dabench.runs.plan import describe, make_plan
    from dabench.runs.runner import Runner

    loaded = load_config(flags, config, sets or [])
    registry, workspace = Registry.load(), Workspace.find()
    _warn_plugins(registry)
    plan = make_plan(loaded, registry, workspace, cache=not no_cache)
    if dry_run:
        typer.echo(json.dumps(describe(plan), indent=1)) if as_json else _show_plan(plan)
        raise typer.Exit
    if not as_json:
        _show_plan(plan)
    with make_display(quiet=as_json) as display:
        runner = Runner(plan, registry, workspace, display)
        try:
            record = runner.execute()
        finally:
            uri = _track(tracker, runner, workspace)
    if as_json:
        typer.echo(json.dumps(_as_json(record), indent=1))
    else:
        _show_result(record, runner, uri)


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


def _points(points: str | None, preferences: Path | None) -> dict[str, Any]:
    """``--points 0.15`` is a share; ``--points clicks.csv`` a person's file."""
    found: dict[str, Any] = {}
    if preferences is not None:
        found |= {"budget.preferences_file": preferences, "budget.rater": "recorded"}
    if points is None:
        return found
    try:
        return found | {"budget.points": float(points)}
    except ValueError:
        return found | {"budget.points_file": Path(points), "budget.rater": "recorded"}


def _warn_plugins(registry: Any) -> None:
    for status in registry.failures():
        typer.echo(f"warning: plugin {status.name!r} of {status.distribution} did not load: {status.error}", err=True)


def _show_plan(plan: Plan) -> None:
    config = plan.config
    typer.echo(
        f"{config.cell_id}: {plan.task.source} → {plan.task.target} ({config.data} data, preset {config.preset})"
    )
    rater = "simulated rater" if config.budget.rater == "truth" else f"{config.budget.rater} rater"
    points = f"the points of {file}" if (file := config.budget.points_file) else f"{plan.budget.points:.0%} of points"
    others = "".join(f", {share:.0%} of {kind}" for kind, share in plan.budget.others.items())
    typer.echo(f"  budget: {points}, {plan.budget.patches:.0%} of patches{others}, {rater}")
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
        typer.echo(f"  choice: {config.selector}, among {len(plan.candidates)} candidates of the last stage")


def _track(tracker: str, runner: Runner, workspace: Any) -> str:
    """Write the run to MLflow; a store that fails never loses the result, which is in the run directory already."""
    if tracker == "none" or not (runner.path / "journal.jsonl").is_file():
        return ""
    from dabench.tracking.mlflow_writer import MlflowWriter
    from dabench.tracking.record import read_run

    uri = workspace.tracking_uri if tracker == "mlflow" else tracker
    try:
        MlflowWriter(uri, workspace.artifacts if tracker == "mlflow" else None).write(read_run(runner.path))
    except Exception as error:
        typer.echo(f"warning: MLflow: {error}\n  Nothing is lost; later: dabench results sync", err=True)
    return str(uri)


def _show_result(record: RunRecord, runner: Runner, uri: str) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if record.status == "skipped":
        console.print(f"skipped: {record.reason}")
        return
    table = Table(
        title=f"{runner.config.task} ({runner.config.data}, {runner.config.preset}, {runner.config.protocol})"
    )
    results = runner.results.by_stage if runner.results else []
    metrics = list(dict.fromkeys(m for o in results for score in o.scores for m in score.metrics))
    heads = [{"dice": "Dice", "aji": "AJI", "pq": "PQ"}.get(m, m) for m in metrics]
    for column in ("after", "prompts at test", *heads, "training"):
        table.add_column(column, justify="left" if column == "after" else "right")
    for outcome in results:
        name, done = outcome.title, outcome.planned.folder.record()
        for score in outcome.scores:
            cells = [f"{score.metrics[m]:.3f}" if m in score.metrics else "" for m in metrics]
            seconds = f"{done.seconds:.0f} s" if done else ""
            reused = " (reused)" if outcome.planned.state == "cached" else ""
            table.add_row(name, f"{score.test_points:.0%}", *cells, seconds + reused)
    console.print(table if results else f"no scores: {record.reason}", highlight=False, soft_wrap=True)
    for line in _choice(record):
        console.print(line, highlight=False, soft_wrap=True)
    cost = record.metrics.get("cost/annotation_seconds", 0.0)
    console.print(
        f"annotation: {cost / 60:.1f} min of a {'simulated ' if runner.config.budget.rater == 'truth' else ''}person"
    )
    shown = _short(runner.path)
    panels = f"\npanels:   {shown}/panels" if results else ""
    console.print(f"run:      {shown}{panels}", soft_wrap=True)
    if uri:
        console.print("browse:   dabench ui   (MLflow)")


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
        "tags": dict(record.tags),
        "metrics": dict(record.metrics),
        "path": str(record.path),
    }
