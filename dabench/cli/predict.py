"""``dabench predict``: a trained model over a whole volume."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dabench.cli.numbers import three_numbers

if TYPE_CHECKING:
    from dabench.volumes.prediction import PredictionPlan, Summary


def attach(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command("predict")(predict)


def predict(
    run: Annotated[str, typer.Option(help="A cell's id, a run folder or a model file (dabench models ls).")],
    images: Annotated[Path, typer.Option(help="The scan: OME-Zarr, zarr, HDF5, NIfTI, TIFF, a folder of slices.")],
    output: Annotated[Path, typer.Option(help="OME-Zarr (.zarr) with all results, or one of them: .tif, .h5.")],
    points: Annotated[
        Path | None, typer.Option(help="Points as prompts: CSV or JSON with z, y, x, or z_nm, y_nm, x_nm.")
    ] = None,
    points_unit: Annotated[str, typer.Option(help="Unit of the points: voxel or nm.")] = "voxel",
    profile: Annotated[str | None, typer.Option(help="hann, fast, paper or tiles [the model's].")] = None,
    voxel: Annotated[str | None, typer.Option(metavar="Z,Y,X", help="Voxel size in nm [the file's].")] = None,
    pixel_size: Annotated[
        str,
        typer.Option(help="match: seen at the pixel size that the model knows, results on the scan's; or native."),
    ] = "match",
    intensity: Annotated[
        str | None, typer.Option(help="volume, range, slice, or LOW,HIGH: values that become 0 and 1 [the model's].")
    ] = None,
    slices: Annotated[str | None, typer.Option(metavar="A:B", help="Predict slices A to B-1 only.")] = None,
    threshold: Annotated[float | None, typer.Option(help="Foreground from this probability on [the model's].")] = None,
    instances: Annotated[str, typer.Option(help="Objects: 3d (through slices), 2d (each slice) or none.")] = "3d",
    min_size: Annotated[
        str | None, typer.Option(help="Objects smaller than this are dropped: 20px, 5e5nm3 [16 of the model's pixels].")
    ] = None,
    split: Annotated[
        str, typer.Option(help="watershed: objects that touch are cut apart at their necks, slice by slice; or none.")
    ] = "none",
    what: Annotated[str, typer.Option(help="For .tif and .h5: mask, probability or instances.")] = "mask",
    chunk: Annotated[str | None, typer.Option(metavar="Z,Y,X", help="Voxels that are predicted at once.")] = None,
    precision: Annotated[
        str, typer.Option(help="float32, bfloat16 (faster, less exact), or auto: what the images allow.")
    ] = "float32",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 ...")] = "auto",
    batch: Annotated[int, typer.Option(help="Tiles a forward pass.", min=1)] = 8,
    executor: Annotated[str, typer.Option(help="local, or ray for several machines.")] = "local",
    jobs: Annotated[int, typer.Option(help="Chunks at a time [local: 1; ray: all that fit].", min=0)] = 0,
    address: Annotated[str, typer.Option(help="Of a running Ray cluster: auto, ray://head:10001.")] = "",
    gpus_per_job: Annotated[
        float, typer.Option(help="Ray: share of a GPU that a chunk asks for; then nodes predict on theirs.", min=0)
    ] = 0.0,
    share: Annotated[
        str, typer.Option(help="Ray: nodes see the images and the model by path (files), or are sent them (objects).")
    ] = "files",
    blank: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the images that may be blank or absent from the file.")
    ] = 0.5,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Predict a whole volume: probability, mask and instances, chunk by chunk. The same command continues after a stop.

    Example:  dabench predict --run human2stem-prefer-das-slpo --images scan.zarr --output mito.zarr
    """
    from dabench.api.prediction import Workers, prepare_prediction
    from dabench.api.progress import make_display
    from dabench.volumes.prediction import Request

    request = Request(
        run=run,
        images=images,
        output=output,
        points=points,
        points_unit=_one_of("--points-unit", points_unit, ("voxel", "nm")),
        profile=profile,
        voxel=three_numbers("--voxel", voxel),
        intensity=intensity,
        slices=_pair(slices),
        threshold=threshold,
        instances=_one_of("--instances", instances, ("3d", "2d", "none")),
        min_size=min_size,
        split=_one_of("--split", split, ("none", "watershed")),
        chunk=three_numbers("--chunk", chunk, int),
        precision=_one_of("--precision", precision, ("auto", "float32", "bfloat16")),
        device=device,
        gpus=gpus_per_job,
        batch=batch,
        what=_one_of("--what", what, ("mask", "probability", "instances")),
        overwrite=overwrite,
        blank=blank,
        pixel_size=_one_of("--pixel-size", pixel_size, ("match", "native")),
    )
    workers = Workers(
        _one_of("--executor", executor, ("local", "ray")),
        jobs,
        address,
        _one_of("--share", share, ("files", "objects")),
    )
    prepared = prepare_prediction(request, workers)
    if dry_run:
        _print_plan(prepared.plan, workers.here, as_json=as_json)
        return
    prepared = prepared.ready()
    if not as_json:
        _print_plan(prepared.plan, workers.here, as_json=False)
    with make_display(quiet=as_json) as display:
        summary = prepared.execute(display)
    _print_summary(summary, prepared.plan, as_json=as_json)


