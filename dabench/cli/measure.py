"""``dabench measure``: count and measure the objects of a prediction, or of any mask or volume of ids."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dabench.cli.data_options import label_values as values_of
from dabench.cli.numbers import three_numbers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dabench.interfaces import Volume
    from dabench.interfaces.observer import Observer
    from dabench.volumes.measuring import Measures

_Voxel = tuple[float, float, float]


def attach(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command("measure")(measure)


def measure(
    file: Annotated[
        Path, typer.Argument(help="What dabench predict wrote, or any mask or instance ids: OME-Zarr, TIFF …")
    ],
    csv: Annotated[Path | None, typer.Option(help="Write one row an object to this CSV file.")] = None,
    parquet: Annotated[Path | None, typer.Option(help="The same as parquet.")] = None,
    per_slice: Annotated[Path | None, typer.Option(help="Write one row a slice to this CSV file.")] = None,
    summary: Annotated[Path | None, typer.Option(help="Write plots: a .png, a .html, or both into a folder.")] = None,
    voxel: Annotated[str | None, typer.Option(help="Voxel size in nm, z,y,x [what the file says].")] = None,
    min_size: Annotated[
        str | None, typer.Option(help="Drop objects smaller than this: 16px, 5e5nm3 or, in 2-D, 900nm2.")
    ] = None,
    max_size: Annotated[
        str | None, typer.Option(help="Drop objects larger than this, which are no mitochondria.")
    ] = None,
    dims: Annotated[
        int | None, typer.Option(help="3: objects go through slices; 2: each slice on its own [3; 2 for one slice].")
    ] = None,
    content: Annotated[
        str, typer.Option(metavar="auto|mask|ids", help="What the file holds; a mask is labelled first.")
    ] = "auto",
    label_values: Annotated[
        str | None, typer.Option(metavar="V:L,...", help="What its values are: 0:0,1:1,255:255 (255: of no object).")
    ] = None,
    split: Annotated[
        str,
        typer.Option(metavar="none|watershed", help="watershed: objects of a mask that touch are cut apart at necks."),
    ] = "none",
    scratch: Annotated[
        Path | None, typer.Option(help="Keep intermediate results of labelling here, to go on after an interruption.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Count and measure objects: volume, surface, length, elongation, place, and how many each slice cuts.

    Of an OME-Zarr of dabench predict, its instances are measured, or its mask where it has none or --split is given. A
    mask (two values) is labelled first, with 26 neighbours in 3-D and 8 in 2-D. The memory needed does not grow with
    the volume.

    Example:  dabench measure mito.zarr --csv mito.csv --summary mito.html
    """
    from dabench.api.progress import make_display
    from dabench.files.atomic import protect
    from dabench.volumes.instances.parts import IDS, MASK, first_slice, part_of

    outputs = {"csv": csv, "parquet": parquet, "per_slice": per_slice, "summary": summary}
    _check(content, dims, summary, split)
    protect([file], csv=csv, parquet=parquet, per_slice=per_slice)
    protect([file], summary=summary if summary and summary.suffix else None)
    path = part_of(file, MASK) if split != "none" else part_of(file, IDS, MASK)
    volume = _open(path)
    size = _voxel_size(voxel, volume, path)
    dims = dims or (3 if volume.shape[0] > 1 else 2)
    kind = volume.dtype
    is_mask, volume = _content(content, volume, path, split, values_of("--label-values", label_values))
    with make_display(quiet=as_json, stderr=True) as display:
        measures = _measure(volume, size, dims, (min_size, max_size), is_mask, scratch, display, split=split)
    written = _write(measures, outputs, file.name)
    first = first_slice(file) if file.is_dir() else 0
    if first and not as_json:
        typer.echo(f"note: slice 0 of these tables is slice {first} of the scan, at {first * size[0]:g} nm.", err=True)
    how = f"{kind} mask, labelled in {dims}-D" if is_mask else f"{kind} ids"
    how += ", touching objects cut apart" if split != "none" else ""
    if as_json:
        _print_json(measures, {"file": str(path), "content": how, "written": written})
    else:
        _print(measures, path, how, written)


def _measure(
    volume: Volume,
    voxel: _Voxel,
    dims: int,
    sizes: tuple[str | None, str | None],
    is_mask: bool,
    scratch: Path | None,
    observer: Observer,
    *,
    split: str,
) -> Measures:
    """Label (and ``split``) what is a mask, drop what is smaller or larger than ``sizes``, measure."""
    from dabench.data.blocks import chunks_of
    from dabench.errors import ConfigError
    from dabench.volumes.instances import least_voxels, most_voxels
    from dabench.volumes.instances.settings import default_chunk
    from dabench.volumes.measuring import measure as measure_ids
    from dabench.volumes.measuring.filtering import OfSize

    least = least_voxels(sizes[0], voxel, dims) if sizes[0] else 0
    most = most_voxels(sizes[1], voxel, dims) if sizes[1] else None
    if most is not None and most < least:
        raise ConfigError(f"--min-size {sizes[0]}, --max-size {sizes[1]}: nothing is as large and as small as that.")
    ids = _labelled(volume, dims, least, scratch, observer, split) if is_mask else volume
    chunk = default_chunk(chunks_of(ids), volume.shape)
    if most is not None or (least > 1 and not is_mask):
        ids = OfSize(ids, least, most, chunk, dims)
    return measure_ids(ids, voxel, chunk, dims, observer.progress("measuring"))


