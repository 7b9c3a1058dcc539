"""``dabench evaluate``: score any two stacks under a protocol."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from dabench.components.registry import Registry
    from dabench.evaluation import Report
    from dabench.interfaces import EvaluationProtocol, Volume


def attach(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command("evaluate")(evaluate)


def evaluate(
    prediction: Annotated[
        Path, typer.Option(help="Stack to score: what dabench predict wrote, a TIFF, a folder, any registered format.")
    ],
    labels: Annotated[Path, typer.Option(help="Stack of labels of the same shape.")],
    protocol: Annotated[str, typer.Option(help="Rule of scoring (dabench ls protocols).")] = "das-2d@1",
    slices: Annotated[str | None, typer.Option(metavar="A:B", help="Score slices A to B-1 only.")] = None,
    label_slices: Annotated[
        str | None, typer.Option(metavar="A:B", help="The prediction covers only slices A to B-1 of the labels.")
    ] = None,
    labelled: Annotated[
        str | None, typer.Option(metavar="A:B", help="The labels cover only slices A to B-1 of the prediction.")
    ] = None,
    label_values: Annotated[
        str | None,
        typer.Option(metavar="V:L,...", help="What label values mean, e.g. 0:0,1:1,2:255 (255 ignore) [not 0 is 1]."),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Foreground from this value on [0.5 for floating point, else: not 0].")
    ] = None,
    predicted: Annotated[
        str,
        typer.Option(
            metavar="auto|mask|ids", help="What the prediction holds, for rules that take ids (instances-3d@1)."
        ),
    ] = "auto",
    per_slice: Annotated[Path | None, typer.Option(help="Also write one row a slice to this CSV file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON, rows included.")] = False,
) -> None:
    """Score a stack of predictions against a stack of labels.

    Any label that is not 0 is foreground unless --label-values says otherwise. Nothing is resampled: shapes must match.
    Where the rule wants true ids and the labels are a mask, its components are the objects, and the output says so.
    Of an OME-Zarr of dabench predict, the instances are scored where the rule takes ids, else the mask.

    Example:  dabench evaluate --prediction prediction.tif --labels labels.tif --per-slice scores.csv
    """
    from dabench.components.registry import Registry
    from dabench.data.adding import refuse_doubtful, refuse_images
    from dabench.evaluation import evaluate_stacks, holds_ids
    from dabench.files.atomic import protect

    protect([prediction, labels], per_slice=per_slice)
    registry = Registry.load()
    rule = _make(registry, "protocol", protocol)
    mapping = _values(label_values) if label_values else None
    stack = _open(registry, _part(prediction, instances=rule.takes_instances, whole=threshold is not None))
    stored = _open(registry, _part(labels, instances=rule.wants_instances))
    if not mapping:
        refuse_images(stored, str(labels), "--label-values 0:0,1:1,... (what each value means)")
        refuse_doubtful(stored, str(labels), "--label-values 0:0,1:1,255:255  (255 = ignore)")
    is_mask = rule.wants_instances and not mapping and not holds_ids(stored)
    truth = _truth(_objects(stored, rule) if is_mask else stored, labels, rule, mapping)
    _check_threshold(threshold, stack)
    if label_slices:
        truth = _range_of("--label-slices", truth, label_slices, labels)
    if labelled:
        stack = _range_of("--labelled", stack, labelled, prediction)
    wanted = _range("--slices", slices, truth.shape[0], labels) if slices else None
    ids = _are_ids(predicted, rule, stack, threshold, wanted)
    report = evaluate_stacks(stack, truth, rule, name=protocol, slices=wanted, threshold=threshold, ids=ids)
    how = f"{stack.dtype} instance ids" if ids else _how(stack, threshold)
    how += "; labels: a mask, whose components are the true objects" if is_mask else ""
    if per_slice:
        report.write_csv(per_slice)
    if as_json:
        _print_json(report, {"prediction": str(prediction), "labels": str(labels), "foreground": how})
    else:
        _print_table(report, f"{protocol}: {prediction.name} against {labels.name}", how)


def _make(registry: Registry, kind: str, name: str) -> Any:
    component = registry.get(kind, name).component
    return component.factory(component.config())


def _open(registry: Registry, path: Path) -> Volume:
    from dabench.data.volumes import open_volume

    return open_volume(path, [_make(registry, "reader", name) for name in registry.names("reader")])


def _truth(volume: Volume, path: Path, rule: EvaluationProtocol, mapping: dict[int, int] | None) -> Volume:
    """The labels as the protocol wants them: ids as they are, or 0/1/255."""
    from dabench.data.labels import InstanceIds, MappedLabels

    if rule.wants_instances:
        return InstanceIds(volume, mapping or {}, str(path))
    return MappedLabels(volume, mapping or {}, str(path), instances=mapping is None)


def _objects(mask: Volume, rule: EvaluationProtocol) -> Volume:
    """The components of a mask as ids: through slices for a rule of objects in 3-D, else of each slice."""
    import tempfile

    from dabench.data.volumes import CachedVolume
    from dabench.volumes.instances import LabelledVolume, Labelling, find_objects

    settings = Labelling.of(mask.shape, 3 if rule.takes_instances else 2, (1, *mask.shape[1:]))
    with tempfile.TemporaryDirectory() as folder:
        return CachedVolume(LabelledVolume(mask, find_objects(mask, settings, 0, Path(folder))))


def _values(text: str) -> dict[int, int]:
    """``0:0,255:1`` as a mapping. Raises ConfigError."""
    from dabench.errors import ConfigError

    try:
        pairs = [part.split(":") for part in text.split(",")]
        mapping = {int(value): int(label) for value, label in pairs}
    except ValueError:
        raise ConfigError(f"--label-values {text!r}: write pairs VALUE:LABEL, for example 0:0,255:1.") from None
    wrong = sorted(set(mapping.values()) - {0, 1, 255})
    if wrong:
        raise ConfigError(f"--label-values {text!r}: label {wrong[0]} is none of 0, 1 and 255 (ignore).")
    return mapping


def _range(option: str, text: str, count: int, path: Path) -> range:
    """``A:B`` as a range of slices; either may be left out. Raises ConfigError."""
    from dabench.errors import ConfigError

    first, colon, last = text.partition(":")
    try:
        chosen = range(int(first or 0), int(last or count))
    except ValueError:
        chosen = range(0)
    if not colon or not len(chosen) or chosen.start < 0 or chosen.stop > count:
        raise ConfigError(f"{option} {text!r}: write A:B with 0 <= A < B <= {count}, the slices of {path}.")
    return chosen


def _part(path: Path, *, instances: bool, whole: bool = False) -> Path:
    """The label image of an OME-Zarr that is meant; with a threshold the probability itself."""
    from dabench.volumes.instances.parts import IDS, MASK, part_of

    if whole:
        return path
    return part_of(path, IDS, MASK) if instances else part_of(path, MASK, IDS)


def _are_ids(said: str, rule: EvaluationProtocol, stack: Volume, threshold: float | None, wanted: range | None) -> bool:
    """Whether the prediction is handed over as ids. Raises ConfigError where that was asked for and cannot be."""
    from dabench.errors import ConfigError
    from dabench.evaluation import holds_ids

    if said not in ("auto", "mask", "ids"):
        raise ConfigError(f"--predicted {said!r}: choose one of auto, mask and ids.")
    if said == "ids" and not rule.takes_instances:
        raise ConfigError("--predicted ids: this protocol makes its own objects of a mask.", "Use instances-3d@1.")
    if said == "ids" and (stack.dtype.kind not in "iu" or threshold is not None):
        raise ConfigError(f"--predicted ids: ids are whole numbers and have no threshold, the stack is {stack.dtype}.")
    return said == "ids" or (said == "auto" and rule.takes_instances and threshold is None and holds_ids(stack, wanted))


def _check_threshold(threshold: float | None, stack: Volume) -> None:
    from dabench.errors import ConfigError

    if threshold is not None and 0 < threshold < 1 and stack.dtype.kind in "ui":
        raise ConfigError(
            f"--threshold {threshold:g}: the prediction holds {stack.dtype}, of which everything above 0 would pass.",
            f"For probabilities stored as 0 to 255 use --threshold {round(256 * threshold)}.",
        )


def _range_of(option: str, volume: Volume, text: str, path: Path) -> Volume:
    from dabench.data.volumes import SliceRange

    chosen = _range(option, text, volume.shape[0], path)
    return SliceRange(volume, chosen.start, chosen.stop, str(path))


def _how(volume: Volume, threshold: float | None) -> str:
    if threshold is None and volume.dtype.kind == "f":
        threshold = 0.5
    return f"{volume.dtype}, foreground where {'not 0' if threshold is None else f'>= {threshold:g}'}"


def _print_json(report: Report, origin: dict[str, str]) -> None:
    import json

    typer.echo(json.dumps({**origin, **report.as_json()}, indent=1))


def _why(report: Report) -> str:
    return ", ".join(sorted({s.left_out for s in report.slices if s.left_out})) or "empty on both sides"


def _print_table(report: Report, title: str, how: str) -> None:
    from rich.console import Console
    from rich.table import Table

    typer.echo(title)
    table = Table(box=None, pad_edge=False)
    for column in ("metric", "score", "lowest slice", "highest slice"):
        table.add_column(column, justify="left" if column == "metric" else "right")
    for metric, value in report.metrics.items():
        scored = sorted((s.values[metric], s.z) for s in report.slices if metric in s.values)
        ends = [f"{v:.4f} (slice {z})" for v, z in (scored[0], scored[-1])] if scored else ["-", "-"]
        table.add_row(metric, f"{value:.4f}" if report.n else "-", *ends)
    Console().print(table)
    typer.echo(f"{report.n} slices counted, {report.left_out} left out ({_why(report)}). Prediction: {how}.")
    if not report.n:
        typer.echo("No score: there is no object on any slice, neither predicted nor labelled (or all is ignored).")
