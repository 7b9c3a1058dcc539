"""Scores of two stacks, in memory or in files, under a protocol."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dabench.api.progress import is_quiet, make_display
from dabench.components.registry import Registry
from dabench.data.label_values import Flags, LabelKind, Meaning, meaning_of
from dabench.data.labels import WithIgnored
from dabench.data.orientation import check_same_place, turned_to
from dabench.data.volumes import CachedVolume, SliceRange, Wrapper, open_volume
from dabench.errors import ConfigError
from dabench.evaluation import Report, evaluate_stacks
from dabench.volumes.arrays import ArrayLike, as_volume
from dabench.volumes.instances import LabelledVolume, Labelling, find_objects
from dabench.volumes.instances.parts import IDS, MASK, has_objects_of_model, part_of

if TYPE_CHECKING:
    import pandas as pd

    from dabench.interfaces import EvaluationProtocol, Volume
    from dabench.interfaces.observer import Observer
    from dabench.types import Array


@dataclass(frozen=True)
class Evaluation(Report):
    """Scores of two stacks under a protocol; ``foreground`` describes what counted as foreground."""

    foreground: str = ""

    def to_frame(self) -> pd.DataFrame:
        """One row per slice: its number, the scores, and why it was left out ("" if it counts)."""
        import pandas as pd

        return pd.DataFrame(self.rows())


def evaluate(
    prediction: ArrayLike | str | Path,
    labels: ArrayLike | str | Path,
    protocol: str = "das-2d@1",
    *,
    threshold: float | None = None,
    label_values: Mapping[int, int] | None = None,
    label_kind: LabelKind = "auto",
    slices: slice | None = None,
    label_slices: slice | None = None,
    labelled: slice | None = None,
    predicted: str = "auto",
    predicted_values: Mapping[int, int] | None = None,
    progress: bool | None = None,
) -> Evaluation:
    """Score a prediction against labels, as `dabench evaluate` does.

    Args:
        prediction: ``(Z, Y, X)``, or ``(Y, X)`` for one slice: an array, anything that is sliced like one (zarr, HDF5),
            or a path. Floating point is a probability, foreground from 0.5 on; whole numbers are a mask (0 and one
            other value) or ids.
        labels: of the same shape: a mask or ids.
        protocol: scoring protocol (``dabench ls protocols``).
        threshold: lowest value that counts as foreground.
        label_values: stored value -> 0, 1 or 255 (ignore), if the values are ambiguous.
        label_kind: ``semantic``, or ``instance`` (ids of objects), if the values do not show it.
        slices: score these only: ``slice(10, 20)``.
        label_slices: the prediction covers only these slices of the labels.
        labelled: the labels cover only these slices of the prediction.
        predicted: ``auto``, ``mask`` or ``ids``: what the prediction holds.
        predicted_values: stored value -> 0 or 1, if the values of the prediction are ambiguous.
        progress: a bar on the terminal: False for none, None where a person looks on.

    Raises:
        UnknownNameError: no such protocol.
        ConfigError: settings that contradict each other or the stacks, or ambiguous values.
        DataError: a file is missing or damaged, shapes differ, or values have no meaning.

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
    kind = stack.dtype
    stored, name = _open(registry, labels, instances=rule.wants_instances), _named(labels, "labels")
    stored = turned_to(stored, stack)
    meaning = meaning_of(stored, name, label_kind, _checked("--label-values", label_values))
    is_mask = rule.wants_instances and meaning.kind == "semantic"
    quiet = is_quiet(progress)
    truth = _truth(stored, name, rule, meaning, quiet)
    _check_threshold(threshold, stack)
    if label_slices is not None:
        truth = _cut("--label-slices", truth, label_slices, name)
    if labelled is not None:
        stack = _cut("--labelled", stack, labelled, _named(prediction, "prediction"))
    check_same_place(truth, stack, name, _named(prediction, "prediction"))
    wanted = None if slices is None else _inside("--slices", slices, truth.shape[0], name)
    ids, counts, stack = prediction_of(
        predicted, predicted_values, rule, stack, _named(prediction, "prediction"), threshold
    )
    with make_display(quiet=quiet, stderr=True) as display:
        watched = _Watched(truth, display, truth.shape[0] if wanted is None else len(wanted))
        report = evaluate_stacks(stack, watched, rule, name=protocol, slices=wanted, threshold=threshold, ids=ids)
    how = f"{kind} instance ids" if ids else f"{kind}, foreground where {counts}"
    how += "; labels: a mask, whose components are the true objects" if is_mask else ""
    return Evaluation(**vars(report), foreground=how)