def _labelled(volume: Volume, dims: int, least: int, scratch: Path | None, observer: Observer, split: str) -> Volume:
    """A mask as ids of its objects."""
    from dabench.data.blocks import chunks_of
    from dabench.volumes.instances import LabelledVolume, Labelling, LinkedVolume, SplitSlices, find_objects
    from dabench.volumes.instances.settings import default_chunk

    progress = observer.progress("labelling")
    if split == "watershed":
        return LinkedVolume(SplitSlices(volume), dims, least, progress)
    settings = Labelling.of(volume.shape, dims, default_chunk(chunks_of(volume), volume.shape))
    with _folder(scratch) as folder:
        return LabelledVolume(volume, find_objects(volume, settings, least, folder, progress))


def _open(path: Path) -> Volume:
    from dabench.components.registry import Registry
    from dabench.data.volumes import open_volume

    registry = Registry.load()
    readers = [registry.get("reader", name).component for name in registry.names("reader")]
    return open_volume(path, [reader.factory(reader.config()) for reader in readers])


def _check(content: str, dims: int | None, summary: Path | None, split: str) -> None:
    """What is wrong is said before an hour of measuring, not after."""
    from dabench.errors import ConfigError

    if content not in ("auto", "mask", "ids"):
        raise ConfigError(f"--content {content!r}: choose one of auto, mask and ids.")
    if split not in ("none", "watershed"):
        raise ConfigError(f"--split {split!r}: choose none or watershed.")
    if dims not in (None, 2, 3):
        raise ConfigError(f"--dims {dims}: there are 2 (each slice on its own) and 3.")
    if summary is not None and summary.suffix not in ("", ".png", ".html"):
        raise ConfigError(f"--summary {summary}: give a folder, or a name that ends in .png or .html.")


def _voxel_size(text: str | None, volume: Volume, path: Path) -> _Voxel:
    """What was given, else what the file says. Raises ConfigError for neither."""
    from dabench.data.blocks import voxel_of
    from dabench.errors import ConfigError

    found: _Voxel | None = three_numbers("--voxel", text) if text else voxel_of(volume)
    if found is None:
        raise ConfigError(f"{path}: the file does not say how large a voxel is.", "Add --voxel z,y,x (nm).")
    return found


def _content(content: str, volume: Volume, path: Path, split: str, values: dict[int, int]) -> tuple[bool, Volume]:
    """Whether the file holds a mask, and what it holds. Raises ConfigError for ids to be split."""
    from dabench.errors import ConfigError
    from dabench.volumes.measuring.content import content_of

    is_mask, volume = content_of(volume, path, content, values)
    if split != "none" and not is_mask:
        raise ConfigError(f"{path}: holds ids, which are objects already; --split is for a mask.", "Leave --split out.")
    return is_mask, volume


@contextmanager
def _folder(scratch: Path | None) -> Iterator[Path]:
    """A folder of one's own that is kept only if this was asked for and something goes wrong."""
    import shutil
    from tempfile import TemporaryDirectory

    if scratch is None:
        with TemporaryDirectory(prefix="dabench-") as folder:
            yield Path(folder) / "pieces"
    else:
        yield scratch / "pieces"
        shutil.rmtree(scratch / "pieces")


def _write(measures: Measures, outputs: dict[str, Path | None], title: str) -> list[str]:
    from dabench.volumes.measuring.summary import write_summary

    written: list[Path] = []
    for name, save in (
        ("csv", measures.write_csv),
        ("parquet", measures.write_parquet),
        ("per_slice", measures.write_slices),
    ):
        path = outputs[name]
        if path is not None:
            save(path)
            written.append(path)
    if outputs["summary"] is not None:
        written += write_summary(measures, outputs["summary"], title)
    return [str(path) for path in written]


def _print_json(measures: Measures, origin: dict[str, Any]) -> None:
    import json

    typer.echo(json.dumps({**origin, **measures.summary()}, indent=1))


#: Share of a volume that no tissue's mitochondria fill.
_TOO_FULL = 0.9


def _print(measures: Measures, path: Path, how: str, written: list[str]) -> None:
    from dabench.volumes.measuring.summary import lines

    size = " x ".join(map(str, measures.shape))
    voxel = " x ".join(f"{side:g}" for side in measures.voxel)
    typer.echo(f"{path}: {size} voxels of {voxel} nm (z, y, x); {how}")
    for what, value in lines(measures):
        typer.echo(f"  {what:<22} {value}")
    cuts = measures.objects.get("slices")
    if cuts is not None and cuts.size and cuts.max() == 1 and measures.shape[0] > 1:
        typer.echo("  Every object lies on a single slice: for profiles (area, perimeter) measure again with --dims 2.")
    if measures.summary()["volume_fraction"] > _TOO_FULL:
        typer.echo(
            f"warning: {path}: hardly any background. Images or a probability have no objects; "
            "measure the mask or the instances.",
            err=True,
        )
    for name in written:
        typer.echo(f"wrote {name}")
