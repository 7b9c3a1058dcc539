"""What ``dabench run`` prints: the plan, and what a run came to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from dabench.cli.tables import console as make_console
from dabench.cli.tables import show, show_place
from dabench.errors import DabenchError
from dabench.files.tables import Cell, Column, Number, Table

if TYPE_CHECKING:
    from dabench.api.run import PreparedRun, Run
    from dabench.tracking.record import RunRecord


def show_plan(prepared: PreparedRun) -> None:
    """Print a plan: the budget, what is missing, each stage and how it stands, and the threads that train."""
    plan = prepared.plan
    config = plan.config
    typer.echo(
        f"{config.cell_id}: {plan.task.source} → {plan.task.target} ({config.data} data, preset {config.preset})"
    )
    rater = "simulated rater" if config.budget.rater == "truth" else f"{config.budget.rater} rater"
    points = f"the points of {file}" if (file := config.budget.points_file) else f"{plan.budget.points:.0%} of points"
    answers = f" (answers of {file})" if (file := config.budget.preferences_file) else ""
    others = "".join(f", {share:.0%} of {kind}" for kind, share in plan.budget.others.items())
    typer.echo(f"  budget: {points}, {plan.budget.patches:.0%} of patches{answers}{others}, {rater}")
    if config.test_points_file is not None:
        typer.echo(f"  test prompts: the points of {config.test_points_file}")
    for note in (*plan.notes, *plan.answers):
        typer.echo(f"  note: {note}")
    if plan.skip:
        typer.echo(f"  skipped: {plan.skip}")
    for path in plan.missing:
        typer.echo(f"  missing: {path}")
    told = " ".join(plan.lacks)
    for name in (name for name, digest in plan.weights.items() if not digest and repr(name) not in told):
        typer.echo(f"  weights {name!r} are not in the store (dabench weights add); a backbone may download them")
    for number, stage in enumerate(plan.stages, 1):
        state = {"cached": "reused", "resumes": "continues", "new": "to train", "frozen": "not trained"}[stage.state]
        typer.echo(
            f"  stage {number}: {stage.spec.name:<12} {stage.spec.iterations:>6} updates   {state}   {stage.key[:10]}"
        )
    if any(stage.state in ("new", "resumes") for stage in plan.stages):
        typer.echo(f"  threads: {prepared.threads}")
    if plan.stages and (why := plan.task.unscored()):
        typer.echo(f"  no scores: {why}")
    if len(plan.candidates) > 1:
        held = f", using {plan.desk.held_out} held-out points" if plan.desk and plan.desk.held_out else ""
        typer.echo(f"  selector: {plan.choice.name}, among {len(plan.candidates)} candidates of the last stage{held}")


def show_training_left(prepared: PreparedRun) -> None:
    """Print how long training would take, after a few updates where nothing like it has run here."""
    from dabench.api.progress import clock
    from dabench.runs.speed import training_left

    def tell(text: str) -> None:
        typer.echo(f"  {text} ...", err=True)

    try:
        left = training_left(prepared.plan, prepared.registry, prepared.workspace, tell)
    except DabenchError as error:
        typer.echo(f"  training time not measured: {error}")
        return
    if left.stages:
        total = f"about {clock(left.seconds)}" if left.seconds else "not known"
        more = f", plus stages of unknown time: {', '.join(left.unknown)}" if left.seconds and left.unknown else ""
        typer.echo(f"  training: {total}{more}")
    for stage in left.stages:
        seconds = "?" if stage.seconds is None else clock(stage.seconds)
        typer.echo(f"    {stage.name:<12} {seconds:>10}   {stage.basis}")


def show_result(done: Run) -> None:
    """Print what a run came to: scores, the choice, what annotation cost, and where everything lies."""
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
        console.print(f"warning: {word}", style="doubtful", soft_wrap=True)
    cost = record.costs.annotation_seconds or 0.0
    rater = record.tags.get("rater", "")
    who = "simulated " if rater.startswith("simulated") else "partly simulated " if "simulated" in rater else ""
    console.print(f"annotation: {cost / 60:.1f} min of a {who}rater")
    if line := _preferences(record):
        console.print(line, highlight=False, soft_wrap=True)
    show_place("run:      ", done.path, console)
    if done.outcomes:
        show_place("panels:   ", done.path / "panels", console)
    if done.tracking_uri:
        console.print("browse:   dabench ui   (MLflow)")


def _scores(done: Run) -> Table:
    """A row for each stage and share of test points."""
    rows: list[tuple[Cell, ...]] = []
    metrics = list(dict.fromkeys(m for o in done.outcomes for score in o.scores for m in score.metrics))
    for outcome in done.outcomes:
        trained = outcome.planned.folder.record()
        seconds = f"{trained.seconds:.0f} s" if trained else ""
        reused = " (reused)" if outcome.planned.state == "cached" else ""
        for score in outcome.scores:
            cells = [Number(score.metrics[m], digits=3) if m in score.metrics else "" for m in metrics]
            prompts = "recorded" if done.config.test_points_file else f"{score.test_points:.0%}"
            rows.append((outcome.title, prompts, *cells, seconds + reused))
    heads = [{"dice": "Dice", "aji": "AJI", "pq": "PQ"}.get(m, m) for m in metrics]
    columns = [Column("after", "text"), *map(Column, ("prompts at test", *heads, "training"))]
    return Table.of(
        columns, rows, f"{done.config.task} ({done.config.data}, {done.config.preset}, {done.config.protocol})"
    )


def _choice(record: RunRecord) -> Iterator[str]:
    """The checkpoint that was chosen and why, and separately the choice by test labels."""
    found, apart = record.selected, record.regret
    if found is None:
        return
    yield (
        f"chosen:   update {found.update}, threshold {found.threshold:g}, by selector {found.selector} "
        f"(score {found.score:.4g}; {len(found.candidates)} candidates)"
    )
    if record.model is not None and record.model.stage != found.stage:
        used = record.model
        yield f"used:     {used.stage} instead: update {used.update}, threshold {used.threshold:g}, not by a choice"
    if apart is not None:
        yield (
            f"for comparison: target labels would choose update {apart.update}, threshold {apart.threshold:g}; "
            f"choosing without them lost {apart.best - apart.chosen:.3f} {apart.metric} (never ranked)"
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
