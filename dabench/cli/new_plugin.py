"""``dabench new-plugin``: an installable package around one working component."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer


def new_plugin(
    name: Annotated[str, typer.Argument(help="Name of the package and its component, like my-method.")],
    kind: Annotated[str, typer.Option(help="method, backbone, network, reader, suite ... (every kind of dabench ls).")],
    directory: Annotated[Path, typer.Option(help="Folder in which to create the package's folder.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Overwrite files of an existing folder.")] = False,
) -> None:
    """Write a package with a small working component and a test that runs the conformance suite.

    Example:  dabench new-plugin my-method --kind method
    """
    from dabench.cli.components import kind_called
    from dabench.components.registry import Registry
    from dabench.components.scaffold import check_free, render, write

    plugin = render(name, kind_called(kind))
    check_free(name, plugin.component, directory / name, Registry.load(), force=force)
    folder = write(plugin, directory, force=force)
    typer.echo(f"written: {folder}/  ({plugin.kind.replace('_', ' ')} {plugin.component!r}, package {plugin.module})")
    typer.echo("next:")
    for command in (f"pip install --editable {shlex.quote(str(folder))}", f"dabench plugins check {name}", plugin.use):
        typer.echo(f"  {command}")
