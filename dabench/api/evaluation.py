"""Scores of two stacks, in memory or in files, under a protocol."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dabench.components.registry import Registry
from dabench.data.label_values import refuse_doubtful, refuse_images
from dabench.data.labels import InstanceIds, MappedLabels
from dabench.data.volumes import CachedVolume, SliceRange, open_volume
from dabench.errors import ConfigError
from dabench.evaluation import Report, evaluate_stacks, holds_ids
from dabench.volumes.arrays import ArrayLike, as_volume
from dabench.volumes.instances import LabelledVolume, Labelling, find_objects
from dabench.volumes.instances.parts import IDS, MASK, has_objects_of_model, part_of

if TYPE_CHECKING:
    import pandas as pd

    from dabench.interfaces import EvaluationProtocol, Volume


@dataclass(frozen=True)
class Evaluation(Report):
    """What a protocol says of two stacks; ``foreground`` says in words what counted as an object."""

    foreground: str = ""

    def to_frame(self) -> pd.DataFrame:
        """One row per slice: its number, the scores, and why it was left out ("" where it counts)."""
        import pandas as pd

        return pd.DataFrame(self.rows())


def evaluate(
    prediction: ArrayLike | str | Path,
    labels: ArrayLike | str | Path,
    protocol: str = "das-2d@1",
    *,
    threshold: float | None = None,
    label_values: Mapping[int, int] | None = None,
    slices: slice | None = None,
    label_slices: slice | None = None,
    labelled: slice | None = None,
    predicted: str = "auto",
) -> Evaluation:
    """Score a prediction against labels, as `dabench evaluate` does.

    Args:
        prediction: ``(Z, Y, X)``, or ``(Y, X)`` for one slice: an array, anything that is cut like one (zarr, HDF5),
            or a path. Floating point is a probability, foreground from 0.5 on; anything else is foreground where not 0.
        labels: of the same shape. What is not 0 is foreground, unless ``label_values`` says otherwise.
        protocol: rule of scoring (``dabench ls protocols``).
        threshold: foreground from this value on.
        label_values: stored value -> 0, 1 or 255 (ignore).
        slices: score these only: ``slice(10, 20)``.
        label_slices: the prediction covers only these slices of the labels.
        labelled: the labels cover only these slices of the prediction.
        predicted: ``auto``, ``mask`` or ``ids``: what the prediction holds, for rules that take ids.

    Raises:
        UnknownNameError: no such protocol.
        ConfigError: settings that contradict each other or the stacks.
        DataError: a file is missing or damaged, shapes differ, or values mean nothing.

    Example:
        >>> import numpy as np, dabench
        >>> labels = np.zeros((2, 32, 32), np.uint8)
        >>> labels[:, 4:12, 4:12] = 1
        >>> prediction = np.where(labels == 1, 0.9, 0.1)
        >>> prediction[1, 4:8] = 0.1  # on the second slice the upper half is missed
        >>> found = dabench.evaluate(prediction, labels, protocol="das-2d@1")
        >>> round(found.metrics["dice"], 3)
        0.833
        >>> found.to_frame()["dice"].round(3).tolist()
        [1.0, 0.667]
    """
    registry = Registry.load()
    rule = _make(registry, "protocol", protocol)
    stack = _open(registry, prediction, instances=_counts_ids(rule, prediction), whole=threshold is not None)
    stored, name = _open(registry, labels, instances=rule.wants_instances), _named(labels, "labels")
    mapping = _checked(label_values) if label_values else None
    if not mapping:
        refuse_images(stored, name, "--label-values 0:0,1:1,... (what each value means)")
        refuse_doubtful(stored, name, "--label-values 0:0,1:1,255:255  (255 = ignore)")
    is_mask = rule.wants_instances and not mapping and not holds_ids(stored)
    truth = _truth(_objects(stored, rule) if is_mask else stored, name, rule, mapping)
    _check_threshold(threshold, stack)
    if label_slices is not None:
        truth = _cut("--label-slices", truth, label_slices, name)
    if labelled is not None:
        stack = _cut("--labelled", stack, labelled, _named(prediction, "prediction"))
    wanted = None if slices is None else _inside("--slices", slices, truth.shape[0], name)
    ids = _are_ids(predicted, rule, stack, threshold, wanted)
    report = evaluate_stacks(stack, truth, rule, name=protocol, slices=wanted, threshold=threshold, ids=ids)
    how = f"{stack.dtype} instance ids" if ids else _how(stack, threshold)
    how += "; labels: a mask, whose components are the true objects" if is_mask else ""
    return Evaluation(**vars(report), foreground=how)


def _make(registry: Registry, kind: str, name: str) -> Any:
    component = registry.get(kind, name).component
    return component.factory(component.config())


def _counts_ids(rule: EvaluationProtocol, stack: ArrayLike | str | Path) -> bool:
    """Whether a rule counts the objects of a whole prediction rather than make its own of the mask."""
    by_model = isinstance(stack, str | Path) and has_objects_of_model(Path(stack))
    return rule.through_slices or (rule.takes_instances and by_model)


def _named(stack: ArrayLike | str | Path, otherwise: str) -> str:
    return str(stack) if isinstance(stack, str | Path) else otherwise


def _open(registry: Registry, stack: ArrayLike | str | Path, *, instances: bool, whole: bool = False) -> Volume:
    """An array as it is; of an OME-Zarr the label image that is meant, with a threshold the probability itself."""
    if not isinstance(stack, str | Path):
        return as_volume(stack)
    first, second = (IDS, MASK) if instances else (MASK, IDS)
    path = Path(stack) if whole else part_of(Path(stack), first, second)
    return open_volume(path, [_make(registry, "reader", name) for name in registry.names("reader")])


def _truth(volume: Volume, name: str, rule: EvaluationProtocol, mapping: dict[int, int] | None) -> Volume:
    """The labels as the protocol wants them: ids as they are, or 0/1/255."""
    if rule.wants_instances:
        return InstanceIds(volume, mapping or {}, name)
    return MappedLabels(volume, mapping or {}, name, instances=mapping is None)


def _objects(mask: Volume, rule: EvaluationProtocol) -> Volume:
    """The components of a mask as ids: through slices for a rule of objects in 3-D, else of each slice."""
    settings = Labelling.of(mask.shape, 3 if rule.through_slices else 2, (1, *mask.shape[1:]))
    with tempfile.TemporaryDirectory() as folder:
        return CachedVolume(LabelledVolume(mask, find_objects(mask, settings, 0, Path(folder))))


def _checked(mapping: Mapping[int, int]) -> dict[int, int]:
    wrong = sorted(set(mapping.values()) - {0, 1, 255})
    if wrong:
        said = ",".join(f"{value}:{label}" for value, label in mapping.items())
        raise ConfigError(f"--label-values '{said}': label {wrong[0]} is none of 0, 1 and 255 (ignore).")
    return dict(mapping)


def _inside(option: str, chosen: slice, count: int, name: str) -> range:
    """The slices that are meant of a stack that has so many. Raises ConfigError."""
    first, last = chosen.start or 0, count if chosen.stop is None else chosen.stop
    if not 0 <= first < last <= count or chosen.step not in (None, 1):
        said = ":".join("" if end is None else str(end) for end in (chosen.start, chosen.stop))
        raise ConfigError(f"{option} {said!r}: write A:B with 0 <= A < B <= {count}, the slices of {name}.")
    return range(first, last)


def _cut(option: str, volume: Volume, chosen: slice, name: str) -> Volume:
    inside = _inside(option, chosen, volume.shape[0], name)
    return SliceRange(volume, inside.start, inside.stop, name)


def _are_ids(said: str, rule: EvaluationProtocol, stack: Volume, threshold: float | None, wanted: range | None) -> bool:
    """Whether the prediction is handed over as ids. Raises ConfigError where that was asked for and cannot be."""
    if said not in ("auto", "mask", "ids"):
        raise ConfigError(f"--predicted {said!r}: choose one of auto, mask and ids.")
    if said == "ids" and not rule.takes_instances:
        raise ConfigError(
            "--predicted ids: this protocol makes its own objects of a mask.", "Use instances-2d@1 or instances-3d@1."
        )
    if said == "ids" and (stack.dtype.kind not in "iu" or threshold is not None):
        raise ConfigError(f"--predicted ids: ids are whole numbers and have no threshold, the stack is {stack.dtype}.")
    return said == "ids" or (said == "auto" and rule.takes_instances and threshold is None and holds_ids(stack, wanted))


def _check_threshold(threshold: float | None, stack: Volume) -> None:
    if threshold is not None and 0 < threshold < 1 and stack.dtype.kind in "ui":
        raise ConfigError(
            f"--threshold {threshold:g}: the prediction holds {stack.dtype}, of which everything above 0 would pass.",
            f"For probabilities stored as 0 to 255 use --threshold {round(256 * threshold)}.",
        )


def _how(volume: Volume, threshold: float | None) -> str:
    if threshold is None and volume.dtype.kind == "f":
        threshold = 0.5
    return f"{volume.dtype}, foreground where {'not 0' if threshold is None else f'>= {threshold:g}'}"
