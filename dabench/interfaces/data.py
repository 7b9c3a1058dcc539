"""Data: volumes, readers, domains."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from dabench.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from dabench.interfaces.choice import Choice
    from dabench.types import Array, Block


@dataclass(frozen=True)
class Placement:
    """Where a volume lies in space, as its file says it (NIfTI).

    Attributes:
        affine: 4 x 4, from a voxel's index (x, y, z) to its position (right, anterior, superior).
        unit: of positions, as NIfTI names it: ``micron``, ``mm``, ``meter`` or ``unknown``.
    """

    affine: Array
    unit: str = "unknown"


class Volume(Protocol):
    """A stack of equally sized 2-D slices that is read one slice at a time.

    What its file says beyond the pixels is found as attributes, where it says any: ``voxel``, nm (z, y, x), or None;
    ``white_is_zero``; ``layout``, how the stored axes were understood, in words; ``placement``, a `Placement` or None;
    ``provenance``, what dabench noted of how it made the file, by name.
    """

    @property
    def shape(self) -> tuple[int, int, int]:
        """(slices, rows, columns)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Pixel type as stored."""

    def read(self, z: int) -> Array:
        """Slice ``z`` as ``(H, W)``, in the stored type. Raises DataError naming file and slice."""


@runtime_checkable
class BlockVolume(Volume, Protocol):
    """A volume of which any box can be read without the rest of its slices (`dabench.data.blocks.read_block`)."""

    @property
    def chunks(self) -> tuple[int, int, int]:
        """The box that is stored together, (slices, rows, columns): reading a part of it costs as much as all of it."""

    def read_block(self, block: Block) -> Array:
        """A box that lies in the volume, as ``(depth, height, width)`` in the stored type.

        Safe to call from several threads. Raises DataError naming file and place.
        """


class Reader(ABC):
    """Opens one file format. Readers are tried in order of their names; the first that ``accepts`` a path opens it."""

    @abstractmethod
    def accepts(self, path: Path) -> bool:
        """Whether this reader knows the format of ``path`` (by suffix or folder content); never raises."""

    @abstractmethod
    def open(self, path: Path) -> Volume:
        """Open without reading pixels. Raises DataError for a damaged or empty file, with its name."""

    def open_choice(self, path: Path, choice: Choice) -> Volume:
        """Open the volume that a choice means: one channel, time or series, or axes in an order that the user says.

        Raises DataError for a choice that the file does not have; readers without choices need not change this.
        """
        raise DataError(
            f"{path}: {type(self).__name__} opens the only volume of a file, not {choice}.", "Leave it out."
        )


@dataclass(frozen=True)
class Split:
    """One split of a domain, opened: ``images`` and, where there are any, ``labels`` (0, 1, 255) of the same shape.

    ``instances`` holds true instance ids where the card has them. ``voxel`` is nm (z, y, x). ``digest`` names the
    content of the images, ``label_digest`` that of the labels ("" without labels). ``neighbours`` is true when slice
    z+1 lies physically next to slice z.
    """

    domain: str
    name: str
    images: Volume
    labels: Volume | None
    voxel: tuple[float, float, float]
    digest: str
    label_digest: str = ""
    instances: Volume | None = None
    neighbours: bool = True


class Domain(ABC):
    """One EM data set. The runner opens its splits; methods never see this object."""

    #: What it is, in words for a listing (modality, tissue, voxel size, terms).
    description: str = ""
    #: Licence or terms of use of its images.
    licence: str = ""
    #: Whether these allow to hand the images on, as part of a preference data set.
    redistribution: bool = False
    #: nm (z, y, x) of its voxels, where it knows them before its files are opened.
    voxel: tuple[float, float, float] | None = None
    #: Whether it is described by the user's own card, not by a plugin.
    own: bool = False

    @abstractmethod
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that exist, among ``train``, ``test``, ``unlabelled``."""

    @abstractmethod
    def missing(self) -> list[str]:
        """Files that are not on this machine (empty: ready), so that a plan can say so before anything runs."""

    @abstractmethod
    def open(self, split: str, open_volume: Callable[[Path], Volume]) -> Split:
        """Open one split lazily. Raises MissingDataError or DataError.

        ``open_volume`` opens any file or folder with the readers that are registered.
        """
