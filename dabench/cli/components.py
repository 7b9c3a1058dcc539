"""``dabench ls`` and ``dabench info``: what is registered, and one component in detail."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from dabench.cli.json_output import print_json
from dabench.cli.tables import console, show
from dabench.components.packages import told
from dabench.errors import UnknownNameError
from dabench.files.tables import Column, Table

if TYPE_CHECKING:
    from dabench.components.listing import Listed, Listing


def ls(
    kind: Annotated[
        str | None, typer.Argument(help="methods, domains, backbones, preference-optimizers, ... (all).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List what is registered, by kind, with one line each.

    Example:  dabench ls methods
    """
    from dabench.components.listing import read_listing

    listing = read_listing()
    kinds = [kind_called(kind)] if kind else _kinds()
    if as_json:
        print_json([asdict(item) for k in kinds for item in listing.of_kind(k)])
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
    from dabench.components.listing import read_listing

    listing = read_listing()
    items = listing.find(name)
    if as_json:
        records = [asdict(item) | {"settings": listing.settings_of(item, preset)} for item in items]
        print_json(records)
        return
    for item in items:
        _show(listing, item, preset)


def _kinds() -> list[str]:
    from dabench.components.hookspecs import KINDS

    return list(KINDS)


def kind_called(text: str) -> str:
    """The kind that a word means: methods, method, weak-labels, domains ..."""
    plain = text.lower().replace("-", "_")
    for kind in _kinds():
        if plain in (kind, f"{kind}s"):
            return kind
    raise UnknownNameError("kind", text, [f"{kind.replace('_', '-')}s" for kind in _kinds()])


def _table(kinds: list[str], listing: Listing) -> None:
    rows = [
        (kind.replace("_", " ") if number == 0 else "", item.name, f"{item.summary}{_lacks(item)}", item.distribution)
        for kind in kinds
        for number, item in enumerate(listing.of_kind(kind))
    ]
    show(Table.of([Column(name, "text") for name in ("kind", "name", "summary", "from")], rows))


def _lacks(item: Listed) -> str:
    """What a component needs that is not installed, to stand behind its summary."""
    return f" [{lacking}]" if (lacking := told(item.needs)) else ""


def _show(listing: Listing, item: Listed, preset: str) -> None:
    from rich.text import Text

    to, origin = console(), f"{item.distribution}, {item.plugin}"
    to.print(Text.assemble((item.name, "title"), f" ({item.kind.replace('_', ' ')}): {item.summary}"))
    for label, value in (
        ("paper", item.paper),
        ("licence", item.licence),
        ("from", origin),
        ("lacks", told(item.needs)),
    ):
        if value:
            to.print(Text(f"  {label}: {value}"))
    values, meanings = listing.settings_of(item, preset), listing.meanings(item)
    if values:
        rows = [(f"{item.name}.{key}", json.dumps(value), meanings[key]) for key, value in values.items()]
        columns = [Column(name, "text") for name in ("setting", "value", "meaning")]
        show(Table.of(columns, rows, f"settings, preset {preset}"), to)
