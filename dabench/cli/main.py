"""``dabench``: the root command, global options, and errors that say what to do."""

from __future__ import annotations

import errno
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException

from dabench.cli import (
    annotate,
    components,
    data,
    disk,
    doctor,
    evaluate,
    figure,
    leaderboard,
    measure,
    models,
    new_plugin,
    plugins,
    predict,
    reproduce,
    rerun,
    results,
    run,
    schema,
    skills,
    suite,
    ui,
    verify,
    view,
    weights,
)
from dabench.cli.json_output import JsonAlone
from dabench.cli.version import show_version
from dabench.errors import DabenchError
from dabench.files.printable import printable

app = typer.Typer(
    cls=JsonAlone,
    name="dabench",
    help="Train, compare and apply domain adaptive segmentation methods for electron microscopy.\n\n"
    "First steps:  dabench run --method prefer-das --po slpo --task human2stem --data phantom --preset tiny",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


#: What typer returns after Ctrl-C inside a command.
_CTRL_C = 130
_INTERRUPTED = "\ninterrupted; start the same command again to continue."


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    workspace: Annotated[
        Path | None, typer.Option(help="Folder for runs, weights, cards and the MLflow store [default: workspace/].")
    ] = None,
    plugin: Annotated[list[Path] | None, typer.Option(help="Load a single plugin file for a quick trial.")] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="With --version: also print the versions of Python, torch and other packages, as JSON."
        ),
    ] = False,
) -> None:
    """Options before the command hold for every command; the environment carries them to wherever they are needed."""
    del debug
    if version:
        show_version(as_json)
        raise typer.Exit
    if as_json:
        context.fail("--json goes after a command or with --version.")
    if context.invoked_subcommand is None:
        context.fail("Missing command.")
    if workspace is not None:
        os.environ["DABENCH_WORKSPACE"] = str(workspace)
    if plugin:
        os.environ["DABENCH_PLUGIN_FILES"] = os.pathsep.join(str(p.absolute()) for p in plugin)


for command in (
    *(run.run, run.validate, components.ls, components.info, predict.predict, measure.measure, view.view),
    *(evaluate.evaluate, doctor.doctor, ui.ui, disk.disk, disk.clean, leaderboard.leaderboard, verify.verify),
    *(reproduce.reproduce, rerun.rerun, new_plugin.new_plugin, schema.schema, skills.skills),
):
    app.command()(command)
for group in (annotate, plugins, data, models, weights, results, suite, figure):
    app.add_typer(group.app, name=group.__name__.rpartition(".")[2])


def main() -> None:
    """Entry point. Exit codes: 0 ok, 1 a cell failed, 2 usage or configuration, 3 data or weights missing.

    `dabench rerun` has 4, too: no verdict.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a cluster's stop says how to continue, as Ctrl-C does
    debug = "--debug" in sys.argv
    arguments = [a for a in sys.argv[1:] if a != "--debug"]
    try:
        code = app(args=arguments, prog_name="dabench", standalone_mode=False)
        if code == _CTRL_C:
            typer.echo(_INTERRUPTED, err=True)
        sys.exit(code if isinstance(code, int) else 0)
    except typer.Exit as stop:
        sys.exit(stop.exit_code)
    except typer.Abort:  # a question that was not answered
        typer.echo(_INTERRUPTED, err=True)
        sys.exit(_CTRL_C)
    except TyperException as error:
        show = getattr(error, "show", None)  # only usage errors have it
        show() if show else typer.echo(f"error: {printable(str(error))}", err=True)
        sys.exit(2)
    except DabenchError as error:
        if debug:
            raise
        typer.echo(f"error: {printable(str(error))}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        typer.echo(_INTERRUPTED, err=True)
        sys.exit(_CTRL_C)
    except BrokenPipeError:
        sys.exit(0)
    except OSError as error:
        if debug:
            raise
        typer.echo(f"error: {error.strerror or error}: {printable(str(error.filename or ''))}", err=True)
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            typer.echo(
                "  Where the workspace cannot be written, name another one:  dabench --workspace FOLDER ...", err=True
            )
        sys.exit(3)
    except Exception as error:
        if debug:
            raise
        told = printable(f"{type(error).__name__}: {error}")
        typer.echo(f"error: {told}\n  This is a bug in dabench; --debug shows the traceback.", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
