"""Make a card for a user's own volume: look at the files, guess what the labels mean, check that it opens."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from dabench.data.blocks import voxel_of
from dabench.data.card import Card, SplitName, load_card, parse_card, save_card
from dabench.data.card_domain import CardDomain
from dabench.data.digests import DigestCache
from dabench.data.doubts import Voxel, doubts, image_notes, same_voxel, shown
from dabench.data.label_values import LabelKind, Meaning, meaning_of
from dabench.data.origin import MOST_BLANK, files_of, spread
from dabench.data.overlap import overlaps
from dabench.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from dabench.data.card import Slices
    from dabench.interfaces import Split, Volume


@dataclass(frozen=True)
class NewSplit:
    """What a user says of a split of a domain of their own; as on the card (`dabench.data.card`).

    ``images`` and ``labels`` may name a volume inside a file. ``voxel`` is left out where the file says it, ``values``
    where the labels can mean one thing only.
    """

    name: str
    split: SplitName
    images: Path
    labels: Path | None = None
    voxel: Voxel | None = None
    slices: Slices | None = None
    label_slices: Slices | None = None
    labelled: Slices | None = None
    kind: LabelKind = "auto"
    values: Mapping[int, int] = field(default_factory=dict)
    intensity: tuple[float, float] | None = None
    neighbours: bool = True
    in_order: bool = False
    blank: float = MOST_BLANK
    description: str = ""


@dataclass(frozen=True)
class Added:
    """What became of it: the whole card, shape of the split's images (slices, rows, columns), and what is strange."""

    card: Card
    shape: tuple[int, int, int]
    warnings: tuple[str, ...]


def add(new: NewSplit, path: Path, open_volume: Callable[[Path], Volume], *, replace: bool = False) -> Added:
    """Write the card of a new split, or add the split to the card at ``path``; with ``replace`` over one that is there.

    Raises:
        MissingDataError, DataError: the files do not open or do not fit together.
        ConfigError: a value does not fit (name, voxel), or the card at ``path`` says something else.
    """
    voxel, warning = choose_voxel(open_volume(new.images), new.voxel, str(new.images))
    card = add_split(path, new_card(new, voxel, open_volume), replace=replace)
    if twice := overlaps(card):
        raise ConfigError(
            f"{path}: {'; '.join(twice)}.",
            "Give other files, or the slices of each split:  --slices FIRST:LAST",
        )
    split = CardDomain(card, digests=DigestCache()).open(new.split, open_volume)
    said = [warning, doubt_voxel(voxel), *_notes(split, new), *doubts(split)]
    save_card(card, path)
    return Added(card, split.images.shape, tuple(dict.fromkeys(filter(None, said))))


def _notes(split: Split, new: NewSplit) -> list[str]:
    return image_notes(split.images, str(new.images), new.blank, neighbours=new.neighbours)


def new_card(new: NewSplit, voxel: Voxel, open_volume: Callable[[Path], Volume]) -> Card:
    """A card with one split, whose label values are those given or found in the file.

    Raises:
        MissingDataError, DataError: the files do not open or do not fit together.
        ConfigError: a value does not fit (name, voxel).
    """
    kind = new.kind if new.kind != "auto" else "semantic"
    meaning = Meaning(kind, new.values)
    if new.labels is not None:
        meaning = meaning_of(open_volume(new.labels), str(new.labels), new.kind, new.values)
    digests = DigestCache()
    files = [path.absolute() for path in (new.images, new.labels) if path is not None]
    raw: dict[str, object] = {
        "name": new.name,
        "description": new.description or f"Added from {new.images}.",
        "splits": {
            new.split: {
                "images": str(new.images.absolute()),
                "labels": str(new.labels.absolute()) if new.labels else None,
                "slices": new.slices,
                "label_slices": new.label_slices,
                "labelled": new.labelled,
                "in_order": new.in_order,
                "blank": new.blank,
            }
        },
        "label_kind": meaning.kind,
        "label_values": dict(meaning.values),
        "voxel": voxel,
        "neighbours": new.neighbours,
        "intensity": new.intensity,
    }
    if new.intensity is None:
        _need_range(open_volume(new.images), new.images)
    sha256 = {str(path): digests.of(path, files_of(open_volume(path))) for path in files}
    card = parse_card(raw | {"sha256": sha256}, f"card {new.name!r}")
    CardDomain(card, digests=digests).open(new.split, open_volume)
    return card


def choose_voxel(volume: Volume, given: Voxel | None, name: str) -> tuple[Voxel, str]:
    """The voxel size of a card in nm (z, y, x), and a warning where the file says another one ("" where not).

    Raises:
        ConfigError: the voxel size is not known.
        DataError: only the file says it, and what it says means nothing.
    """
    try:
        said = voxel_of(volume)
    except DataError as error:
        if given is None:
            raise
        return given, f"{error.message} Using --voxel."
    if given is None and said is None:
        raise ConfigError(f"{name}: the file does not state the voxel size.", "Give it in nm, z,y,x:  --voxel 30,8,8")
    if given is None or said is None:
        return given or said or (0, 0, 0), ""
    if same_voxel(given, said):
        return given, ""
    return given, f"{name} states a voxel size of {shown(said)} nm, but --voxel {shown(given)} nm is used."


def doubt_voxel(voxel: Voxel) -> str:
    """What is strange about a voxel size in nm (z, y, x) of electron microscopy; "" where nothing is."""
    if max(voxel) < 1 or max(voxel) >= 1000:
        return f"a voxel of {shown(voxel)} nm (z,y,x) is unusual for electron microscopy. Is the unit correct?"
    if voxel[0] < max(voxel[1:]):
        return f"a voxel of {shown(voxel)} nm is thinner than it is wide. Check the order: z,y,x."
    return ""


def _need_range(volume: Volume, images: Path) -> None:
    """Raises DataError for floating-point images that no declared range brings to [0, 1]; proposes the range seen."""
    if volume.dtype.kind != "f":
        return
    low, high, slices = np.inf, -np.inf, spread(volume.shape[0])
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
            f"Give the values that become 0 and 1, for example  --intensity {low:g},{high:g}",
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
            f"{path}: its labels are {old.label_kind} {old.mapping()}, but the new ones are {card.label_kind} "
            f"{card.mapping()}.",
            "Give the meaning of the values with --label-values and --label-kind, or use another domain name.",
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
