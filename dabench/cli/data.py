"""``dabench data``: which data sets there are, whether they are sound, how they look, and adding one's own."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from dabench.components.registry import Registry
    from dabench.data.card import Card, SplitName
    from dabench.interfaces import Domain, Volume

app = typer.Typer(help="List, add, verify and look at data sets.", no_args_is_help=True, rich_markup_mode=None)
_Json = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
_Name = Annotated[str, typer.Argument(help="A domain; see  dabench data ls")]


@app.command("ls")
def ls(as_json: _Json = False) -> None:
    """List all domains: splits, whether their files are there, and what they are.

    Example:  dabench data ls
    """
    rows = [_row(name, domain) for name, domain in sorted(_domains(_registry()).items())]
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    for row in rows:
        state = "ready" if not row["missing"] else f"{len(row['missing'])} missing"
        typer.echo(f"{row['name']:<17} {state:<10} {','.join(row['splits']):<22} {row['description'][:90]}")
    absent = [row for row in rows if row["missing"]]
    if absent:
        typer.echo(f"\nData root: {_data_root()} (DABENCH_DATA). Where to get what is missing:  dabench data show NAME")


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Name of the new domain: lower-case letters, digits, + . _ -")],
    images: Annotated[
        Path, typer.Option(help="TIFF, HDF5, zarr, NIfTI or a folder of slices; scan.h5/raw is a volume in a file.")
    ],
    voxel: Annotated[str | None, typer.Option(help="Voxel size in nm: z,y,x [default: what the file says].")] = None,
    labels: Annotated[Path | None, typer.Option(help="Labels of the same slices.")] = None,
    split: Annotated[str, typer.Option(help="train, test or unlabelled.")] = "train",
    slices: Annotated[str | None, typer.Option(help="Only slices FIRST:LAST (LAST not included).")] = None,
    label_slices: Annotated[
        str | None, typer.Option(help="The same of the label file, where it counts its slices in another way.")
    ] = None,
    labelled: Annotated[
        str | None, typer.Option(help="Slices FIRST:LAST of the images that the labels cover; the others are unknown.")
    ] = None,
    label_kind: Annotated[str, typer.Option(help="auto, semantic or instance.")] = "auto",
    value: Annotated[
        list[str] | None, typer.Option(help="What a label value is: STORED=0, =1 or =255 (ignore).")
    ] = None,
    intensity: Annotated[str | None, typer.Option(help="Values LOW,HIGH that become 0 and 1.")] = None,
    neighbours: Annotated[bool, typer.Option(help="Whether slices z and z+1 lie next to each other.")] = True,
    description: Annotated[str, typer.Option(help="What it is, in a sentence.")] = "",
    replace: Annotated[bool, typer.Option("--replace", help="Overwrite a split that exists.")] = False,
    as_json: _Json = False,
) -> None:
    """Write a card for your own volume; call it once a split.

    Example:  dabench data add liver --images liver.zarr --labels liver_mito.tif --voxel 50,8,8 --split train
    """
    from dabench.data.adding import add_split, choose_voxel, doubt_voxel, new_card, shown
    from dabench.data.card import save_card

    registry = _registry()
    _free_name(registry, name)
    given = cast("tuple[float, float, float]", _numbers(voxel, 3, "--voxel")) if voxel else None
    levels = cast("tuple[float, float]", _numbers(intensity, 2, "--intensity")) if intensity else None
    ranges = [
        _range(text, option)
        for text, option in ((slices, "--slices"), (label_slices, "--label-slices"), (labelled, "--labelled"))
    ]
    said = _kind(label_kind), _values(value or [])
    size, warning = choose_voxel(_opener(registry)(images), given, str(images))
    for text in filter(None, (warning, doubt_voxel(size))):
        typer.echo(f"warning: {text}", err=True)
    card = new_card(
        name,
        cast("SplitName", split),
        images,
        labels,
        size,
        _opener(registry),
        slices=ranges[0],
        label_slices=ranges[1],
        labelled=ranges[2],
        kind=said[0],
        values=said[1],
        intensity=levels,
        neighbours=neighbours,
        description=description,
    )
    path = _card_path(name)
    card = add_split(path, card, replace=replace)
    save_card(card, path)
    if as_json:
        typer.echo(json.dumps({"card": str(path), **card.model_dump(mode="json")}, indent=1))
        return
    meant = f"labels {card.label_kind} {card.mapping()}" if labels else "no labels"
    depth, height, width = _opener(registry)(images).shape
    depth = ranges[0][1] - ranges[0][0] if ranges[0] else depth
    typer.echo(f"{path}: domain {name!r}, splits {', '.join(card.splits)}; voxel {shown(card.voxel)} nm; {meant}")
    typer.echo(f"{split}: {depth} slices of {height} x {width} (rows x columns)")
    if ranges[0] and ranges[0][0]:
        typer.echo(f"Points and preferences count its slices: 0 is slice {ranges[0][0]} of {images}.")
    typer.echo(f"Look at it:  dabench data show {name} --split {split}")


@app.command("verify")
def verify(
    name: Annotated[
        str, typer.Argument(help="A domain (see  dabench data ls), or a preference data set: folder or zip")
    ],
    as_json: _Json = False,
) -> None:
    """Read everything of a domain, or of a preference data set: digests, every slice and label, every mask and answer.

    Example:  dabench data verify lucchi
    """
    from dataclasses import asdict

    from dabench.annotation.preference_set import PreferenceSet
    from dabench.data.verify import verify as verify_domain
    from dabench.errors import DataError

    registry, path = _registry(), Path(name)
    if PreferenceSet.is_set(path) or (path.is_dir() and name not in _domains(registry)):
        _verify_set(path, as_json)
        return
    reports = verify_domain(_domain(registry, name), _opener(registry))
    if as_json:
        typer.echo(json.dumps([asdict(report) for report in reports], indent=1))
    else:
        for report in reports:
            share = "no labels" if report.foreground is None else f"{report.foreground:.2%} foreground"
            share += f" of what is labelled ({1 - report.ignored:.0%})" if report.ignored else ""
            state = "ok" if not report.problems else "BAD"
            typer.echo(
                f"{name} {report.split:<11} {state:<4} {report.shape} {report.dtype}  {share}  {report.digest[:12]}"
            )
    problems = [f"{report.split}: {problem}" for report in reports for problem in report.problems]
    if problems:
        raise DataError(f"{name}: {len(problems)} problem(s).\n" + "\n".join(problems))


def _verify_set(path: Path, as_json: bool) -> None:
    from dataclasses import asdict

    from dabench.annotation.verify_set import verify_set
    from dabench.errors import DataError

    report = verify_set(path)
    if as_json:
        typer.echo(json.dumps(asdict(report), indent=1))
    else:
        state, images = "BAD" if report.problems else "ok", "with" if report.images else "without"
        typer.echo(
            f"{path} {state}: {report.questions} questions on {report.domain or 'unknown images'}, {images} images"
        )
        for rater, count in report.answered.items():
            typer.echo(f"  {rater}: {count} questions answered ({count / max(1, report.questions):.0%})")
        for note in report.notes:
            typer.echo(f"  note: {note}")
    if report.problems:
        raise DataError(f"{path}: {len(report.problems)} problem(s).\n" + "\n".join(report.problems))


@app.command("export")
def export(
    path: Annotated[Path, typer.Argument(help="A preference data set: folder or zip.")],
    output: Annotated[Path, typer.Option(help="Folder or .zip to write.")],
    images: Annotated[
        bool | None,
        typer.Option("--with-images/--without-images", help="[default: with, where the card of the domain allows it]"),
    ] = None,
) -> None:
    """Copy a preference data set, answers and all, so that it can be handed on.

    Example:  dabench data export choices --output choices.zip --without-images
    """
    from dabench.annotation.preference_set import PreferenceSet

    choices = PreferenceSet.open(path)
    made = choices.export(output, images=images)
    if images and not choices.manifest.redistribution:
        licence = choices.manifest.licence or "none on the card"
        typer.echo(f"warning: the images' terms may not allow to hand them on (licence: {licence}).", err=True)
    typer.echo(
        f"wrote {output}: {len(made.questions)} questions, {'with' if made.manifest.images else 'without'} images"
    )


@app.command("show")
def show(
    name: _Name,
    split: Annotated[str | None, typer.Option(help="Split to draw [default: the first].")] = None,
    slice_: Annotated[
        list[int] | None, typer.Option("--slice", help="Slice to draw; repeat for more [default: three].")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="PNG to write [default: WORKSPACE/pictures/NAME-SPLIT.png].")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Say what a domain is and draw slices of it with the contours of its labels.

    Example:  dabench data show phantom-human --split test --slice 3 --output human.png
    """
    registry = _registry()
    domain = _domain(registry, name)
    about = _row(name, domain) | _about(domain)
    if not as_json:
        for key, value in about.items():
            typer.echo(f"{key:<12} {', '.join(map(str, value)) if isinstance(value, list | tuple) else value}")
    if domain.missing():
        _refuse_missing(name, domain, as_json, about)
    picture = _draw(registry, domain, name, split or domain.splits()[0], slice_, output)
    typer.echo(json.dumps(about | {"picture": str(picture)}, indent=1) if as_json else f"{'picture':<12} {picture}")