class _Watched(Wrapper):
    """Labels whose slices are counted as they are read: each of them is read once for its score."""

    def __init__(self, volume: Volume, observer: Observer, total: int) -> None:
        super().__init__(volume)
        self._observer, self._done, self._total = observer, 0, total

    def read(self, z: int) -> Array:
        self._done += 1
        self._observer.advanced("scoring slices", self._done, self._total)
        return self.volume.read(z)


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
    return open_volume(path, registry.made("reader"))


def _truth(volume: Volume, name: str, rule: EvaluationProtocol, meaning: Meaning, quiet: bool) -> Volume:
    """The labels as the protocol wants them: ids (of a mask, its components), or 0/1/255."""
    if not rule.wants_instances:
        return meaning.labels(volume, name)
    if meaning.kind == "instance":
        return meaning.ids(volume, name)
    return WithIgnored(_objects(meaning.mask(volume, name), rule, quiet), meaning.labels(volume, name))


def _objects(mask: Volume, rule: EvaluationProtocol, quiet: bool) -> Volume:
    """The components of a mask as ids: through slices for a rule of objects in 3-D, else of each slice."""
    settings = Labelling.of(mask.shape, 3 if rule.through_slices else 2, (1, *mask.shape[1:]))
    with tempfile.TemporaryDirectory() as folder, make_display(quiet=quiet, stderr=True) as display:
        objects = find_objects(mask, settings, 0, Path(folder), display.progress("finding true objects"))
        return CachedVolume(LabelledVolume(mask, objects))


def _checked(option: str, mapping: Mapping[int, int] | None) -> dict[int, int]:
    wrong = sorted(set((mapping or {}).values()) - {0, 1, 255})
    if mapping and wrong:
        said = ",".join(f"{value}:{label}" for value, label in mapping.items())
        raise ConfigError(f"{option} '{said}': label {wrong[0]} must be 0, 1 or 255 (ignore).")
    return dict(mapping or {})


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


def prediction_of(
    said: str,
    values: Mapping[int, int] | None,
    rule: EvaluationProtocol,
    stack: Volume,
    name: str,
    threshold: float | None,
) -> tuple[bool, str, Volume]:
    """Whether the prediction is handed over as ids, which of its values count, and the prediction as it is meant.

    Raises ConfigError for what cannot be, and values that can mean several things.
    """
    if said not in ("auto", "mask", "ids"):
        raise ConfigError(f"--predicted {said!r}: choose one of auto, mask and ids.")
    if said == "ids" and not rule.takes_instances:
        raise ConfigError(
            "--predicted ids: this protocol only takes a mask and finds the objects itself.",
            "Use instances-2d@1 or instances-3d@1.",
        )
    whole_numbers = stack.dtype.kind in "iu"
    if said == "ids" and (not whole_numbers or threshold is not None):
        raise ConfigError(f"--predicted ids: ids are whole numbers, but the stack is {stack.dtype}.")
    if not whole_numbers or threshold is not None:
        from_ = 0.5 if threshold is None and stack.dtype.kind == "f" else threshold
        return False, "not 0" if from_ is None else f">= {from_:g}", stack
    if said == "mask" and not values:  # whatever is not 0
        return False, "not 0", Meaning("instance").mask(stack, name)
    ids = "for ids of objects  --predicted ids" if rule.takes_instances else "if all but 0 counts  --predicted mask"
    flags = Flags("--predicted-values", ids, "--threshold 128")
    kind: LabelKind = "instance" if said == "ids" else "auto"
    meaning = meaning_of(stack, name, kind, _checked("--predicted-values", values), flags)
    if meaning.kind == "semantic" or not rule.takes_instances:
        return False, _counted(meaning), meaning.mask(stack, name)
    return True, "", meaning.ids(stack, name)


def _counted(meaning: Meaning) -> str:
    """The values of a mask that count, in words."""
    if meaning.kind == "instance" or not [value for value, label in meaning.values.items() if value and label != 1]:
        return "not 0"
    return " or ".join(str(value) for value, label in meaning.values.items() if label == 1)


def _check_threshold(threshold: float | None, stack: Volume) -> None:
    if threshold is not None and 0 < threshold < 1 and stack.dtype.kind in "ui":
        raise ConfigError(
            f"--threshold {threshold:g}: the prediction holds {stack.dtype}, of which everything above 0 would pass.",
            f"For probabilities stored as 0 to 255 use --threshold {round(256 * threshold)}.",
        )
