"""What a name or a path on the command line means: a run, a predicted OME-Zarr, a mask, or a volume of images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dabench.data.blocks import voxel_of
from dabench.data.digests import container
from dabench.data.label_values import Flags, LabelKind, meaning_of
from dabench.data.orientation import check_same_place, laid_over, turned_to
from dabench.data.volumes import SliceRange, Upright, open_volume
from dabench.errors import ConfigError, MissingDataError
from dabench.interfaces.choice import name_of
from dabench.volumes.instances.parts import attributes, first_slice
from dabench.volumes.viewer.view_data import ViewData

if TYPE_CHECKING:
    from dabench.components.registry import Registry
    from dabench.files.workspace import Workspace
    from dabench.interfaces import Volume
    from dabench.types import Array
    from dabench.volumes.viewer.view_data import Voxel

#: How the meaning of a prediction's values is said.
_FLAGS = Flags("--predicted-values", "for ids of objects  --predicted ids", "--probability FILE")
_PROBABILITY, _MASK, _INSTANCES = "probability", "prediction", "instances"
#: Where a predicted OME-Zarr has its label images, by what they are here.
_INSIDE = {_MASK: "labels/mask", _INSTANCES: "labels/instances"}


@dataclass(frozen=True)
class Given:
    """Files and facts beside the target, as the user names them."""

    images: Path | None = None
    labels: Path | None = None
    label_values: Mapping[int, int] | None = None
    probability: Path | None = None
    points: Path | None = None
    voxel: Voxel | None = None
    label_kind: LabelKind = "auto"
    predicted: str = "auto"
    predicted_values: Mapping[int, int] | None = None


class Opener:
    """Opens targets with the registered readers and weak labels."""

    def __init__(self, registry: Registry, workspace: Workspace) -> None:
        """Nothing is opened yet."""
        self.registry, self.workspace = registry, workspace
        self._readers = registry.made("reader")

    def open(self, target: str, given: Given) -> ViewData:
        """The view that a target means, with what was given beside it.

        Raises:
            ConfigError: nothing is called like that.
            MissingDataError: a prediction without images.
            DataError: a file is damaged, or the files do not show one volume.
        """
        path = Path(target)
        if _is_run(path) or not _on_disk(path):
            view_data = self._run(target)
        elif is_prediction(path):
            view_data = self._prediction(path, given)
            return self._beside(view_data, given, first_slice(path))
        elif given.images is not None:
            view_data = self._file(path, given)
        else:
            view_data = ViewData(name_of(path), self.images(path))
        return self._beside(view_data, given)

    def volume(self, path: Path) -> Volume:
        """Any file or folder."""
        found: Volume = open_volume(path, self._readers)
        return found

    def images(self, path: Path) -> Volume:
        """Images, bright and dark as every viewer shows them."""
        return Upright.of(self.volume(path))

    def _beside(self, view_data: ViewData, given: Given, first: int = 0) -> ViewData:
        """The view with labels, probability, points and voxel size as the user gave them.

        ``first`` is the slice of the scan that is the view's slice 0: points count the scan's slices, and labels of
        the whole scan are cut to the view's.
        """
        changes: dict[str, Any] = {}
        depth = view_data.images.shape[0]
        if given.labels is not None:
            labels = self._truth(turned_to(self.volume(given.labels), view_data.images), given.labels, given)
            changes["truth"] = _part(labels, first, depth, given.labels)
            check_same_place(changes["truth"], view_data.images, str(given.labels), "the images")
        if given.probability is not None:
            changes["probability"] = self._over(given.probability, view_data.images)
        if given.points is not None:
            points = self._points(given.points)
            changes["points"] = {
                z - first: places for z, places in points.items() if not first or 0 <= z - first < depth
            }
        voxel = given.voxel or view_data.voxel or voxel_of(view_data.images)
        return replace(view_data, voxel=voxel, **changes)

    def _over(self, path: Path, images: Volume) -> Volume:
        """A file as it lies over images."""
        return laid_over(self.volume(path), images, str(path), "the images")

    def _truth(self, volume: Volume, path: Path, given: Given) -> Volume:
        """Labels as every command takes them: what can mean several things is asked."""
        name = str(path)
        return meaning_of(volume, name, given.label_kind, given.label_values, whole=False).labels(volume, name)

    def _points(self, path: Path) -> dict[int, Array]:
        component = self.registry.get("weak_label", "points").component
        return {answer.z: answer.points for answer in component.factory(component.config()).read(path)}

    # ---------------------------------------------------------------------------------------------------- targets
    def _run(self, name: str) -> ViewData:
        from dabench.checking.verify import find_run
        from dabench.volumes.viewer.run_data import run_view_data

        try:
            path = find_run(self.workspace, name)
        except ConfigError as error:
            raise ConfigError(f"{name}: no such file, and {error.message}", error.mend) from None
        return run_view_data(path, self.registry, self.workspace, self.volume)

    def _prediction(self, path: Path, given: Given) -> ViewData:
        parts: dict[str, Any] = {
            name: self.volume(path / inside) for name, inside in _INSIDE.items() if (path / inside).is_dir()
        }
        if (path / "0").is_dir():
            parts[_PROBABILITY] = self.volume(path)
        images = given.images or _images_of(path)
        if images is None:
            raise MissingDataError(
                f"{path}: the prediction does not name its images.",
                f"dabench view {path} --images scan.zarr",
            )
        voxel = next((v for volume in parts.values() if (v := voxel_of(volume)) is not None), None)
        first, depth = first_slice(path), next(iter(parts.values())).shape[0]
        notes = (f"z = 0 on this page is slice {first:,} of the scan.",) if first else ()
        shown = _part(turned_to(self.images(images), next(iter(parts.values()))), first, depth, images)
        return ViewData(name_of(path), shown, voxel=voxel, notes=notes, **parts)

    def _file(self, path: Path, given: Given) -> ViewData:
        images = self.images(given.images or path)
        volume = self._over(path, images)
        kind, shown = predicted_layer(volume, str(path), given.predicted, given.predicted_values)
        layer: dict[str, Any] = {kind: shown}
        return ViewData(name_of(path), images, voxel=voxel_of(volume), **layer)


def predicted_layer(
    volume: Volume, name: str, predicted: str = "auto", values: Mapping[int, int] | None = None
) -> tuple[str, Volume]:
    """What a predicted volume holds, and it as it is meant.

    Returns:
        "probability" (floating point), "prediction" (a mask) or "instances" (ids), and the volume.

    Raises:
        ConfigError: whole numbers that can mean several things.
    """
    if volume.dtype.kind == "f":
        return _PROBABILITY, volume
    if predicted == "mask" and not values:
        return _MASK, volume
    kind: LabelKind = "instance" if predicted == "ids" else "auto"
    meaning = meaning_of(volume, name, kind, values, _FLAGS, whole=False)
    return (_MASK, meaning.mask(volume, name)) if meaning.kind == "semantic" else (_INSTANCES, volume)


def _is_run(path: Path) -> bool:
    return (path / "config.json").is_file()


def _on_disk(path: Path) -> bool:
    """Whether a path is there, or leads into a file that is (``scan.h5/raw``)."""
    return container(path) is not None


def is_prediction(path: Path) -> bool:
    """Whether a folder is an OME-Zarr as ``dabench predict`` writes it."""
    return any((path / inside).is_dir() for inside in _INSIDE.values())


def _part(volume: Volume, first: int, depth: int, name: Path) -> Volume:
    """The slices of a scan that a prediction is of; a volume that has as many slices as the prediction as it is."""
    if volume.shape[0] == depth or first + depth > volume.shape[0]:
        return volume
    return SliceRange(volume, first, first + depth, str(name))


def _images_of(path: Path) -> Path | None:
    """The images that a prediction says it was made from, where they still lie there."""
    said = attributes(path).get("dabench", {})
    images = said.get("images") if isinstance(said, dict) else None
    images = images.get("path") if isinstance(images, dict) else images
    if not isinstance(images, str) or not images:
        return None
    found = Path(images)
    return found if _on_disk(found) else None