def _one_of(option: str, value: str, allowed: tuple[str, ...]) -> Any:
    from dabench.errors import ConfigError, UnknownNameError

    if value not in allowed:
        raise UnknownNameError(f"value of {option}", value, allowed) if value else ConfigError(f"{option} is empty.")
    return value


def _pair(text: str | None) -> tuple[int, int] | None:
    """``A:B`` as two numbers, or None. Raises ConfigError."""
    from dabench.errors import ConfigError

    if text is None:
        return None
    try:
        first, last = (int(part) for part in text.split(":"))
    except ValueError:
        raise ConfigError(f"--slices {text!r}: write A:B, for example --slices 0:100.") from None
    return first, last


def _print_plan(plan: PredictionPlan, processes: int, *, as_json: bool) -> None:
    """Show what is to come; ``processes`` predict on this machine, 0: as many as a cluster has room for."""
    import json

    said = plan.describe()
    if as_json:
        typer.echo(json.dumps(said, indent=1))
        return
    shape, chunk = (" x ".join(map(str, said[key])) for key in ("shape", "chunk"))
    voxel = " x ".join(f"{v:g}" for v in said["voxel_nm"]) + " nm" if said["voxel_nm"] else "voxel size unknown"
    points = "automatic, without points" if said["points"] is None else f"{said['points']} points as prompts"
    whose = ", the model's own" if said["objects_of"] == "model" else ""
    whose += ", touching ones cut apart" if said["split"] == "watershed" else ""
    size = f"{said['instances']} of {said['min_voxels']} voxels and more{whose}"
    objects = "none" if said["instances"] == "none" else size
    typer.echo(f"model     {said['model']}, threshold {said['threshold']:g}, {points}")
    typer.echo(f"images    {said['images']}: {shape}, {voxel}, intensity {said['intensity']}")
    typer.echo(
        f"tiles     {said['tiles']} of {said['tile']}, profile {said['profile']}, "
        f"{said['precision']} on {said['device']}"
    )
    typer.echo(
        f"chunks    {said['chunks']} of {chunk}; {said['recomputed']:.1%} of the tiles are predicted again at borders"
    )
    each = "" if processes == 1 else f" in each of {processes or 'the'} processes"
    typer.echo(f"memory    about {_size(said['memory_bytes'])} and the network's own{each}")
    typer.echo(f"output    {said['output']}, about {_size(said['output_bytes'])}; instances: {objects}")
    for note in said["notes"]:
        typer.echo(f"note      {note}")


def _print_summary(summary: Summary, plan: PredictionPlan, *, as_json: bool) -> None:
    import json
    import shlex

    if as_json:
        typer.echo(json.dumps({**plan.describe(), **summary.as_json()}, indent=1))
        return
    shape = " x ".join(map(str, summary.shape))
    speed = f", {summary.tiles / summary.predicting_seconds:.1f} tiles/s" if summary.predicting_seconds else ""
    before = f" ({summary.continued} chunks were there)" if summary.continued else ""
    objects = "" if summary.objects is None else f", {summary.objects} objects"
    typer.echo(f"{summary.path}: {shape} in {summary.seconds:.0f} s{speed}{before}")
    typer.echo(f"{summary.foreground:.2%} foreground{objects}")
    if summary.path.suffix == ".zarr":
        file, table = shlex.quote(str(summary.path)), shlex.quote(summary.path.with_suffix(".csv").name)
        typer.echo(f"next: dabench view {file}")
        if summary.objects:
            typer.echo(f"      dabench measure {file} --csv {table}")


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
