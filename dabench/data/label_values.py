"""What the values of a label file mean: said by the user, guessed where only one meaning is possible, else asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from dabench.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from dabench.interfaces import Volume

LabelKind = Literal["auto", "semantic", "instance"]
#: Slices of a volume that are looked at to guess what its values mean.
_LOOKED_AT = 16
#: Less of it, and many values are taken for an image: no tissue consists of mitochondria alone.
_LEAST_BACKGROUND = 0.05


def meaning_of(
    labels: Path | None, open_volume: Callable[[Path], Volume], kind: LabelKind, values: Mapping[int, int]
) -> tuple[str, dict[int, int]]:
    """Label kind and values: as given, else guessed from the values that the file holds."""
    if labels is None or values:
        return ("semantic" if kind == "auto" else kind), dict(values)
    if kind == "instance":
        return kind, {}
    found, background = _values(open_volume(labels))
    if len(found - {0}) <= 1:
        return "semantic", {0: 0, **dict.fromkeys(found - {0}, 1)}
    if kind == "semantic" or max(found) == 255:
        raise ConfigError(
            f"{labels}: labels hold the values {sorted(found)[:12]}, which can mean several things.",
            "Say what each one is, for example  --value 255=1 --value 128=0 --value 0=255  (255 = ignore), "
            "or  --label-kind instance",
        )
    if background < _LEAST_BACKGROUND:
        raise _images_as_labels(str(labels), len(found), background, "--label-kind instance")
    return "instance", {}


#: Labels whose meaning cannot be guessed.
_DOUBTFUL = {0, 1, 255}


def refuse_images(labels: Volume, name: str, otherwise: str) -> None:
    """Raises ConfigError where labels have many values and hardly a zero, as images do.

    Args:
        labels: of whole numbers; some slices are looked at.
        name: of the file.
        otherwise: the option that says that they are labels all the same.
    """
    slices = [labels.read(z) for z in spread(labels.shape[0])[::5]]
    background = float(np.mean([np.mean(pixels == 0) for pixels in slices]))
    if background < _LEAST_BACKGROUND and (count := len(np.unique(slices[0]))) > 2:
        raise _images_as_labels(name, count, background, otherwise)


def refuse_doubtful(labels: Volume, name: str, otherwise: str) -> None:
    """Raises ConfigError where some slices hold 0, 1 and 255 and nothing else: 255 may be foreground or ignored."""
    found: set[int] = set()
    for z in spread(labels.shape[0]):
        found.update(np.unique(labels.read(z)).tolist())
        if len(found) > len(_DOUBTFUL):
            return
    if found == _DOUBTFUL:
        raise ConfigError(f"{name}: labels hold the values 0, 1 and 255.", f"Say what each one is:  {otherwise}")


def _images_as_labels(name: str, count: int, background: float, otherwise: str) -> ConfigError:
    return ConfigError(
        f"{name}: {count} different values and {background:.1%} zeros: images, not labels?",
        f"Labels are 0 where there is no mitochondrion. If these are labels all the same:  {otherwise}",
    )


def _values(volume: Volume) -> tuple[set[int], float]:
    """The values of some slices, and the share of their pixels that is 0."""
    found: set[int] = set()
    zeros, slices = 0, spread(volume.shape[0])
    for z in slices:
        pixels = volume.read(z)
        part = np.unique(pixels)
        zeros += int(np.count_nonzero(pixels == 0))
        if part.dtype.kind == "f" and not (part == np.round(part)).all():
            raise DataError(f"labels: slice {z} holds {part[part != np.round(part)][0]}, which is not a whole number.")
        found.update(int(value) for value in part)
    return found, zeros / (len(slices) * volume.shape[1] * volume.shape[2])


def spread(count: int) -> list[int]:
    """At most 16 evenly spaced slices."""
    return [int(z) for z in np.unique(np.linspace(0, count - 1, min(count, _LOOKED_AT)).round())]
