"""A trained model in Python: from a run, a file or a registry to the probability of every pixel of a volume."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dabench.api.progress import is_quiet, make_display
from dabench.components.registry import Registry
from dabench.files.workspace import Workspace
from dabench.models import Model as LoadedModel
from dabench.models import ModelCard
from dabench.models import load_model as load
from dabench.models.exports import SUFFIXES, TOLERANCE, Exported, export
from dabench.models.loading import models_folder
from dabench.models.registering import register
from dabench.models.tiles import image_tiles
from dabench.tracking.mlflow_models import REGISTRY_SCHEME, RegisteredVersion, download_model
from dabench.volumes.prediction.stack import predict_stack

if TYPE_CHECKING:
    from dabench.api.run import Run
    from dabench.types import Array
    from dabench.volumes.arrays import ArrayLike
    from dabench.volumes.prediction.stack import PointsLike


@dataclass(frozen=True)
class Model:
    """A trained model on a device, ready to predict."""

    loaded: LoadedModel = field(repr=False)
    registry: Registry = field(repr=False)
    workspace: Workspace = field(repr=False)

    @property
    def card(self) -> ModelCard:
        """The model's training data, how to use it, and its scores."""
        return self.loaded.card

    @property
    def threshold(self) -> float:
        """Lowest probability that counts as mitochondrion."""
        return self.card.threshold

    @property
    def takes_points(self) -> bool:
        """Whether points change the prediction."""
        return self.loaded.takes_points

    @property
    def gives_instances(self) -> bool:
        """Whether the model predicts objects in addition to the probability."""
        return self.loaded.predictor.gives_instances

    def __repr__(self) -> str:
        """Its name and its device."""
        return f"Model({self.card.name!r}, device={str(self.loaded.device)!r})"

    def save(self, path: str | Path) -> Path:
        """Write the model as one file. `load_model` reads it on any machine with the model's plugins."""
        self.loaded.save(Path(path))
        return Path(path)

    def export(self, path: str | Path | None = None, form: str = "safetensors") -> Exported:
        """Write the model as one file. TorchScript and ONNX files are compared with the model first.

        Args:
            path: of the new file; ``models/NAME.<suffix>`` of the workspace by default.
            form: ``safetensors`` (for dabench), ``torchscript`` or ``onnx`` (automatic mode only).

        Raises:
            ConfigError: an unknown format, a model that cannot be traced, or libraries that are not installed.
            WeightsError: the exported model does not give the same output.
        """
        place = models_folder(self.workspace) / f"{self.card.name}{SUFFIXES.get(form, '')}"
        if form not in TOLERANCE:
            return export(self.loaded, Path(path or place), form)
        tiles, name = image_tiles(self.card, self.registry, self.workspace)
        return replace(export(self.loaded, Path(path or place), form, [tiles]), compared=name)

    def register(self, name: str = "", tracking_uri: str = "") -> RegisteredVersion:
        """Register the model in MLflow as a pyfunc model with a signature, linked to its run if the store has it.

        Args:
            name: in the registry; the cell's id by default.
            tracking_uri: of the registry; the workspace's own store by default.

        Raises:
            ConfigError: a name that the registry does not accept.
            TrackingError: the store cannot be used.
        """
        return register(self.loaded, self.workspace, name, tracking_uri)

    def predict(
        self,
        volume: ArrayLike | str | Path,
        points: PointsLike | None = None,
        *,
        profile: str | None = None,
        intensity: str | None = None,
        voxel: tuple[float, float, float] | None = None,
        pixel_size: Literal["match", "native"] = "match",
        batch: int = 8,
        instances: bool = False,
        progress: bool | None = None,
    ) -> Array:
        """Predict the probability of every pixel, or the objects of the model.

        The result is held in memory. For larger volumes use `dabench predict`, which writes one chunk at a time.

        Args:
            volume: ``(Z, Y, X)`` of any size and number type, or one slice ``(Y, X)``: an array, anything that is
                sliced like one (zarr, HDF5; read one slice at a time), or a path of any registered format.
            points: prompts; None is automatic mode. A mapping of slices to ``(N, 2)`` points x, y; an array ``(N, 3)``
                of z, y, x; or a file that `dabench predict --points` takes. All in voxels.
            profile: ``hann``, ``fast``, ``paper`` or ``tiles``; the model's by default.
            intensity: how grey values become 0 to 1: ``volume``, ``range``, ``slice`` or ``LOW,HIGH``; the model's by
                default.
            voxel: nm (z, y, x); the file's by default. Pixel sizes are matched by it, and a model that looks at pairs
                finds the partners of slices.
            pixel_size: ``match``: slices are seen at the pixel size that the model knows, and the result is on the
                volume's own; not if the size of its voxels is unknown (a `ModelWarning` reports what was done).
                ``native``: as they are.
            batch: tiles per forward pass.
            instances: return objects instead, if the model predicts them (`gives_instances`).
            progress: True shows it, False does not, None where a person looks on.

        Returns:
            float32 in [0, 1], of the shape of ``volume``; of instances uint32, one id per object, 0 = background.

        Raises:
            DataError: the volume is missing, damaged or not a stack, or a point lies outside it.
            ConfigError: settings that do not fit the model or the volume.

        Example:
            >>> import numpy as np, dabench
            >>> few = {"source-only": {"iterations": 2, "crop": 64, "batch": 1}}
            >>> run = dabench.run(
            ...     method="source-only", task="human2stem", data="phantom", preset="tiny", options=few, tracker="none"
            ... )
            >>> model = dabench.load_model(run)
            >>> scan = np.random.default_rng(0).integers(0, 256, (2, 70, 100), np.uint8)
            >>> probability = model.predict(scan)
            >>> probability.shape, probability.dtype
            ((2, 70, 100), dtype('float32'))
        """
        with make_display(quiet=is_quiet(progress)) as display:
            return predict_stack(
                self.loaded,
                self.registry,
                volume,
                points,
                profile=profile,
                intensity=intensity,
                voxel=voxel,
                pixel_size=pixel_size,
                batch=batch,
                instances=instances,
                advance=lambda done, count: display.advanced("predict", done, count),
            )


