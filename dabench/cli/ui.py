"""``dabench ui``: MLflow's pages on the workspace's runs."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer


def ui(
    port: Annotated[int, typer.Option(help="Port on this machine.", min=1, max=65535)] = 5000,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the command and stop.")] = False,
    workspace: Annotated[
        Path | None, typer.Option("--workspace", help="Workspace folder (default: DABENCH_WORKSPACE, else workspace/).")
    ] = None,
) -> None:
    """Open the workspace's runs in MLflow, after bringing its store up to date. Stop it with Ctrl-C.

    Example: dabench ui --port 5001
    """
    from dabench.errors import ConfigError
    from dabench.workspace import Workspace

    place = Workspace.find(workspace)
    command = _command(place.tracking_uri, port)
    if dry_run:
        typer.echo(shlex.join(command))
        return
    if _taken(port):
        raise ConfigError(f"port {port} is in use.", f"Take another one: dabench ui --port {port + 1}")
    _sync(place.root)
    typer.echo(f"http://127.0.0.1:{port}/#/experiments  (Ctrl-C stops it)")
    _serve(command)


def _command(uri: str, port: int) -> list[str]:
    import sys

    server = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    return [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, *server]


def _taken(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _sync(root: Path) -> None:
    from dabench.tracking.replay import sync
    from dabench.workspace import Workspace

    report = sync(Workspace(root))
    typer.echo(f"{len(report.written)} runs written, {len(report.unchanged)} unchanged")
    for message in report.damaged:
        typer.echo(f"left out: {message}", err=True)


def _serve(command: list[str]) -> None:
    import os
    import subprocess

    from dabench.tracking.mlflow_writer import quiet_environment

    process = subprocess.Popen(command, env={**os.environ, **quiet_environment()})
    try:
        code = process.wait()
    except KeyboardInterrupt:
        process.terminate()
        code = process.wait()
    if code > 0:
        raise typer.Exit(1)
