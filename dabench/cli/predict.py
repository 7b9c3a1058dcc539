"""``dabench predict``: a trained model over a whole volume."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dabench.cli import suite as suites
from dabench.cli.json_output import print_json
from dabench.cli.options import Axes, Channel, Series, number, one_of, slice_bounds, three_numbers

if TYPE_CHECKING:
    from dabench.execution.settings import ExecutorSettings
    from dabench.volumes.prediction.request import Request


def predict(
    run: Annotated[str, typer.Option(help="A cell's id, a run folder or a model file (dabench models ls).")],
    images: Annotated[Path, typer.Option(help="The scan: OME-Zarr, zarr, HDF5, NIfTI, TIFF or a folder of slices.")],
    output: Annotated[
        Path, typer.Option(help=".zarr for all results as OME-Zarr; .tif, .h5 or .nii.gz for one of them.")
    ],
    points: Annotated[
        Path | None, typer.Option(help="Points as prompts: CSV or JSON with z, y, x, or z_nm, y_nm, x_nm.")
    ] = None,
    channel: Channel = None,
    series: Series = None,
    axes: Axes = None,
    points_unit: Annotated[str, typer.Option(help="Unit of the points: voxel or nm.")] = "voxel",
    profile: Annotated[str | None, typer.Option(help="hann, fast, paper or tiles [the model's].")] = None,
    voxel: Annotated[str | None, typer.Option(metavar="Z,Y,X", help="Voxel size in nm [the file's].")] = None,
    pixel_size: Annotated[
        str,
        typer.Option(help="match: resample to the model's pixel size; native: do not. Results keep the scan's."),
    ] = "match",
    intensity: Annotated[
        str | None,
        typer.Option(help="Grey values that become 0 and 1: volume, range, slice, or LOW,HIGH [the model's]."),
    ] = None,
    slices: Annotated[str | None, typer.Option(metavar="A:B", help="Predict slices A to B-1 only.")] = None,
    threshold: Annotated[
        float | None, number(help="Lowest probability that counts as foreground [the model's].")
    ] = None,
    instances: Annotated[
        str, typer.Option(help="How objects are found: 3d (across slices), 2d (in each slice) or none.")
    ] = "3d",
    min_size: Annotated[
        str | None, typer.Option(help="Drop smaller objects: 20px or 5e5nm3 [16 of the model's pixels].")
    ] = None,
    split: Annotated[
        str, typer.Option(help="watershed: separate touching objects at their necks, slice by slice; or none.")
    ] = "none",
    what: Annotated[
        str, typer.Option(help="What a .tif, .h5 or .nii.gz holds: mask, probability or instances.")
    ] = "mask",
    chunk: Annotated[
        str | None, typer.Option(metavar="Z,Y,X", help="Size of a chunk in voxels; one chunk is predicted at a time.")
    ] = None,
    precision: Annotated[
        str, typer.Option(help="float32, bfloat16 (faster, less exact), or auto (depends on the images).")
    ] = "float32",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")] = "auto",
    batch: Annotated[int, typer.Option(help="Tiles per forward pass.", min=1)] = 8,
    executor: suites.Executor = "local",
    jobs: Annotated[
        int, typer.Option(help="local, ray: chunks at a time [1; ray: all that fit]; slurm: number of jobs [4].", min=0)
    ] = 0,
    address: Annotated[str, typer.Option(help="Address of a running Ray cluster: auto, ray://head:10001.")] = "",
    gpus_per_job: suites.GpusPerJob = 0.0,
    partition: suites.Partition = "",
    time: suites.Time = "",
    slurm: suites.Slurm = None,
    share: Annotated[
        str, typer.Option(help="ray: nodes read images and model from disk (files), or receive them (objects).")
    ] = "files",
    blank: Annotated[
        float, number(min=0, max=1, help="Largest share of the images that may be blank or missing from the file.")
    ] = 0.5,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing output.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Predict a whole volume: probability, mask and instances. After an interruption, the same command continues.

    Example:  dabench predict --run human2stem-prefer-das-slpo --images scan.zarr --output mito.zarr
    """
    from dabench.execution.settings import ExecutorSettings
    from dabench.interfaces.choice import with_choice
    from dabench.volumes.prediction.request import Request

    request = Request(
        run=run,
        images=with_choice(images, channel=channel, series=series, axes=axes),
        output=output,
        points=points,
        points_unit=one_of("--points-unit", points_unit, ("voxel", "nm")),
        profile=profile,
        voxel=three_numbers("--voxel", voxel),
        intensity=intensity,
        slices=slice_bounds("--slices", slices),
        threshold=threshold,
        instances=one_of("--instances", instances, ("3d", "2d", "none")),
        min_size=min_size,
        split=one_of("--split", split, ("none", "watershed")),
        chunk=three_numbers("--chunk", chunk, int),
        precision=one_of("--precision", precision, ("auto", "float32", "bfloat16")),
        device=device,
        gpus=gpus_per_job,
        batch=batch,
        what=one_of("--what", what, ("mask", "probability", "instances")),
        overwrite=overwrite,
        blank=blank,
        pixel_size=one_of("--pixel-size", pixel_size, ("match", "native")),
    )
    where = ExecutorSettings(
        one_of("--executor", executor, ("local", "ray", "slurm")),
        jobs or None,
        address=address,
        share=one_of("--share", share, ("files", "objects")),
        gpus_per_job=gpus_per_job,
        partition=partition,
        time=time,
        slurm=tuple(slurm or ()),
    )
    if executor == "slurm" and not dry_run:
        from dabench.api.prediction_jobs import predict_by_slurm

        done = predict_by_slurm(request, where, (lambda _: None) if as_json else typer.echo)
        print_json(done) if as_json else typer.echo(f"{done['path']}: {done['seconds']:.0f} s to join")
        return
    _predict_from_here(request, where, dry_run, as_json)


def _predict_from_here(request: Request, where: ExecutorSettings, dry_run: bool, as_json: bool) -> None:
    from dabench.api.prediction import prepare_prediction
    from dabench.api.progress import make_display
    from dabench.volumes.prediction.texts import plan_lines, summary_lines

    prepared = prepare_prediction(request, where)
    if not dry_run:
        prepared = prepared.ready()
    plan = prepared.plan
    if not as_json:
        _say(plan_lines(plan, prepared.processes))
    if dry_run:
        if as_json:
            print_json(plan.describe())
        return
    with make_display(quiet=as_json) as display:
        summary = prepared.execute(display)
    if as_json:
        print_json({**plan.describe(), **summary.as_json()})
    else:
        _say(summary_lines(summary))


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(line)