def load_model(
    reference: Run | str | Path, *, device: str = "auto", workspace: str | Path | None = None, tracking_uri: str = ""
) -> Model:
    """A trained model, without its training data.

    Args:
        reference: a result of `dabench.run`; a run's name or the start of it; a run folder; a model file or its name in
            the workspace; or ``models:/NAME/VERSION`` (or ``models:/NAME@ALIAS``) of an MLflow registry.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` ...
        workspace: folder of runs; as for the command line by default (``DABENCH_WORKSPACE``, else ``workspace/``).
        tracking_uri: of the registry; the workspace's own store by default.

    Raises:
        UnknownNameError: no such run or file.
        WeightsError: an unsuccessful run, weights that are missing or changed, or a file that is not a model.
        PluginError: a plugin that the model needs is not installed.
        TrackingError: the registry has no such model, or cannot be used.

    Example:
        >>> import dabench
        >>> few = {"source-only": {"iterations": 2, "crop": 64, "batch": 1}}
        >>> run = dabench.run(
        ...     method="source-only", task="human2stem", data="phantom", preset="tiny", options=few, tracker="none"
        ... )
        >>> model = dabench.load_model(run.name)
        >>> model.card.task.target, model.threshold
        ('stem', 0.5)
    """
    registry = Registry.load()
    if not isinstance(reference, str | Path):
        return _loaded(reference.path, registry, reference.workspace, device)
    place = Workspace.find(workspace)
    if not str(reference).startswith(REGISTRY_SCHEME):
        return _loaded(reference, registry, place, device)
    with tempfile.TemporaryDirectory() as folder:
        own = tracking_uri in ("", place.tracking_uri)
        file = download_model(
            tracking_uri or place.tracking_uri, str(reference), Path(folder), place.artifacts if own else None
        )
        return _loaded(file, registry, place, device)


def _loaded(reference: str | Path, registry: Registry, workspace: Workspace, device: str) -> Model:
    """Laid out as `dabench predict` does, so that both give the same numbers to the last bit."""
    return Model(load(reference, registry, workspace, device), registry, workspace)
