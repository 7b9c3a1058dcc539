"""Make a card for a user's own volume: look at the files, guess what the labels mean, check that it opens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from dabench.data.blocks import voxel_of
from dabench.data.card import Card, SplitName, load_card, parse_card
from dabench.data.card_domain import CardDomain
from dabench.data.digests import DigestCache
from dabench.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dabench.data.card import Slices
    from dabench.interfaces import Volume

LabelKind = Literal["auto", "semantic", "instance"]
#: Slices of a volume that are looked at to guess what its values mean.
_LOOKED_AT = 16
#: Share by which the user's voxel size may differ from the file's without a word.
_TOLERANCE = 0.01
#: Less of it, and many values are taken for an image: no tissue consists of mitochondria alone.
_LEAST_BACKGROUND = 0.05
Voxel = tuple[float, float, float]


def new_card(
    name: str,
    split: SplitName,
    images: Path,
    labels: Path | None,
    voxel: Voxel,
    open_volume: Callable[[Path], Volume],
    *,
    slices: Slices | None = None,
    label_slices: Slices | None = None,
    labelled: Slices | None = None,
    kind: LabelKind = "auto",
    values: dict[int, int] | None = None,
    intensity: tuple[float, float] | None = None,
    neighbours: bool = True,
    description: str = "",
) -> Card:
    """A card with one split, whose label values are those given or found in the file.

    Args are those of the card (`dabench.data.card`); ``images`` and ``labels`` may name a volume inside a file.

    Raises:
        MissingDataError, DataError: the files do not open or do not fit together.
        ConfigError: a value does not fit (name, voxel).
    """
    found_kind, found_values = _meaning(labels, open_volume, kind, values)
    digests = DigestCache()
    files = [path.absolute() for path in (images, labels) if path is not None]
    raw: dict[str, object] = {
        "name": name,
        "description": description or f"Added from {images}.",
        "splits": {
            split: {
                "images": str(images.absolute()),
                "labels": str(labels.absolute()) if labels else None,
                "slices": slices,
                "label_slices": label_slices,
                "labelled": labelled,
            }
        },
        "label_kind": found_kind,
        "label_values": found_values,
        "voxel": voxel,
        "neighbours": neighbours,
        "intensity": intensity,
    }
    if intensity is None:
        _need_range(open_volume(images), images)
    card = parse_card(raw | {"sha256": {str(path): digests.of(path) for path in files}}, f"card {name!r}")
    CardDomain(card, digests=digests).open(split, open_volume)
    return card


def choose_voxel(volume: Volume, given: Voxel | None, name: str) -> tuple[Voxel, str]:
    """The voxel size of a card in nm (z, y, x), and a warning where the file says another one ("" where not).

    Raises:
        ConfigError: nobody says how large a voxel is.
        DataError: only the file says it, and what it says means nothing.
    """
    try:
        said = voxel_of(volume)
    except DataError as error:
        if given is None:
            raise
        return given, f"{error.message} --voxel is taken."
    if given is None and said is None:
        raise ConfigError(
            f"{name}: the file does not say how large a voxel is.", "Say it in nm, z,y,x:  --voxel 30,8,8"
        )
    if given is None or said is None:
        return given or said or (0, 0, 0), ""
    if all(abs(a - b) <= _TOLERANCE * b for a, b in zip(given, said, strict=True)):
        return given, ""
    return given, f"{name} says that a voxel is {shown(said)} nm, --voxel says {shown(given)} nm; --voxel is taken."


def doubt_voxel(voxel: Voxel) -> str:
    """What is strange about a voxel size in nm (z, y, x) of electron microscopy; "" where nothing is."""
    if max(voxel) < 1 or max(voxel) >= 1000:
        return f"a voxel of {shown(voxel)} nm (z,y,x) is unusual for electron microscopy: is another unit meant?"
    if voxel[0] < max(voxel[1:]):
        return f"a voxel of {shown(voxel)} nm is thinner than it is wide: the order is z,y,x."
    return ""


def shown(voxel: Voxel) -> str:
    """A voxel size as ``--voxel`` takes it."""
    return ",".join(f"{size:g}" for size in voxel)


def _need_range(volume: Volume, images: Path) -> None:
    """Raises DataError for floating-point images that no declared range brings to [0, 1]; proposes the range seen."""
    if volume.dtype.kind != "f":
        return
    low, high, slices = np.inf, -np.inf, _spread(volume.shape[0])
    for z in slices:
        image = volume.read(z)
        if not np.isfinite(image).all():
            raise DataError(
                f"{images}: slice {z} holds NaN or infinite pixels.",
                "Write the volume again without them (0 is fine for missing tissue).",
            )
        low, high = min(low, float(image.min())), max(high, float(image.max()))
    if low < 0 or high > 1:
        raise DataError(
            f"{images}: floating-point pixels from {low:g} to {high:g} (in {len(slices)} slices), expected 0 to 1.",
            f"Say which values become 0 and 1, for example  --intensity {low:g},{high:g}",
        )


def add_split(path: Path, card: Card, *, replace: bool = False) -> Card:
    """Merge the split of a new card into the card at ``path``, which may not exist.

    Raises:
        ConfigError: the split is there already (unless ``replace``), or voxel size or label meaning differ.
    """
    if not path.exists():
        return card
    old = load_card(path)
    for name in card.splits:
        if name in old.splits and not replace:
            raise ConfigError(
                f"{path}: split {name!r} of {card.name!r} exists already.", "Add --replace to overwrite it."
            )
    if old.voxel != card.voxel:
        raise ConfigError(
            f"{path}: the card says voxel {old.voxel}, --voxel says {card.voxel}.", "All splits share one."
        )
    both_labelled = any(s.labels for s in old.splits.values()) and any(s.labels for s in card.splits.values())
    if both_labelled and (old.label_kind, old.mapping()) != (card.label_kind, card.mapping()):
        raise ConfigError(
            f"{path}: its labels are {old.label_kind} {old.mapping()}, the new ones are {card.label_kind} "
            f"{card.mapping()}.",
            "Say what the values mean with --value and --label-kind, or add the volume under another name.",
        )
    labelled = card if any(s.labels for s in card.splits.values()) else old
    splits = {**old.splits, **card.splits}
    used = {file for part in splits.values() for file in part.files()}
    sha256 = {file: value for file, value in {**old.sha256, **card.sha256}.items() if file in used}
    update = {
        "splits": splits,
        "sha256": sha256,
        "label_kind": labelled.label_kind,
        "label_values": labelled.label_values,
    }
    return old.model_copy(update=update)


def _meaning(
    labels: Path | None, open_volume: Callable[[Path], Volume], kind: LabelKind, values: dict[int, int] | None
) -> tuple[str, dict[int, int]]:
    """Label kind and values: as given, else guessed from the values that the file holds."""
    if labels is None or values:
        return ("semantic" if kind == "auto" else kind), dict(values or {})
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
    slices = [labels.read(z) for z in _spread(labels.shape[0])[::5]]
    background = float(np.mean([np.mean(pixels == 0) for pixels in slices]))
    if background < _LEAST_BACKGROUND and (count := len(np.unique(slices[0]))) > 2:
        raise _images_as_labels(name, count, background, otherwise)


def refuse_doubtful(labels: Volume, name: str, otherwise: str) -> None:
    """Raises ConfigError where some slices hold 0, 1 and 255 and nothing else: 255 may be foreground or ignored."""
    found: set[int] = set()
    for z in _spread(labels.shape[0]):
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
    zeros, slices = 0, _spread(volume.shape[0])
    for z in slices:
        pixels = volume.read(z)
        part = np.unique(pixels)
        zeros += int(np.count_nonzero(pixels == 0))
        if part.dtype.kind == "f" and not (part == np.round(part)).all():
            raise DataError(f"labels: slice {z} holds {part[part != np.round(part)][0]}, which is not a whole number.")
        found.update(int(value) for value in part)
    return found, zeros / (len(slices) * volume.shape[1] * volume.shape[2])


def _spread(count: int) -> list[int]:
    """At most 16 evenly spaced slices."""
    return [int(z) for z in np.unique(np.linspace(0, count - 1, min(count, _LOOKED_AT)).round())]
