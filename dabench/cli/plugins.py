"""``dabench plugins``: what is installed, what failed and why, and the conformance suite."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from dabench.cli.json_output import print_json
from dabench.cli.tables import show
from dabench.errors import UnknownNameError
from dabench.files.tables import Column, Table

app = typer.Typer(help="List plugins and check them.", invoke_without_command=True, rich_markup_mode=None)


@app.callback()
def plugins(
    ctx: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False
) -> None:
    """List plugins with distribution and components, and the error of those that do not load.

    Example:  dabench plugins
    """
    if ctx.invoked_subcommand is not None:
        return
    from dabench.components.listing import read_listing

    found = read_listing().plugins
    if as_json:
        print_json([asdict(status) for status in found])
        return
    rows = []
    for status in found:
        shown = f"FAILED: {status.error}" if status.error else " ".join(status.components)
        rows.append((status.name, f"{status.distribution} {status.version}".strip(), shown))
    show(Table.of([Column(name, "text") for name in ("plugin", "distribution", "components")], rows))


@app.command("check")
def check(
    name: Annotated[str, typer.Argument(help="A plugin's or a component's name.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Run the conformance suite on a plugin or on one component.

    Example:  dabench plugins check mean-teacher
    """
    from dabench.components.registry import Registry
    from dabench.testing import check_components

    registry = Registry.load()
    items = [item for item in registry if name in (item.plugin, item.name)]
    if not items:
        failed = registry.plugins.get(name)
        if failed is not None and failed.error:
            typer.echo(f"plugin {name!r} of {failed.distribution} does not load: {failed.error}", err=True)
            raise typer.Exit(1)
        raise UnknownNameError("plugin", name, {*registry.plugins, *(item.name for item in registry)})
    outcomes = check_components(registry, items)
    if as_json:
        print_json([asdict(outcome) for outcome in outcomes])
    else:
        for outcome in outcomes:
            typer.echo(f"{'ok  ' if not outcome.problem else 'FAIL'} {outcome.component}: {outcome.check}")
            if outcome.problem:
                typer.echo(f"     {outcome.problem}")
    if any(outcome.problem for outcome in outcomes):
        raise typer.Exit(1)
