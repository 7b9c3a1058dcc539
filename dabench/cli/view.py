"""``dabench view``: look at a run, a prediction or a volume, slice by slice."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dabench.cli.json_output import print_json
from dabench.cli.options import (
    Axes,
    Channel,
    LabelKind,
    LabelValues,
    Predicted,
    PredictedValues,
    Series,
    SliceWindow,
    numbers,
    slice_range,
    three_numbers,
)
from dabench.cli.options import label_kind as kind_of
from dabench.cli.options import label_values as values_of
from dabench.errors import ConfigError
from dabench.files.atomic import protect
from dabench.files.workspace import Workspace

if TYPE_CHECKING:
    from dabench.types import Window
    from dabench.volumes.viewer.html import Written

#: From this size on a page opens slowly.
_LARGE = 150 * 10**6


def view(
    target: Annotated[
        str, typer.Argument(help="A run, a predicted OME-Zarr, a file of masks or ids, or a volume of images.")
    ],
    images: Annotated[Path | None, typer.Option(help="Images to show under a mask, ids or probability.")] = None,
    channel: Channel = None,
    series: Series = None,
    axes: Axes = None,
    labels: Annotated[Path | None, typer.Option(help="Labels: adds their contours, the errors and Dice.")] = None,
    label_values: LabelValues = None,
    label_kind: LabelKind = "auto",
    predicted: Predicted = "auto",
    predicted_values: PredictedValues = None,
    probability: Annotated[
        Path | None, typer.Option(help="Probability to show: floating point, or uint8 as dabench predict writes it.")
    ] = None,
    points: Annotated[Path | None, typer.Option(help="Points to mark: a CSV or JSON file of clicks.")] = None,
    slices: Annotated[str | None, typer.Option(metavar="A:B", help="Only slices A to B-1.")] = None,
    every: Annotated[int, typer.Option(metavar="N", help="Only every N-th slice.")] = 1,
    most: Annotated[int, typer.Option("--max", metavar="N", help="Largest number of slices, evenly spread.")] = 64,
    window: SliceWindow = None,
    side: Annotated[int, typer.Option(help="Longest side in pixels; larger slices are shown at 1/2, 1/3, ...")] = 1024,
    voxel: Annotated[str | None, typer.Option(metavar="Z,Y,X", help="Voxel size in nm [from the files].")] = None,
    output: Annotated[Path, typer.Option(help="The page.")] = Path("view.html"),
    no_open: Annotated[bool, typer.Option("--no-open", help="Write the page without opening it.")] = False,
    napari: Annotated[
        bool, typer.Option("--napari", help="Open napari instead of writing a page: all slices, at full size.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what was written as JSON, and do not open it.")
    ] = False,
) -> None:
    """Write an HTML page that shows slices with contours, errors, probability and objects. It works offline.

    Example:  dabench view mito.zarr --images scan.zarr --labels truth.tif --slices 0:40 --output look.html
    """
    from dabench.api.progress import make_display
    from dabench.components.registry import Registry
    from dabench.interfaces.choice import with_choice
    from dabench.volumes.viewer.downsampling import choose_downsampling
    from dabench.volumes.viewer.html import write_page
    from dabench.volumes.viewer.targets import Given, Opener

    if not napari:
        protect([Path(target), images, labels, probability, points], output=output)
    if images is None:
        target = str(with_choice(Path(target), channel=channel, series=series, axes=axes))
    else:
        images = with_choice(images, channel=channel, series=series, axes=axes)
    given = Given(
        images,
        labels,
        values_of("--label-values", label_values),
        probability,
        points,
        three_numbers("--voxel", voxel),
        kind_of(label_kind),
        predicted,
        values_of("--predicted-values", predicted_values),
    )
    view_data = Opener(Registry.load(), Workspace.find()).open(target, given)
    if napari:
        from dabench.volumes.viewer.napari import open_napari

        if slices or window or every != 1 or as_json:
            raise ConfigError(
                "--napari shows all slices at full size.", "Leave out --slices, --every, --window and --json."
            )
        open_napari(view_data)
        return
    shape = view_data.images.shape
    part = slice_range("--slices", slices or None, f"0:{min(shape[0], 10)}")
    wanted = None if part is None else range(part.start or 0, shape[0] if part.stop is None else part.stop)
    cut = choose_downsampling(shape, slices=wanted, every=every, most=most, window=window_of(window), side=side)
    with make_display(quiet=as_json, stderr=True) as display:
        written = write_page(view_data, cut, output, display.progress("slices"))
    _report(written, as_json)
    if not (no_open or as_json) and _has_display():
        import webbrowser

        webbrowser.open(output.resolve().as_uri())


def window_of(text: str | None) -> Window | None:
    """The window that ``--window`` says, None without one. Raises ConfigError."""
    from dabench.types import Window

    found = numbers("--window", text or None, "0,0,512,512", "first row, first column, rows, columns", int)
    return found and Window(*found)


def _report(written: Written, as_json: bool) -> None:
    if as_json:
        print_json(written.as_json())
        return
    shown = f"{written.slices} of {written.of} slices" if written.slices < written.of else f"{written.slices} slices"
    reduced = f", shown at 1/{written.factor}" if written.factor > 1 else ""
    typer.echo(f"written: {written.path} ({written.bytes / 1e6:.1f} MB, {shown}{reduced})")
    if written.bytes > _LARGE:
        typer.echo("A page of this size opens slowly: use --max 64, --side 512 or --window to make it smaller.")


def _has_display() -> bool:
    """Whether a browser could open a window here."""
    if sys.platform.startswith("linux"):
        return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return True
