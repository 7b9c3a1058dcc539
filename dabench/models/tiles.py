"""Tiles of real images to try a model on: of its target where that is here, else of a phantom."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dabench.components.registry import Registry
from dabench.data.intensity import UnitVolume
from dabench.data.phantom import make_phantom
from dabench.data.volumes import ArrayVolume
from dabench.errors import DabenchError
from dabench.files.workspace import Workspace
from dabench.inference.tiles import origins, pad_to_tile
from dabench.interfaces import Volume
from dabench.models.card import ModelCard
from dabench.models.rebuild import BareAssembly
from dabench.runs.domains import all_domains
from dabench.runs.task import TaskData
from dabench.training.sampling import gap_slices
from dabench.types import Array

#: The phantom that stands in for a target that is not here.
_STAND_IN = "phantom-human"


def image_tiles(card: ModelCard, registry: Registry, workspace: Workspace) -> tuple[Tensor, str]:
    """Tiles of the middle slice's corners and centre, and what they are of.

    Returns:
        ``(B, C, S, S)`` float32 in [0, 1], C = 2 for a model of pairs; a name for a reader.
    """
    volume, thickness, name = _target(card, registry, workspace) or _phantom(card)
    depth = volume.shape[0]
    gap = gap_slices(card.neighbour, thickness, depth)
    z = (depth - 1 - gap) // 2
    sections = [z, z + gap] if card.neighbour else [z]
    planes = np.stack([pad_to_tile(volume.read(s).astype(np.float32), card.tile) for s in sections])
    return torch.from_numpy(np.stack(_cut(planes, card.tile))), name


def _cut(planes: Array, side: int) -> list[Array]:
    height, width = planes.shape[1:]
    places = [(y, x) for y in origins(height, side, side) for x in origins(width, side, side)]
    chosen = dict.fromkeys([places[0], places[len(places) // 2], places[-1]])
    return [planes[:, y : y + side, x : x + side] for y, x in chosen]


def _target(card: ModelCard, registry: Registry, workspace: Workspace) -> tuple[Volume, float, str] | None:
    try:
        assembly = BareAssembly(registry, card.config)
        task = TaskData(card.config, all_domains(assembly, workspace), assembly.readers())
        return task.target_images, task.target_train.voxel[0], task.target_train.domain
    except DabenchError:
        return None


def _phantom(card: ModelCard) -> tuple[Volume, float, str]:
    images = make_phantom(_STAND_IN, "train", 0, (4, card.tile, card.tile)).images
    return UnitVolume(ArrayVolume(images), card.config.intensity), card.neighbour or 1.0, _STAND_IN
