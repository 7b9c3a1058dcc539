"""``dabench models``: trained models: listed, shown, exported, registered."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dabench.cli.json_output import print_json
from dabench.cli.tables import show
from dabench.files.tables import Column, Table
from dabench.files.workspace import Workspace

if TYPE_CHECKING:
    from dabench.api.model import Model

app = typer.Typer(help="List, show, export and register trained models.", no_args_is_help=True, rich_markup_mode=None)

Reference = Annotated[
    str, typer.Argument(metavar="RUN", help="A cell's id, a run folder, or a model file (dabench models ls).")
]


@app.command("ls")
def ls(as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False) -> None:
    """List models: finished runs of the workspace, and model files in its models/ folder.

    Example:  dabench models ls
    """
    from dabench.models.listing import list_models

    place = Workspace.find()
    found = list(list_models(place))
    if as_json:
        print_json([asdict(one) for one in found], default=str)
        return
    if not found:
        typer.echo(f"no trained models in {place.root} yet. Every finished `dabench run` is a model.")
        return

    rows = []
    for one in found:
        score = f"{one.metric} {one.score:.4f}" if one.score is not None else None
        rows.append((one.name, one.kind, one.task, one.data, one.problem or score))
    columns = [Column("model", "name"), *(Column(name, "text") for name in ("", "task", "data", "score"))]
    show(Table.of(columns, rows))


@app.command("show")
def show_card(
    reference: Reference, as_json: Annotated[bool, typer.Option("--json", help="Print the card as JSON.")] = False
) -> None:
    """Show a model's card: its training data, how to use it, its scores, and its parts.

    Example:  dabench models show models/stem.safetensors --json
    """
    from dabench.models import read_model_card
    from dabench.models.loading import find

    path = find(reference, Workspace.find())
    # A file tells of itself also where the plugins that it needs are not installed.
    card = read_model_card(path) if path.is_file() else _load(reference).card
    typer.echo(card.model_dump_json(indent=1) if as_json else card.page())


@app.command("export")
def export_model(
    reference: Reference,
    output: Annotated[
        Path | None, typer.Option(help="File to write [default: <workspace>/models/NAME.<suffix>].")
    ] = None,
    form: Annotated[
        str, typer.Option("--format", help="safetensors (for dabench), torchscript or onnx (both without prompts).")
    ] = "safetensors",
) -> None:
    """Write a model as one file. TorchScript and ONNX are compared with the model before the file gets its name.

    Example:  dabench models export RUN --format onnx --output stem.onnx
    """
    done = _load(reference).export(output, form)
    typer.echo(f"wrote {done.path} ({done.path.stat().st_size / 1e6:.1f} MB)")
    if done.compared:
        where = f"on random tiles and on tiles of {done.compared}"
        typer.echo(f"largest difference from the model {where}: {done.difference:.2g}")
    for note in done.notes:
        typer.echo(f"  {note}")


@app.command("register")
def register_model(
    reference: Reference,
    name: Annotated[str, typer.Option(help="Name in the registry [default: the cell's id].")] = "",
    to: Annotated[str, typer.Option("--to", help="An MLflow tracking URI [default: the workspace's store].")] = "",
) -> None:
    """Register a model in MLflow as a pyfunc model with a signature, linked to its run if the store has it.

    Example:  dabench models register RUN --name stem-mitochondria
    """
    done = _load(reference).register(name, to)
    said = "registered" if done.new else "is registered already:"
    typer.echo(f"{said} {done.name} version {done.version}" + (f", of MLflow run {done.run_id}" if done.run_id else ""))
    typer.echo(f"mlflow.pyfunc.load_model({done.uri!r})")


def _load(reference: str) -> Model:
    """A model on the CPU; what loading warns of goes to stderr in one line."""
    import warnings

    from dabench.api.model import load_model
    from dabench.models import ModelWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ModelWarning)
        model = load_model(reference, device="cpu")
    for text in model.loaded.warnings:
        typer.echo(f"warning: {text}", err=True)
    return model
