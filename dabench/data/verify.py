"""Read all of a domain and report what is wrong, without stopping at the first problem."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dabench.data.blocks import read_block, slabs
from dabench.data.card_domain import CardDomain
from dabench.data.doubts import doubts
from dabench.data.intensity import UnitVolume
from dabench.data.origin import MOST_BLANK, Blank, need_seen
from dabench.data.overlap import overlaps
from dabench.errors import DataError
from dabench.interfaces.counting import counted_by
from dabench.types import IGNORE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dabench.interfaces import Domain, Split, Volume
    from dabench.interfaces.observer import Observer


@dataclass
class SplitReport:
    """What was found in one split; no ``problems`` means it is sound.

    ``foreground`` is a share of the labelled pixels, ``ignored`` (not labelled) of all; None without labels. ``blank``
    slices of the images hold one value only. ``notes`` are strange, and may be as they should be.
    """

    split: str
    shape: tuple[int, int, int] | None = None
    dtype: str = ""
    foreground: float | None = None
    ignored: float | None = None
    digest: str = ""
    label_digest: str = ""
    blank: int = 0
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def verify(
    domain: Domain, open_volume: Callable[[Path], Volume], observer: Observer | None = None
) -> list[SplitReport]:
    """Digests afresh, every slice, every label value of every split. Never raises for bad data; reports it."""
    return [_verify(domain, name, open_volume, observer) for name in domain.splits()]


def _verify(domain: Domain, name: str, open_volume: Callable[[Path], Volume], observer: Observer | None) -> SplitReport:
    report = SplitReport(name)
    try:
        if isinstance(domain, CardDomain):
            report.problems += [text for text in overlaps(domain.card) if f"split {name!r}" in text]
            domain.rehash(name, open_volume)
        split = domain.open(name, open_volume)
        report.shape, report.dtype = split.images.shape, str(split.images.dtype)
        report.digest, report.label_digest = split.digest, split.label_digest
    except DataError as error:
        report.problems.append(str(error))
        return report
    report.notes += doubts(split)
    most = domain.card.splits[name].blank if isinstance(domain, CardDomain) else MOST_BLANK  # type: ignore[index]
    _read_slices(split, report, most, observer)
    return report


def _read_slices(split: Split, report: SplitReport, most_blank: float, observer: Observer | None) -> None:
    """Every voxel once, in boxes of bounded size along the file's chunks."""
    images = UnitVolume(split.images, "range", f"{split.domain}/{split.name}")
    foreground = ignored = total = 0
    blank = Blank(images.shape[0])
    for block in counted_by(observer, list(slabs(images)), f"reading {split.name}"):
        try:
            raw = read_block(split.images, block)
            blank.see(raw, block.z)
            images.convert(raw, block)
            if split.instances is not None:
                read_block(split.instances, block)
            if split.labels is not None:
                label = read_block(split.labels, block)
                foreground += int((label == 1).sum())
                ignored += int((label == IGNORE).sum())
                total += label.size
        except DataError as error:
            report.problems.append(str(error))
    report.blank = blank.count()
    try:
        need_seen(report.blank, images.shape[0], "images", most_blank, "`blank:` in the card")
    except DataError as error:
        report.problems.append(str(error))
    if total:
        report.foreground, report.ignored = foreground / max(total - ignored, 1), ignored / total
        if foreground == 0:
            report.problems.append("no foreground in any slice")
