"""``dabench measure``: count and measure the objects of a prediction, or of any mask or volume of ids."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dabench.cli.json_output import print_json
from dabench.cli.options import Axes, Channel, Series, three_numbers
from dabench.cli.options import label_values as values_of
from dabench.files.atomic import protect

if TYPE_CHECKING:
    from dabench.volumes.measuring.files import MeasuredFile


def measure(
    file: Annotated[
        Path, typer.Argument(help="Output of dabench predict, or any mask or instance ids: OME-Zarr, TIFF …")
    ],
    csv: Annotated[Path | None, typer.Option(help="Write one row per object to this CSV file.")] = None,
    parquet: Annotated[Path | None, typer.Option(help="Write the same rows to this parquet file.")] = None,
    per_slice: Annotated[Path | None, typer.Option(help="Write one row per slice to this CSV file.")] = None,
    summary: Annotated[Path | None, typer.Option(help="Write plots: a .png, a .html, or a folder for both.")] = None,
    voxel: Annotated[str | None, typer.Option(help="Voxel size in nm, z,y,x [from the file].")] = None,
    min_size: Annotated[str | None, typer.Option(help="Drop smaller objects: 16px, 5e5nm3 or, in 2-D, 900nm2.")] = None,
    max_size: Annotated[
        str | None, typer.Option(help="Drop larger objects, which are probably not mitochondria.")
    ] = None,
    channel: Channel = None,
    series: Series = None,
    axes: Axes = None,
    dims: Annotated[
        int | None,
        typer.Option(help="3: join objects through slices; 2: count each slice separately [3; one slice: 2]."),
    ] = None,
    content: Annotated[
        str,
        typer.Option(metavar="auto|mask|ids", help="What the file holds; the components of a mask are labelled first."),
    ] = "auto",
    label_values: Annotated[
        str | None, typer.Option(metavar="V:L,...", help="What its values mean: 0:0,1:1,255:255 (255: no object).")
    ] = None,
    split: Annotated[
        str,
        typer.Option(metavar="none|watershed", help="watershed: separate touching objects of a mask at their necks."),
    ] = "none",
    scratch: Annotated[
        Path | None,
        typer.Option(help="Folder for intermediate results, so that an interrupted labelling can continue."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Count and measure objects: volume, surface, length, elongation, position, and number per slice.

    For the output of dabench predict, the instances are measured. If it has none, or with --split, the mask is used.
    The components of a mask are labelled first, with 26 neighbours in 3-D and 8 in 2-D. Memory use does not grow
    with the volume.

    Example:  dabench measure mito.zarr --csv mito.csv --summary mito.html
    """
    from dabench.api.progress import make_display
    from dabench.interfaces.choice import with_choice
    from dabench.volumes.measuring.files import Measuring, measure_file
    from dabench.volumes.measuring.summary import check_summary, write_summary

    size, values = three_numbers("--voxel", voxel or None), values_of("--label-values", label_values)
    how = Measuring(content, dims, split, size, min_size, max_size, values)
    if summary is not None:
        check_summary(summary)
    protect([file], csv=csv, parquet=parquet, per_slice=per_slice)
    protect([file], summary=summary if summary and summary.suffix else None)
    with make_display(quiet=as_json, stderr=True) as display:
        found = measure_file(
            with_choice(file, channel=channel, series=series, axes=axes), how, scratch=scratch, observer=display
        )
    measures = found.measures
    tables = {csv: measures.write_csv, parquet: measures.write_parquet, per_slice: measures.write_slices}
    written = [path for path in tables if path]
    for path in written:
        tables[path](path)
    if summary is not None:
        written += write_summary(measures, summary, file.name)
    if as_json:
        origin = {"file": str(found.path), "content": found.content, "written": [str(path) for path in written]}
        print_json({**origin, **measures.summary()})
    else:
        _print(found, written)


def _print(found: MeasuredFile, written: list[Path]) -> None:
    from dabench.volumes.measuring.summary import lines

    measures, first = found.measures, found.first_slice
    if first:
        at = first * measures.voxel[0]
        typer.echo(f"note: slice 0 of these tables is slice {first} of the scan, at {at:g} nm.", err=True)
    size = " x ".join(map(str, measures.shape))
    voxel = " x ".join(f"{side:g}" for side in measures.voxel)
    typer.echo(f"{found.path}: {size} voxels of {voxel} nm (z, y, x); {found.content}")
    for what, value in lines(measures):
        typer.echo(f"  {what:<22} {value}")
    cuts = measures.objects.get("slices")
    if cuts is not None and cuts.size and cuts.max() == 1 and measures.shape[0] > 1:
        typer.echo("  Every object lies on a single slice: for profiles (area, perimeter) measure again with --dims 2.")
    if found.too_full:
        typer.echo(
            f"warning: {found.path}: hardly any background. Images and probabilities have no objects; "
            "measure the mask or the instances.",
            err=True,
        )
    for path in written:
        typer.echo(f"wrote {path}")
