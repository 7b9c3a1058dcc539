"""An OME-Zarr 0.5 folder with one image and its label images, created before its voxels are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dabench.volumes.output import metadata
from dabench.volumes.output.blocks import ZarrBlocks
from dabench.volumes.output.layout import Layout, Shape, Voxel, layout, pyramid

if TYPE_CHECKING:
    from pathlib import Path

    from dabench.interfaces import Placement

#: The image itself is named here, not in its path.
IMAGE = "probability"
#: Types of voxels of its labels.
TYPES = {"mask": "uint8", "instances": "uint32"}


@dataclass(frozen=True)
class OmeZarr:
    """An image (a probability, unless said otherwise) at the root and labels below ``labels/``, each a pyramid.

    Attributes:
        path: of the folder.
        shape: of the finest level.
        block: the box in which it is written.
        voxel: nm (z, y, x), or None where it is not known.
        labels: names of the label images, among ``mask`` and ``instances``.
        first: slice of the scan that is slice 0 here.
        about: kept as the attribute ``dabench`` of the root.
        placement: where its images lie in space, as their file says it, or None; kept with each image.
        image: name of the image at the root.
        dtype: of its voxels.
        reduced: how its coarser levels are made: ``mean``, or ``mode`` (the commonest value) for values that are names.
    """

    path: Path
    shape: Shape
    block: Shape
    voxel: Voxel | None
    labels: Sequence[str] = ("mask",)
    first: int = 0
    about: Mapping[str, Any] = field(default_factory=dict)
    placement: Placement | None = None
    image: str = IMAGE
    dtype: str = "uint8"
    reduced: str = "mean"

    @property
    def names(self) -> list[str]:
        """The image, then its labels."""
        return [self.image, *self.labels]

    def levels(self) -> list[Layout]:
        """The pyramid that each of them has."""
        return pyramid(layout(self.shape, self.block), self.voxel)

    def create(self) -> None:
        """Write all metadata and empty arrays; what lay there is gone."""
        import zarr

        levels = self.levels()
        root = zarr.open_group(self.path, mode="w", zarr_format=3)
        root.attrs["ome"] = metadata.image(self.image, levels, self.voxel, self.first, self.reduced)
        root.attrs["dabench"] = {**self.about, **self._placed}
        self._create_arrays(root, self.image)
        if not self.labels:
            return
        below = root.create_group("labels")
        below.attrs["ome"] = metadata.label_list(self.labels)
        for name in self.labels:
            group = below.create_group(name)
            group.attrs["ome"] = metadata.label(name, levels, self.voxel, self.first)
            if self._placed:
                group.attrs["dabench"] = self._placed
            self._create_arrays(group, name)

    @property
    def _placed(self) -> dict[str, Any]:
        placed = self.placement
        return {} if placed is None else {"placement": {"affine": placed.affine.tolist(), "unit": placed.unit}}

    def _create_arrays(self, group: Any, name: str) -> None:
        from zarr.codecs import ZstdCodec

        for number, level in enumerate(self.levels()):
            group.create_array(
                str(number),
                shape=level.shape,
                dtype=self.dtype if name == self.image else TYPES[name],
                chunks=level.chunks,
                shards=level.shards,
                compressors=ZstdCodec(level=3),
                fill_value=0,
                dimension_names=metadata.AXES,
            )

    def blocks(self, name: str, level: int = 0) -> ZarrBlocks:
        """One array, to be read and written."""
        import zarr

        inner = "" if name == self.image else f"labels/{name}/"
        coarser = self.levels()[level].factors
        scale = [v * f for v, f in zip(self.voxel, coarser, strict=True)] if self.voxel else None
        array = zarr.open_array(self.path, path=f"{inner}{level}", mode="r+", config={"write_empty_chunks": False})
        return ZarrBlocks(array, (scale[0], scale[1], scale[2]) if scale else None, self.placement, self.about)

    def note(self, values: Mapping[str, Any]) -> None:
        """Add to what the attribute ``dabench`` of the root says."""
        import zarr

        root: Any = zarr.open_group(self.path, mode="r+")
        root.attrs["dabench"] = {**root.attrs["dabench"], **values}