# ------------------------------------------------------------------------------------------------------------- helpers
def _registry() -> Registry:
    from dabench.components.registry import Registry

    return Registry.load()


def _opener(registry: Registry) -> Callable[[Path], Volume]:
    from dabench.data.volumes import open_volume

    readers = [item.component.factory(item.component.config()) for item in registry.of_kind("reader")]
    return lambda path: open_volume(path, readers)


def _domains(registry: Registry) -> dict[str, Domain]:
    from dabench.data.card_domain import user_domains
    from dabench.files.workspace import Workspace

    made = {item.name: item.component.factory(item.component.config()) for item in registry.of_kind("domain")}
    return {**dict(user_domains(Workspace.find())), **made}


def _domain(registry: Registry, name: str) -> Domain:
    from dabench.errors import UnknownNameError

    known = _domains(registry)
    if name not in known:
        raise UnknownNameError("domain", name, known)
    return known[name]


def _row(name: str, domain: Domain) -> dict[str, Any]:
    return {
        "name": name,
        "description": domain.description,
        "splits": list(domain.splits()),
        "missing": domain.missing(),
    }


def _about(domain: Domain) -> dict[str, Any]:
    from dabench.data.card_domain import CardDomain

    if not isinstance(domain, CardDomain):
        return {}
    card: Card = domain.card
    shown = card.model_dump(mode="json", include={"voxel", "label_kind", "neighbours", "licence", "citation", "source"})
    return {"folder": str(domain.folder), **shown}


