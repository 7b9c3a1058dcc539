"""``dabench data export``: a domain's volume as a file, or a preference data set, to be tried or handed on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dabench.cli import data_sets
from dabench.errors import ConfigError
from dabench.files.workspace import Workspace

if TYPE_CHECKING:
    from dabench.interfaces import Split


def export(
    name: Annotated[str, typer.Argument(help="A domain (dabench data ls), or a preference data set: folder or zip.")],
    output: Annotated[
        Path,
        typer.Option(help="File to write: .zarr, .tif, .h5 or .nii.gz; for a preference data set, folder or .zip."),
    ],
    split: Annotated[str | None, typer.Option(help="Split of the domain [default: the first].")] = None,
    labels: Annotated[Path | None, typer.Option(help="Also write the labels (0, 1, 255: ignore) to this file.")] = None,
    images: Annotated[
        bool | None,
        typer.Option(
            "--with-images/--without-images",
            help="Whether a preference data set includes its images [default: if the card allows it].",
        ),
    ] = None,
) -> None:
    """Write the images of a domain to a file, or copy a preference data set with its answers.

    Example:  dabench data export phantom-stem --output scan.zarr --labels truth.tif
    """
    from dabench.annotation.preference_set import PreferenceSet
    from dabench.components.registry import Registry
    from dabench.runs.domains import known_domain, known_domains, opener

    registry, workspace, path = Registry.load(), Workspace.find(), Path(name)
    if PreferenceSet.is_set(path) or (path.exists() and name not in known_domains(registry, workspace)):
        if split is not None or labels is not None:
            raise ConfigError(f"{path}: a preference data set has no splits and no labels.", "Leave the option out.")
        data_sets.export(path, output, images=images)
        return
    domain = known_domain(registry, workspace, name)
    if images is not None:
        raise ConfigError(f"domain {name!r}: --with-images and --without-images are for preference data sets.")
    _export_split(domain.open(split or domain.splits()[0], opener(registry)), output, labels)
    if not domain.redistribution:
        data_sets.warn_of_terms(domain.licence)


def _export_split(split: Split, output: Path, labels: Path | None) -> None:
    """Write what is asked for, after all checks."""
    from dabench.api.progress import make_display
    from dabench.data.doubts import shown
    from dabench.volumes.output.export import check_new, export_volume

    check_new("--output", output)
    if labels is not None:
        check_new("--labels", labels)
        if split.labels is None:
            raise ConfigError(f"domain {split.domain!r}, split {split.name!r}: has no labels.", "Leave --labels out.")
        if labels.resolve() == output.resolve():
            raise ConfigError(f"--labels {labels}: --output is the same file.", "Choose another name.")
    wanted = [("images", split.images, output), ("labels", split.labels, labels)]
    with make_display(quiet=False) as display:
        for what, volume, path in wanted:
            if volume is not None and path is not None:
                export_volume(volume, split.voxel, path, what, display.progress(what), names=what == "labels")
    depth, height, width = split.images.shape
    size = f"{depth} slices of {height} x {width} (rows x columns), voxel {shown(split.voxel)} nm"
    typer.echo(f"wrote {output}: {split.domain} {split.name}, {size}")
    beside, order = "", "" if split.neighbours else " --no-neighbours"
    if labels is not None:
        typer.echo(f"wrote {labels}: its labels, 0 background, 1 mitochondrion, 255 ignore")
        beside = f" --labels {labels} --label-values 0:0,1:1,255:255"
    typer.echo(
        f"Try adding it as your own data:  dabench data add {split.domain}-copy --images {output}{beside}{order}"
    )
