"""``dabench suite``: plan, run and look after a file of cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dabench.cli.options import number

if TYPE_CHECKING:
    from dabench.components.registry import Registry
    from dabench.files.workspace import Workspace
    from dabench.suites.spec import Suite

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Plan and run suites (files of cells), and show their status."
)

File = Annotated[str, typer.Argument(help="A suite file, or a registered suite's name (dabench ls suites).")]
Data = Annotated[str | None, typer.Option(help="real or phantom, instead of what the suite says.")]
Preset = Annotated[str | None, typer.Option(help="tiny, small or paper, instead of what the suite says.")]
Tasks = Annotated[str | None, typer.Option(help="Tasks instead of the suite's, comma-separated.")]
Seeds = Annotated[str | None, typer.Option(help="Seeds instead of the suite's, comma-separated.")]
Sets = Annotated[list[str] | None, typer.Option("--set", help="One setting of every cell, NAME.KEY=VALUE.")]
Label = Annotated[str | None, typer.Option(help="Name of this version of the methods, listed as own rows.")]
Json = Annotated[bool, typer.Option("--json", help="Print as JSON.")]


@app.command()
def run(
    file: File,
    data: Data = None,
    preset: Preset = None,
    tasks: Tasks = None,
    seeds: Seeds = None,
    sets: Sets = None,
    label: Label = None,
    jobs: Annotated[int | None, typer.Option(help="Jobs at a time [default: one per core, or one per GPU].")] = None,
    threads: Annotated[int, typer.Option(help="Threads of a job; results are the same bit for bit per number.")] = 1,
    per_gpu: Annotated[int, typer.Option(help="Jobs that share a GPU.")] = 1,
    memory: Annotated[float | None, number(help="GiB for all jobs together [default: nine tenths of free].")] = None,
    job_memory: Annotated[float | None, number(help="GiB after which a job ends as out of memory.")] = None,
    job_minutes: Annotated[
        float | None, number(help="Minutes after which a job that has not ended counts as failed [default: none].")
    ] = None,
    retries: Annotated[int, typer.Option(help="Further tries of a job whose process was killed.")] = 0,
    executor: Annotated[str, typer.Option(help="local, or ray for several machines.")] = "local",
    address: Annotated[str, typer.Option(help="Ray cluster (auto, ray://head:10001) [default: start one here].")] = "",
    share: Annotated[
        str, typer.Option(help="ray: files (nodes see the workspace) or objects (Ray carries stages and runs).")
    ] = "files",
    gpus_per_job: Annotated[float, number(help="ray: share of a GPU that a job asks for.")] = 0.0,
    tracker: Annotated[str, typer.Option(help="mlflow, none, or a tracking URI.")] = "mlflow",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
    as_json: Json = False,
) -> None:
    """Run what of a suite is not done yet; a cell that fails never stops the others.

    Example:  dabench suite run benchmarks/suites/smoke.yaml --jobs 2
    """
    from dabench.cli.suite_report import finish, print_plan, run_with_lines
    from dabench.execution.settings import ExecutorSettings

    suite, registry, workspace = load(file, data, preset, tasks, seeds, sets, label)
    if dry_run:
        print_plan(suite, registry, workspace, as_json, threads)
        raise typer.Exit
    where = ExecutorSettings(
        executor, jobs, threads, per_gpu, memory, job_memory, retries, address, share, gpus_per_job, job_minutes
    )
    finish(run_with_lines(suite, registry, workspace, where, tracker, quiet=as_json), as_json)


@app.command()
def plan(
    file: File,
    data: Data = None,
    preset: Preset = None,
    tasks: Tasks = None,
    seeds: Seeds = None,
    sets: Sets = None,
    label: Label = None,
    as_json: Json = False,
) -> None:
    """Print what a suite would do: cells, the stages that they share and what that saves, and the time.

    Example:  dabench suite plan prefer-das/table-2 --preset small --tasks vnc2lucchi --seeds 0
    """
    from dabench.cli.suite_report import print_plan

    print_plan(*load(file, data, preset, tasks, seeds, sets, label), as_json)


@app.command()
def status(
    file: File,
    data: Data = None,
    preset: Preset = None,
    tasks: Tasks = None,
    seeds: Seeds = None,
    sets: Sets = None,
    label: Label = None,
    as_json: Json = False,
) -> None:
    """Print how every cell of a suite stands.

    Example:  dabench suite status benchmarks/suites/smoke.yaml
    """
    from dabench.cli.suite_report import finish
    from dabench.suites.schedule import report

    finish(report(*load(file, data, preset, tasks, seeds, sets, label)), as_json)


# ------------------------------------------------------------------------------------------------------------ parts
def load(
    file: str,
    data: str | None,
    preset: str | None,
    tasks: str | None,
    seeds: str | None,
    sets: list[str] | None,
    label: str | None = None,
) -> tuple[Suite, Registry, Workspace]:
    """The suite with what the flags change, and where it runs."""
    from dabench.components.registry import Registry
    from dabench.files.workspace import Workspace
    from dabench.runs.config import assignments
    from dabench.suites.spec import load_suite

    registry = Registry.load()
    suite = load_suite(file, registry)
    given = (("data", data), ("preset", preset), ("label", label))
    settings: dict[str, Any] = {k: v for k, v in given if v is not None}
    axes: dict[str, list[Any]] = {}
    if tasks:
        axes["task"] = tasks.split(",")
    if seeds:
        axes["seed"] = _numbers(seeds)
    return suite.changed({**settings, **assignments(sets or [])}, axes), registry, Workspace.find()


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(f"--seeds {text!r}: whole numbers, comma-separated.") from None
