"""``dabench suite``: plan, run and look after a file of cells."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dabench.cli.options import number

if TYPE_CHECKING:
    from dabench.suites.submitting import Asked

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Plan and run suites (files of cells), and show their status."
)

File = Annotated[str, typer.Argument(help="A suite file, or a registered suite's name (dabench ls suites).")]
Data = Annotated[str | None, typer.Option(help="real or phantom, instead of the suite's.")]
Preset = Annotated[str | None, typer.Option(help="tiny, small or paper, instead of the suite's.")]
Tasks = Annotated[str | None, typer.Option(help="Tasks instead of the suite's, comma-separated.")]
Seeds = Annotated[str | None, typer.Option(help="Seeds instead of the suite's, comma-separated.")]
Rows = Annotated[
    list[str] | None, typer.Option(help="Only these rows, comma-separated; a name with commas in an option of its own.")
]
Sets = Annotated[list[str] | None, typer.Option("--set", help="A setting of every cell, NAME.KEY=VALUE (repeatable).")]
Label = Annotated[str | None, typer.Option(help="Name of this version of the methods; they get separate rows.")]
Record = Annotated[
    Path | None,
    typer.Option(help="Recorded results (NAME.jsonl) whose cells count as done, if their keys are the same."),
]
Json = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
Executor = Annotated[str, typer.Option(help="local, ray (several machines), or slurm.")]
GpusPerJob = Annotated[float, number(help="ray, slurm: GPUs per job; with ray also a share of one.", min=0)]
Partition = Annotated[str, typer.Option(help="slurm: partition [default: the cluster's].")]
Time = Annotated[
    str, typer.Option(help="slurm: time limit of a job, H:MM:SS or D-HH:MM:SS; at the limit it is queued again.")
]
Slurm = Annotated[
    list[str] | None,
    typer.Option(help="slurm: an option for sbatch, NAME=VALUE, for example account=lab (repeatable)."),
]


@app.command()
def run(
    file: File,
    data: Data = None,
    preset: Preset = None,
    tasks: Tasks = None,
    seeds: Seeds = None,
    rows: Rows = None,
    sets: Sets = None,
    label: Label = None,
    jobs: Annotated[int | None, typer.Option(help="Jobs at a time [default: one per core, or one per GPU].")] = None,
    threads: Annotated[int, typer.Option(help="Threads per job; results are bit-identical for equal numbers.")] = 1,
    per_gpu: Annotated[int, typer.Option(help="Jobs that share a GPU.")] = 1,
    memory: Annotated[
        float | None, number(help="GiB for all jobs together [default: 90 % of the free memory].")
    ] = None,
    job_memory: Annotated[
        float | None, number(help="GiB per job; a job that needs more fails with status oom.")
    ] = None,
    job_minutes: Annotated[
        float | None, number(help="Minutes after which an unfinished job counts as failed [default: no limit].")
    ] = None,
    retries: Annotated[
        int | None, typer.Option(help="How often a job is started again if its process was killed [0; on a cluster 3].")
    ] = None,
    executor: Executor = "local",
    address: Annotated[
        str, typer.Option(help="Address of a Ray cluster: auto, ray://head:10001 [default: start one here].")
    ] = "",
    share: Annotated[
        str, typer.Option(help="ray: files (nodes share the workspace) or objects (Ray transfers stages and runs).")
    ] = "files",
    gpus_per_job: GpusPerJob = 0.0,
    partition: Partition = "",
    time: Time = "",
    slurm: Slurm = None,
    detach: Annotated[
        bool,
        typer.Option(
            "--detach", help="slurm: submit and exit; the same command later shows progress and writes to MLflow."
        ),
    ] = False,
    record: Record = None,
    tracker: Annotated[str, typer.Option(help="mlflow, none, or a tracking URI.")] = "mlflow",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan with its hours and stop.")] = False,
    as_json: Json = False,
) -> None:
    """Run the unfinished cells of a suite, seed by seed. If a cell fails, the others continue.

    With --record, each cell that finishes is added to that file at once. The file is created if it does not exist.

    Example:  dabench suite run benchmarks/suites/smoke.yaml --jobs 2
    """
    from dabench.cli.suite_report import finish, follow, print_plan
    from dabench.execution.settings import ExecutorSettings
    from dabench.suites.submitting import recorded_of, started

    where = ExecutorSettings(
        executor,
        jobs,
        threads,
        per_gpu,
        memory,
        job_memory,
        retries,
        address,
        share,
        gpus_per_job,
        partition,
        time,
        tuple(slurm or ()),
        job_minutes,
    )
    wanted = asked(file, data, preset, tasks, seeds, sets, label, record, rows)
    if dry_run and executor != "slurm":
        from dabench.suites.planning import make_graph

        print_plan(make_graph(*wanted.load(), threads, recorded_of(record)), as_json, where)
        raise typer.Exit
    with started(wanted, where) as start:
        if dry_run:
            print_plan(start.graph, as_json, where)
        elif detach:
            start.submit(where)
            typer.echo(f"submitted; check with:  dabench suite status {file}")
        else:
            finish(follow(start, where, tracker, quiet=as_json, record=record), as_json)


@app.command()
def plan(
    file: File,
    data: Data = None,
    preset: Preset = None,
    tasks: Tasks = None,
    seeds: Seeds = None,
    rows: Rows = None,
    sets: Sets = None,
    label: Label = None,
    record: Record = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Time a few updates of stages whose speed is not known (minutes).")
    ] = False,
    as_json: Json = False,
) -> None:
    """Print what a suite would do: cells, shared stages and the updates they save, and the time.

    Example:  dabench suite plan prefer-das/table-2 --preset small --tasks vnc2lucchi --seeds 0
    """
    from dabench.cli.suite_report import print_plan
    from dabench.suites.planning import make_graph
    from dabench.suites.submitting import recorded_of

    wanted = asked(file, data, preset, tasks, seeds, sets, label, rows=rows).load()
    tell = partial(typer.echo, err=True) if measure else None
    print_plan(make_graph(*wanted, recorded=recorded_of(record), measure=tell), as_json)


@app.command()
def status(
    file: File,
    data: Data = None,
    preset: Preset = None,
    tasks: Tasks = None,
    seeds: Seeds = None,
    rows: Rows = None,
    sets: Sets = None,
    label: Label = None,
    record: Record = None,
    as_json: Json = False,
) -> None:
    """Print the status of every cell of a suite, and where each running job is and for how long.

    Example:  dabench suite status benchmarks/suites/smoke.yaml
    """
    from dabench.cli.suite_report import finish
    from dabench.suites.submitting import running, status_of

    wanted = asked(file, data, preset, tasks, seeds, sets, label, record, rows)
    finish(status_of(wanted), as_json, running(wanted))


@app.command()
def report(
    file: File,
    source: Annotated[
        Path | None, typer.Option("--from", help="Recorded results (NAME.jsonl) instead of the workspace's runs.")
    ] = None,
    rows: Rows = None,
    by: Annotated[str, typer.Option(help="Which score: dice, aji, pq, or points_15/dice.")] = "dice",
    planned: Annotated[
        Path | None, typer.Option(help="Earlier output of suite plan --json, to compare planned and spent hours.")
    ] = None,
) -> None:
    """Print a suite's table, its named contrasts, failures with their reasons, and cost, as Markdown.

    Example:  dabench suite report benchmarks/suites/core.yaml --from benchmarks/results/core.jsonl
    """
    from dabench.api.progress import make_display
    from dabench.cli.json_output import print_text
    from dabench.leaderboard.suite_report import as_markdown, gather_suite, read_plan

    suite, _, workspace = asked(file, rows=rows).load()
    with make_display(quiet=False, stderr=True) as display:
        found = gather_suite(suite, workspace, source, by, display)
    print_text(as_markdown(found, read_plan(planned) if planned else None))


@app.command()
def cancel(file: File) -> None:
    """Stop the jobs of a suite in Slurm; suite run continues from their checkpoints.

    Example:  dabench suite cancel benchmarks/suites/smoke.yaml
    """
    from dabench.execution.slurm_queue import cancel_all
    from dabench.suites.submitting import site_of

    count = cancel_all(site_of(asked(file)))
    typer.echo(f"{count} jobs stopped" if count else "no jobs of this suite are queued or running in Slurm")


# ------------------------------------------------------------------------------------------------------------ parts
def asked(
    file: str,
    data: str | None = None,
    preset: str | None = None,
    tasks: str | None = None,
    seeds: str | None = None,
    sets: list[str] | None = None,
    label: str | None = None,
    record: Path | None = None,
    rows: list[str] | None = None,
) -> Asked:
    """The suite and what the flags change, unread."""
    from dabench.runs.config import assignments
    from dabench.suites.submitting import Asked

    given = (("data", data), ("preset", preset), ("label", label))
    settings: dict[str, Any] = {k: v for k, v in given if v is not None}
    axes: dict[str, list[Any]] = {}
    if tasks:
        axes["task"] = tasks.split(",")
    if seeds:
        axes["seed"] = _numbers(seeds)
    return Asked(file, {**settings, **assignments(sets or [])}, axes, record, rows or ())


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(f"--seeds {text!r}: whole numbers, comma-separated.") from None
