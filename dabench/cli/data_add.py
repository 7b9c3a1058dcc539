"""``dabench data add``: a card for the user's own volume."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from dabench.cli.json_output import print_json
from dabench.cli.options import Axes, Channel, Series, number, numbers, slice_bounds
from dabench.cli.options import label_kind as kind_of
from dabench.cli.options import label_values as values_of
from dabench.files.workspace import Workspace

if TYPE_CHECKING:
    from dabench.data.adding import Added, NewSplit
    from dabench.data.card import SplitName


def add(
    name: Annotated[str, typer.Argument(help="Name of the new domain: lower-case letters, digits, + . _ -")],
    images: Annotated[
        Path, typer.Option(help="TIFF, HDF5, zarr, NIfTI or a folder of slices; scan.h5/raw names a volume in a file.")
    ],
    voxel: Annotated[str | None, typer.Option(help="Voxel size in nm: z,y,x [default: from the file].")] = None,
    labels: Annotated[Path | None, typer.Option(help="Labels of the same slices.")] = None,
    channel: Channel = None,
    series: Series = None,
    axes: Axes = None,
    split: Annotated[str, typer.Option(help="train, test or unlabelled.")] = "train",
    slices: Annotated[str | None, typer.Option(help="Only slices FIRST:LAST (LAST not included).")] = None,
    label_slices: Annotated[
        str | None, typer.Option(help="The same for the label file, if it numbers its slices differently.")
    ] = None,
    labelled: Annotated[
        str | None, typer.Option(help="Slices FIRST:LAST of the images that have labels; the others have none.")
    ] = None,
    label_kind: Annotated[str, typer.Option(help="auto, semantic or instance.")] = "auto",
    label_values: Annotated[
        list[str] | None,
        typer.Option(
            "--label-values", "--value", metavar="V:L,...", help="What label values mean: 0, 1 or 255 (ignore)."
        ),
    ] = None,
    intensity: Annotated[str | None, typer.Option(help="Grey values LOW,HIGH that become 0 and 1.")] = None,
    neighbours: Annotated[bool, typer.Option(help="Whether slices z and z+1 are neighbours in the tissue.")] = True,
    in_order: Annotated[
        bool,
        typer.Option(
            "--in-order", help="Pair images and labels in order, even if the numbers in their file names differ."
        ),
    ] = False,
    blank: Annotated[
        float,
        number(min=0, max=1, help="Largest share of the images that may be blank or missing from the file."),
    ] = 0.5,
    description: Annotated[str, typer.Option(help="Description in one sentence.")] = "",
    replace: Annotated[bool, typer.Option("--replace", help="Replace an existing split.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Write a card for your own volume. Run it once for each split.

    Example:  dabench data add liver --images liver.zarr --labels liver_mito.tif --voxel 50,8,8 --split train
    """
    from dabench.components.registry import Registry
    from dabench.data.adding import NewSplit
    from dabench.data.adding import add as add_card
    from dabench.interfaces.choice import with_choice
    from dabench.runs.domains import check_free, opener

    registry = Registry.load()
    check_free(registry, name)
    new = NewSplit(
        name,
        cast("SplitName", split),
        with_choice(images, channel=channel, series=series, axes=axes),
        labels,
        voxel=numbers("--voxel", voxel, "30,8,8"),
        intensity=numbers("--intensity", intensity, "0,4095"),
        slices=slice_bounds("--slices", slices),
        label_slices=slice_bounds("--label-slices", label_slices),
        labelled=slice_bounds("--labelled", labelled),
        kind=kind_of(label_kind),
        values=values_of("--label-values", label_values),
        neighbours=neighbours,
        in_order=in_order,
        blank=blank,
        description=description,
    )
    path = Workspace.find().cards / f"{name}.yaml"
    added = add_card(new, path, opener(registry), replace=replace)
    for text in added.warnings:
        typer.echo(f"warning: {text}", err=True)
    _report(added, new, path, as_json=as_json)


def _report(added: Added, new: NewSplit, path: Path, *, as_json: bool) -> None:
    from dabench.data.doubts import shown

    card = added.card
    if as_json:
        print_json({"card": str(path), **card.model_dump(mode="json")})
        return
    meant = f"labels {card.label_kind} {card.mapping()}" if new.labels else "no labels"
    depth, height, width = added.shape
    typer.echo(f"{path}: domain {card.name!r}, splits {', '.join(card.splits)}; voxel {shown(card.voxel)} nm; {meant}")
    typer.echo(f"{new.split}: {depth} slices of {height} x {width} (rows x columns)")
    if new.slices and new.slices[0]:
        typer.echo(f"Points and preferences count slices within the split: 0 is slice {new.slices[0]} of {new.images}.")
    typer.echo(f"Look at it:  dabench data show {card.name} --split {new.split}")
