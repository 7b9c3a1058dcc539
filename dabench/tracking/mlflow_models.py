"""Trained models in MLflow's model registry: a ``pyfunc`` model with a signature, linked to the run that trained it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dabench.errors import WeightsError
from dabench.tracking.mlflow_store import Store
from dabench.tracking.mlflow_writer import experiment_name
from dabench.tracking.translate import CELL_TAG, DIGEST_TAG, PREFIX
from dabench.types import Array

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models import ModelSignature

#: What names a version in a registry begins with.
REGISTRY_SCHEME = "models:/"
#: Digest of the weights, on a version of a registered model.
WEIGHTS_TAG = f"{PREFIX}model_digest"


@dataclass(frozen=True)
class ModelEntry:
    """What is registered.

    Args:
        name: of the registered model; each new content is a new version of it.
        file: the model file.
        cell_id: of the run that trained it.
        digest: of its weights.
        loader: module whose ``_load_pyfunc`` reads the file.
        example: tiles ``(B, C, H, W)`` float32.
        requirements: of pip, to load it elsewhere.
        tags: without prefix.
        description: for a reader of the registry.
    """

    name: str
    file: Path
    cell_id: str
    digest: str
    loader: str
    example: Array = field(repr=False)
    requirements: Sequence[str] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    description: str = ""


@dataclass(frozen=True)
class RegisteredVersion:
    """A version in the registry; ``uri`` is what ``mlflow.pyfunc.load_model`` takes, ``run_id`` "" without a run."""

    name: str
    version: str
    run_id: str
    uri: str
    new: bool


def register_model(tracking_uri: str, entry: ModelEntry, artifact_root: Path | None = None) -> RegisteredVersion:
    """Bring a model into the registry; a version with the same weights under the same name is left alone.

    Raises:
        TrackingError: the store cannot be used.
    """
    store = Store(tracking_uri, artifact_root)
    with store.open():
        found = _same(store, entry)
        if found is not None:
            return _told(found, new=False)
        run = _run_of(store, entry.cell_id)
        return _told(_create(store, entry, run), new=True)


def _told(found: ModelVersion, *, new: bool) -> RegisteredVersion:
    uri = f"models:/{found.name}/{found.version}"
    return RegisteredVersion(found.name, str(found.version), found.run_id or "", uri, new)


def _same(store: Store, entry: ModelEntry) -> ModelVersion | None:
    """A version with these weights. Compared here: not every store can search by tags of a version."""
    name = entry.name.replace("'", "")
    versions = store.client.search_model_versions(f"name = '{name}'")
    return next((v for v in versions if v.tags.get(WEIGHTS_TAG) == entry.digest), None)


def _run_of(store: Store, cell_id: str) -> Run | None:
    """The newest complete MLflow run of the cell, in whichever experiment."""
    experiments = [e.experiment_id for e in store.client.search_experiments()]
    query = f"tags.`{CELL_TAG}` = '{cell_id}'"
    found = store.client.search_runs(experiments, query, order_by=["attributes.start_time DESC"], max_results=20)
    return next((run for run in found if DIGEST_TAG in run.data.tags), None)


def _create(store: Store, entry: ModelEntry, run: Run | None) -> ModelVersion:
    client = store.client
    tags = {PREFIX + key: value for key, value in entry.tags.items()}
    tags |= {CELL_TAG: entry.cell_id, WEIGHTS_TAG: entry.digest}
    experiment = run.info.experiment_id if run else store.experiment(experiment_name("adhoc"))
    run_id = run.info.run_id if run else None
    logged = client.create_logged_model(experiment, name="model", source_run_id=run_id, tags=tags, model_type="pyfunc")
    with tempfile.TemporaryDirectory() as folder:
        local = Path(folder) / "model"
        _save(entry, local, logged.model_id)
        client.log_model_artifacts(logged.model_id, str(local))
    client.finalize_logged_model(logged.model_id, "READY")
    if not client.search_registered_models(f"name = '{entry.name}'"):
        client.create_registered_model(entry.name)
    with _default_store(store.uri):
        version: ModelVersion = client.create_model_version(
            entry.name,
            f"models:/{logged.model_id}",
            run_id=run_id,
            tags=tags,
            description=entry.description,
            model_id=logged.model_id,
        )
    return version


def download_model(tracking_uri: str, uri: str, folder: Path, artifact_root: Path | None = None) -> Path:
    """Fetch the model file of a version in the registry, named as ``mlflow.pyfunc.load_model`` takes it.

    Raises:
        TrackingError: the store cannot be used, or has no such version.
        WeightsError: what is registered there is no model of dabench.
    """
    store = Store(tracking_uri, artifact_root)
    with store.open(), _default_store(tracking_uri):
        import mlflow.artifacts

        fetched = Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(folder)))
    files = sorted(fetched.rglob("*.safetensors"))
    if len(files) != 1:
        raise WeightsError(
            f"{uri}: holds {len(files)} model files, not one.", "Register it with: dabench models register"
        )
    return files[0]


@contextmanager
def _default_store(uri: str) -> Iterator[None]:
    """Inside, MLflow's global store is this one: a version looks its model up there, whatever its client says."""
    import mlflow

    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)


def _save(entry: ModelEntry, folder: Path, model_id: str) -> None:
    """The model as MLflow's files: ``MLmodel``, the model file, an example, what to install."""
    import mlflow.pyfunc
    from mlflow.models import Model

    mlflow.pyfunc.save_model(
        folder,
        loader_module=entry.loader,
        data_path=str(entry.file),
        signature=signature_of(entry.example.shape[1]),
        input_example=entry.example,
        pip_requirements=list(entry.requirements),
        mlflow_model=Model(model_id=model_id),
        model_config={"device": "cpu"},
    )


def signature_of(channels: int) -> ModelSignature:
    """Tiles ``(-1, C, H, W)`` float32 in, probability ``(-1, H, W)`` float32 out."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    single = np.dtype(np.float32)
    return ModelSignature(
        inputs=Schema([TensorSpec(single, (-1, channels, -1, -1))]),
        outputs=Schema([TensorSpec(single, (-1, -1, -1))]),
    )
