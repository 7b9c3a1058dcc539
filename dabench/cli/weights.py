"""``dabench weights``: pretrained weights from local files, with recorded digests."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from dabench.cli.json_output import print_json
from dabench.files.workspace import Workspace

app = typer.Typer(help="List and add pretrained weights.", no_args_is_help=True, rich_markup_mode=None)


@app.command("ls")
def ls(as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False) -> None:
    """List added weights with size, digest, terms and training data, and the weights that components need.

    Example:  dabench weights ls
    """
    from dabench.components.registry import Registry
    from dabench.runs.weights import WeightsStore, wanted

    store = WeightsStore(Workspace.find().weights)
    records = store.records()
    if as_json:
        print_json([asdict(record) for record in records])
        return
    for record in records:
        size = f"{record.parameters / 1e6:.1f} M parameters"
        typer.echo(f"{record.name:<20} {size:<22} sha256 {record.sha256[:12]}  from {record.origin}")
        if record.trained_on:
            terms = ", ".join(f"{what} {licence}" for what, licence in record.licences.items())
            typer.echo(f"{'':<20} trained on {record.trained_on}; {terms}")
    for name, (component, where) in wanted(Registry.load()).items():
        if name not in {record.name for record in records}:
            typer.echo(f"{name:<20} not added; {component} asks for it: {where}")


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Name by which settings refer to it, for example dino-vits8.")],
    file: Annotated[Path, typer.Argument(help="A .safetensors file, or a .pth that holds tensors only.")],
) -> None:
    """Copy weights into the workspace as safetensors and record their digest. Pickles that run code are refused.

    For names that a component defines (dabench weights ls), keys and shapes are checked, and their training data and
    terms are recorded.

    Example:  dabench weights add dino-vits8 dino_deitsmall8_pretrain.pth
    """
    from dabench.components.registry import Registry
    from dabench.runs.weights import WeightsStore, published

    known = published(Registry.load()).get(name)
    record = WeightsStore(Workspace.find().weights).add(name, file, known)
    typer.echo(
        f"added {record.name}: {record.tensors} tensors, {record.parameters:,} parameters, sha256 {record.sha256[:12]}"
    )
    if known is None:
        typer.echo("  training data unknown: no component of dabench defines this name")
