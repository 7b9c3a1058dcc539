"""Objects of a volume larger than memory: labelled block by block, joined exactly."""

from dabench.volumes.instances.labelling import LabelledVolume, find_objects, label_volume
from dabench.volumes.instances.linking import LinkedVolume, SplitSlices, link_volume
from dabench.volumes.instances.settings import Labelling, least_voxels, most_voxels

__all__ = [
    "LabelledVolume",
    "Labelling",
    "LinkedVolume",
    "SplitSlices",
    "find_objects",
    "label_volume",
    "least_voxels",
    "link_volume",
    "most_voxels",
]
