"""``dabench ls`` and ``dabench info``: what is registered, and one component in detail."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from dabench.components.listing import Listing
    from dabench.components.registry import Registered, Registry


def attach(app: typer.Typer) -> None:
    """Add the commands to the root."""
    app.command("ls")(ls)
    app.command("info")(info)


def ls(
    kind: Annotated[
        str | None, typer.Argument(help="methods, domains, backbones, preference-optimizers, ... (all).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List what is registered, by kind, with one line each.

    Example:  dabench ls methods
    """
    from dataclasses import asdict

    from dabench.components.listing import read_listing

    listing = read_listing()
    kinds = [kind_called(kind)] if kind else _kinds()
    if as_json:
        typer.echo(json.dumps([asdict(item) for k in kinds for item in listing.of_kind(k)], indent=1))
    else:
        _table(kinds, listing)
    for status in listing.failures():
        typer.echo(f"warning: plugin {status.name!r} of {status.distribution} did not load: {status.error}", err=True)


def info(
    name: Annotated[str, typer.Argument(help="A component's name, or KIND:NAME.")],
    preset: Annotated[str, typer.Option(help="Show the settings of this preset.")] = "small",
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Show one component: what it is, where it comes from, and every setting with its value and meaning.

    Example:  dabench info mean-teacher --preset paper
    """
    from dabench.components.registry import Registry
    from dabench.errors import UnknownNameError

    registry = Registry.load()
    kind, colon, rest = name.partition(":")
    kinds = [kind] if colon else registry.kinds_of(name)
    if not kinds:
        raise UnknownNameError("component", name, {item.name for item in registry})
    items = [registry.get(k, rest if colon else name) for k in kinds]
    if as_json:
        typer.echo(json.dumps([_record(i, registry, preset) for i in items], indent=1))
        return
    for item in items:
        _show(registry, item, preset)


def _kinds() -> list[str]:
    from dabench.components.hookspecs import KINDS

    return list(KINDS)


def kind_called(text: str) -> str:
    """The kind that a word means: methods, method, weak-labels, domains ..."""
    from dabench.errors import UnknownNameError

    plain = text.lower().replace("-", "_")
    for kind in _kinds():
        if plain in (kind, f"{kind}s"):
            return kind
    raise UnknownNameError("kind", text, [f"{kind.replace('_', '-')}s" for kind in _kinds()])


def _record(item: Registered, registry: Registry, preset: str) -> dict[str, Any]:
    from dataclasses import asdict

    from dabench.components.listing import listed

    return asdict(listed(item)) | {"settings": _settings(registry, item, preset)}


def _settings(registry: Registry, item: Registered, preset: str) -> dict[str, Any]:
    values = registry.settings(item.kind, item.name, preset, {})
    dumped: dict[str, Any] = values.model_dump(mode="json")
    return dumped


def _table(kinds: list[str], listing: Listing) -> None:
    from dabench.cli.tables import show
    from dabench.files.tables import Column, Table

    rows = [
        (kind.replace("_", " ") if number == 0 else "", item.name, item.summary, item.distribution)
        for kind in kinds
        for number, item in enumerate(listing.of_kind(kind))
    ]
    show(Table.of([Column(name, "text") for name in ("kind", "name", "summary", "from")], rows))


def _show(registry: Registry, item: Registered, preset: str) -> None:
    from rich.text import Text

    from dabench.cli.tables import console, show
    from dabench.files.tables import Column, Table

    c, to = item.component, console()
    to.print(Text.assemble((item.name, "bold"), f" ({item.kind.replace('_', ' ')}): {c.summary}"))
    for label, value in (("paper", c.paper), ("licence", c.licence), ("from", f"{item.distribution}, {item.plugin}")):
        if value:
            to.print(Text(f"  {label}: {value}"))
    fields = c.config.model_fields
    if fields:
        settings = _settings(registry, item, preset).items()
        rows = [(f"{item.name}.{key}", json.dumps(value), fields[key].description or "") for key, value in settings]
        columns = [Column(name, "text") for name in ("setting", "value", "meaning")]
        show(Table.of(columns, rows, f"settings, preset {preset}"), to)