def _refuse_missing(name: str, domain: Domain, as_json: bool, about: dict[str, Any]) -> None:
    from dabench.errors import MissingDataError

    if as_json:
        typer.echo(json.dumps(about, indent=1))
    raise MissingDataError(f"domain {name!r}: missing {', '.join(domain.missing())}.", about.get("source", ""))


def _draw(
    registry: Registry, domain: Domain, name: str, split: str, slices: list[int] | None, output: Path | None
) -> Path:
    from dabench.data.picture import draw
    from dabench.errors import ConfigError
    from dabench.files.workspace import Workspace

    opened = domain.open(split, _opener(registry))
    count = opened.images.shape[0]
    chosen = slices or sorted({0, count // 2, count - 1})
    for z in chosen:
        if not 0 <= z < count:
            raise ConfigError(f"--slice {z}: split {split!r} of {name!r} has slices 0 to {count - 1}.")
    path = output or Workspace.find().root / "pictures" / f"{name}-{split}.png"
    draw(opened, chosen, path)
    return path


def _free_name(registry: Registry, name: str) -> None:
    from dabench.errors import ConfigError

    if name in registry.names("domain"):
        item = registry.get("domain", name)
        raise ConfigError(f"domain {name!r} is already registered by plugin {item.plugin}.", "Choose another name.")


def _card_path(name: str) -> Path:
    from dabench.files.workspace import Workspace

    return Workspace.find().cards / f"{name}.yaml"


def _data_root() -> Path:
    from dabench.files.workspace import Workspace

    return Workspace.find().data


def _numbers(text: str, count: int, option: str) -> tuple[float, ...]:
    from dabench.errors import ConfigError

    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        example = "30,8,8" if count == 3 else "0,4095"
        raise ConfigError(f"{option} {text!r}: expected {count} finite numbers, for example  {option} {example}")
    return numbers


def _range(text: str | None, option: str) -> tuple[int, int] | None:
    from dabench.errors import ConfigError

    if text is None:
        return None
    first, colon, last = text.partition(":")
    if not (colon and first.isdigit() and last.isdigit()):
        raise ConfigError(f"{option} {text!r}: expected FIRST:LAST, for example  {option} 0:12")
    return int(first), int(last)


def _kind(text: str) -> Any:
    from dabench.errors import UnknownNameError

    known = ("auto", "semantic", "instance")
    if text not in known:
        raise UnknownNameError("label kind", text, known)
    return text


def _values(texts: list[str]) -> dict[int, int] | None:
    from dabench.errors import ConfigError

    found = {}
    for text in texts:
        stored, equals, label = text.partition("=")
        if not equals or not stored.lstrip("-").isdigit() or label not in ("0", "1", "255"):
            raise ConfigError(
                f"--value {text!r}: expected STORED=LABEL with LABEL 0, 1 or 255, for example  --value 2=1"
            )
        found[int(stored)] = int(label)
    return found or None
