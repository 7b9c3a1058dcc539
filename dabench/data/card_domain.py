"""A domain from a card: opens splits lazily and checks what can be checked without reading all pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dabench.data.card import Card, SplitCard, SplitName
from dabench.data.digests import DigestCache, container
from dabench.data.intensity import RescaledVolume
from dabench.data.labels import InstanceIds, MappedLabels, PartialLabels, known_slices
from dabench.data.orientation import check_same_place, turned_to
from dabench.data.origin import files_of, names_of, need_stored
from dabench.data.pairing import mismatch
from dabench.data.volumes import CachedVolume, SliceRange, Upright
from dabench.errors import DataError, MissingDataError, UnknownNameError
from dabench.files.digests import digest_of
from dabench.files.workspace import Workspace
from dabench.interfaces import Domain, Split, Volume
from dabench.types import IGNORE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from dabench.data.card import Slices

_ORDER: tuple[SplitName, ...] = ("train", "test", "unlabelled")


class CardDomain(Domain):
    """A domain whose files and meaning are written on a card.

    Args:
        cards: the card or, for a data set that is handed out in several layouts, one card a layout: the first whose
            files are all there is used (without any, the first is what errors talk about).
        folder: folder that holds the files; default ``<data root>/<card.folder>``.
        digests: cache of content digests; default in the workspace.
        own: whether it is the user's own card.
    """

    def __init__(
        self,
        cards: Card | Sequence[Card],
        folder: Path | None = None,
        digests: DigestCache | None = None,
        *,
        own: bool = False,
    ) -> None:
        """Choose the layout; opens nothing."""
        self._all = [cards] if isinstance(cards, Card) else list(cards)
        self._folder = folder
        self._digests = digests or DigestCache(Workspace.find().root / "cache" / "digests.json")
        #: All files that hold a volume that was opened, by its path.
        self._files: dict[Path, tuple[Path, ...]] = {}
        self.card = next((c for c in self._all if not self._absent(c)), self._all[0])
        self.description, self.voxel, self.own = self.card.description, self.card.voxel, own
        self.licence, self.redistribution = self.card.licence, self.card.redistribution

    # ----------------------------------------------------------------------------------------------------- questions
    @property
    def folder(self) -> Path:
        """Folder that the card's paths are relative to."""
        return self._folder_of(self.card)

    def splits(self) -> tuple[str, ...]:
        """Splits of the card, train first."""
        return tuple(name for name in _ORDER if name in self.card.splits)

    def missing(self) -> list[str]:
        """Paths that the card names and that are not there."""
        return self._absent(self.card)

    # ------------------------------------------------------------------------------------------------------- opening
    def open(self, split: str, open_volume: Callable[[Path], Volume]) -> Split:
        """Open one split, after checks of what can be checked without reading all of it.

        These are digests, shapes, slice ranges, numbers in names of slices, how much of the images is stored, and that
        a labelled train split has foreground.

        Raises:
            MissingDataError: files are not there.
            DataError: a digest, a shape, a slice range or a label value does not fit; names file, slice and value.
        """
        part = self._split(split)
        absent = [str(p) for p in self._paths(self.card, part) if container(p) is None]
        if absent:
            raise MissingDataError(
                f"domain {self.card.name!r}, split {split!r}: missing {', '.join(absent)}.", self._where()
            )
        images = self._images(part, open_volume)
        labels = self._labels(part, open_volume, images)
        if labels is not None and split == "train":
            self._need_foreground(labels, part)
        return Split(
            domain=self.card.name,
            name=split,
            images=images,
            labels=labels,
            voxel=self.card.voxel,
            digest=self._digest(part.images, part.slices, self.card.intensity),
            label_digest=self._label_digest(part),
            instances=self._instances(part, open_volume, images),
            neighbours=self.card.neighbours,
        )

    def _images(self, part: SplitCard, open_volume: Callable[[Path], Volume]) -> Volume:
        images = self._volume(part.images, part.slices, open_volume)
        need_stored(images, str(self._path(self.card, part.images)), part.blank, "--blank")
        if self.card.intensity is None:
            return Upright.of(images)
        return RescaledVolume(images, *self.card.intensity)

    def _labels(self, part: SplitCard, open_volume: Callable[[Path], Volume], images: Volume) -> Volume | None:
        if part.labels is None:
            return None
        raw = self._volume(part.labels, part.range_of_labels, open_volume, images)
        self._same_shape(part, images, part.labels, raw)
        is_instance = self.card.label_kind == "instance"
        name = str(self._path(self.card, part.labels))
        labels = MappedLabels(raw, self.card.mapping(), name, instances=is_instance)
        return _padded(labels, part, images.shape[0], IGNORE)

    def _instances(self, part: SplitCard, open_volume: Callable[[Path], Volume], images: Volume) -> Volume | None:
        file = part.instances or (part.labels if self.card.label_kind == "instance" else None)
        if file is None:
            return None
        raw = self._volume(file, part.range_of_labels, open_volume, images)
        self._same_shape(part, images, file, raw)
        mapping = self.card.mapping() if self.card.label_kind == "instance" else {0: 0}
        ids = CachedVolume(InstanceIds(raw, mapping, str(self._path(self.card, file))))
        return _padded(ids, part, images.shape[0], -1)

    def _volume(
        self, file: str, slices: Slices | None, open_volume: Callable[[Path], Volume], images: Volume | None = None
    ) -> Volume:
        """Slices of a file, turned to the images that they are of."""
        path = self._path(self.card, file)
        volume = open_volume(path)
        self._files[path] = files_of(volume)
        self._check_digest(file, self._digests.of(path, self._files[path]))
        volume = volume if images is None else turned_to(volume, images)
        return volume if slices is None else SliceRange(volume, *slices, name=str(path))

    def _same_shape(self, part: SplitCard, images: Volume, label_file: str, labels: Volume) -> None:
        depth = images.shape[0] if part.labelled is None else part.labelled[1] - part.labelled[0]
        expected = (depth, *images.shape[1:])
        first = (part.slices or (0, 0))[0]
        inside = part.labelled is None or part.labelled[1] - first <= images.shape[0]
        covering = (
            names_of(images)[part.labelled[0] - first : part.labelled[1] - first] if part.labelled else names_of(images)
        )
        unpaired = "" if part.in_order else mismatch(covering, names_of(labels))
        if labels.shape == expected and inside:
            self._need_pairs(part, label_file, unpaired)
            skip = part.labelled[0] - first if part.labelled else 0
            names = (str(self._path(self.card, file)) for file in (label_file, part.images))
            check_same_place(labels, images, *names, skip=skip)
            return
        covered = (
            f", of which slices {part.labelled[0]} to {part.labelled[1] - 1} are labelled" if part.labelled else ""
        )
        raise DataError(
            f"domain {self.card.name!r}: {self._path(self.card, label_file)} has shape {labels.shape}, the images "
            f"{self._path(self.card, part.images)} have {images.shape} (slices, rows, columns){covered}."
            + (f" By the numbers in their names: {unpaired}." if unpaired else ""),
            "Labels must cover the same slices and pixels: choose the matching files, or set `slices`, `label_slices` "
            "or, for labels of some slices only, `labelled` in the card.",
        )

    def _need_pairs(self, part: SplitCard, label_file: str, unpaired: str) -> None:
        if unpaired:
            raise DataError(
                f"domain {self.card.name!r}: {self._path(self.card, label_file)} are no labels of the slices of "
                f"{self._path(self.card, part.images)}, by the numbers in their names: {unpaired}.",
                "Choose the matching files. Where they belong together in order all the same:  --in-order  "
                "(`in_order: true` in the card)",
            )

    def _need_foreground(self, labels: Volume, part: SplitCard) -> None:
        if not any((labels.read(z) == 1).any() for z in known_slices(labels)):
            raise DataError(
                f"domain {self.card.name!r}: {self._path(self.card, part.labels or '')}: no foreground in any of the "
                f"{len(known_slices(labels))} training slices (label_values {self.card.mapping()}).",
                f"Correct label_values in the card, or the file; then  dabench data verify {self.card.name}",
            )

    # ------------------------------------------------------------------------------------------------------- digests
    def _digest(self, file: str, slices: Slices | None, extra: object) -> str:
        path = self._path(self.card, file)
        return digest_of([self._digests.of(path, self._files.get(path, ())), slices, extra])

    def _label_digest(self, part: SplitCard) -> str:
        if part.labels is None:
            return ""
        meaning: list[object] = [self.card.label_kind, sorted(self.card.mapping().items())]
        if part.labelled is not None:
            meaning.append(part.labelled)
        return self._digest(part.labels, part.range_of_labels, meaning)

    def _check_digest(self, file: str, found: str) -> None:
        expected = self.card.sha256.get(file)
        if expected is not None and found != expected:
            raise DataError(
                f"{self._path(self.card, file)}: SHA-256 is {found[:16]}…, the card of {self.card.name!r} says "
                f"{expected[:16]}…: the file is damaged or another version.",
                f"Get it again ({self.card.source or 'see the card'}), then  dabench data verify {self.card.name}",
            )

    def rehash(self, split: str, open_volume: Callable[[Path], Volume]) -> None:
        """Compute the digests of a split's files again, whatever the cache says. Raises DataError for a damaged one."""
        for path in self._paths(self.card, self._split(split)):
            if container(path) is not None:
                self._digests.of(path, files_of(open_volume(path)), fresh=True)

    # --------------------------------------------------------------------------------------------------------- paths
    def _split(self, name: str) -> SplitCard:
        for known, part in self.card.splits.items():
            if known == name:
                return part
        raise UnknownNameError(f"split of domain {self.card.name!r}", name, self.card.splits)

    def _folder_of(self, card: Card) -> Path:
        return self._folder or Workspace.find().data / card.place

    def _path(self, card: Card, file: str) -> Path:
        return self._folder_of(card) / file

    def _paths(self, card: Card, part: SplitCard) -> list[Path]:
        return [self._path(card, file) for file in part.files()]

    def _absent(self, card: Card) -> list[str]:
        paths = [p for part in card.splits.values() for p in self._paths(card, part)]
        return [str(p) for p in dict.fromkeys(paths) if container(p) is None]

    def _where(self) -> str:
        reader = f" They need the reader {self.card.reader!r}." if self.card.reader else ""
        source = self.card.source or f"Put the files into {self.folder}."
        return (
            f"{source}{reader} Data root: {self.folder.parent} (DABENCH_DATA). See  dabench data show {self.card.name}"
        )


def _padded(labels: Volume, part: SplitCard, depth: int, unknown: int) -> Volume:
    """Labels of the whole split: slices without labels read as unknown."""
    if part.labelled is None:
        return labels
    first = part.labelled[0] - (part.slices[0] if part.slices else 0)
    return PartialLabels(labels, first, depth, unknown)
