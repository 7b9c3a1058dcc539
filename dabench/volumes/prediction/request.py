"""What a user asks for when a volume is to be predicted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dabench.data.origin import MOST_BLANK

Voxel = tuple[float, float, float]
What = Literal["mask", "probability", "instances"]
Instances = Literal["3d", "2d", "none"]
PixelSize = Literal["match", "native"]
Split = Literal["none", "watershed"]
Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True)
class Request:
    """One `dabench predict`. None means: as the model's card, the file or the machine say.

    Attributes:
        run: a cell's id, a run folder or a model file.
        images: what is predicted, of any registered format.
        output: ``.zarr``, ``.tif``, ``.tiff``, ``.h5``, ``.hdf5``, ``.nii`` or ``.nii.gz``.
        points: a file of prompts.
        points_unit: of its positions, ``voxel`` or ``nm``.
        profile: inference profile.
        voxel: nm (z, y, x).
        intensity: ``range``, ``volume``, ``slice``, or ``LOW,HIGH``: the values that become 0 and 1.
        slices: the first slice and the one after the last.
        threshold: probability from which a voxel is a mitochondrion.
        instances: objects through slices, on each slice, or none.
        min_size: least size of an object that is kept, ``16px`` or ``5e5nm3``; by default 16 pixels of those that the
            model sees.
        split: ``watershed`` cuts the mask of each slice at its necks (`dabench.ops.splitting`), so that objects that
            touch are counted apart; ``none``: objects are the components of the mask, or the model's own.
        chunk: voxels (z, y, x) that are predicted at once.
        precision: ``float32``, as runs are scored, ``bfloat16``, or ``auto``: bfloat16 where the hardware multiplies
            it and it moves no probability of some tiles of these images by more than 1e-2.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N``.
        gpus: share of a GPU that each process of a cluster asks for; above 0 they predict on ``cuda``.
        batch: tiles a forward pass.
        what: which array goes to a TIFF, HDF5 or NIfTI file.
        overwrite: whether an output that exists is replaced.
        blank: share of the images that may be blank or absent from their file.
        pixel_size: ``match`` brings slices to the pixel size that the model knows, and results back; ``native`` not.
    """

    run: str
    images: Path
    output: Path
    points: Path | None = None
    points_unit: Literal["voxel", "nm"] = "voxel"
    profile: str | None = None
    voxel: Voxel | None = None
    intensity: str | None = None
    slices: tuple[int, int] | None = None
    threshold: float | None = None
    instances: Instances = "3d"
    min_size: str | None = None
    split: Split = "none"
    chunk: tuple[int, int, int] | None = None
    precision: Precision = "float32"
    device: str = "auto"
    gpus: float = 0.0
    batch: int = 8
    what: What = "mask"
    overwrite: bool = False
    pixel_size: PixelSize = "match"
    blank: float = MOST_BLANK
