"""``dabench ui``: MLflow's pages on the workspace's runs."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from dabench.errors import ConfigError
from dabench.files.workspace import Workspace

_PAGE = "http://127.0.0.1:{port}/#/experiments?workflowType=machine_learning"


def ui(
    port: Annotated[int, typer.Option(help="Port on this machine.", min=1, max=65535)] = 5000,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the command and stop.")] = False,
) -> None:
    """Update the MLflow store of the workspace and open MLflow. Stop it with Ctrl-C.

    Example:  dabench ui --port 5001
    """
    place = Workspace.find()
    command = _command(place.tracking_uri, port)
    if dry_run:
        typer.echo(shlex.join(command))
        return
    if _taken(port):
        raise ConfigError(f"port {port} is in use.", f"Use another one: dabench ui --port {port + 1}")
    _sync(place)
    typer.echo(f"all experiments: {_PAGE.format(port=port)}  (Ctrl-C stops it)")
    _serve(command)


def _command(uri: str, port: int) -> list[str]:
    import sys

    server = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--uvicorn-opts", "--log-level warning"]
    return [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, *server]


def _taken(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _sync(place: Workspace) -> None:
    """Bring the store up to date, and say how it went."""
    from dabench.suites.suite_record import all_rows
    from dabench.tracking.replay import sync

    report = sync(place, rows=all_rows(place), warn=lambda text: typer.echo(text, err=True))
    typer.echo(f"{len(report.written)} runs written, {len(report.unchanged)} unchanged")
    for message in report.damaged:
        typer.echo(f"left out: {message}", err=True)


def _serve(command: list[str]) -> None:
    """Run the server in a session of its own, so that Ctrl-C and `kill` stop it with all that it starts."""
    import os
    import signal
    import subprocess

    from dabench.tracking.mlflow_store import quiet_environment

    environment = {**os.environ, **quiet_environment(), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        code = process.wait()
    except KeyboardInterrupt:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        return
    if code:
        raise typer.Exit(1)
