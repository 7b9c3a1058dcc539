"""Models in MLflow's registry: loaded by `mlflow.pyfunc`, the predictor's numbers, linked to their run."""

from __future__ import annotations

import mlflow
import numpy as np
import pytest
import torch
from mlflow.tracking import MlflowClient

from dabench.errors import ConfigError
from dabench.models import load_model
from dabench.models.registering import register
from dabench.tracking import read_run
from dabench.tracking.mlflow_models import WEIGHTS_TAG
from dabench.tracking.mlflow_writer import MlflowWriter
from dabench.tracking.sqlite_file import TrackingError
from tests.models.forged_runs import forge, seen, settings, tile


@pytest.fixture
def default_store():
    """MLflow's global store as it was before."""
    before = mlflow.get_tracking_uri()
    yield
    mlflow.set_tracking_uri(before)


def test_registered_with_its_run_and_loaded(workspace, registry, default_store):
    path = forge(settings(), registry, workspace)
    model = load_model(path, registry, workspace)
    run_id = MlflowWriter(workspace.tracking_uri).write(read_run(path))
    done = register(model, workspace, "mitochondria")
    assert (done.version, done.run_id, done.new) == ("1", run_id, True)
    assert not register(model, workspace, "mitochondria").new

    version = MlflowClient(workspace.tracking_uri).get_model_version("mitochondria", "1")
    assert version.run_id == run_id
    assert version.tags[WEIGHTS_TAG] == model.card.digest
    assert version.tags["dabench.rater"] == "simulated:0"
    assert "das-2d@1, fast: dice 0.5000 (3 slices)" in version.description

    mlflow.set_tracking_uri(workspace.tracking_uri)
    loaded = mlflow.pyfunc.load_model(done.uri)
    images = tile(count=11)
    found = loaded.predict(images.numpy())
    with torch.inference_mode():
        expected = torch.cat([model.predictor.predict(some).probability for some in torch.split(images, 8)])
    assert found.dtype == np.float32
    assert np.array_equal(found, expected.numpy())
    assert loaded.metadata.signature.inputs.to_dict()[0]["tensor-spec"] == {
        "dtype": "float32",
        "shape": (-1, 1, -1, -1),
    }
    assert loaded.metadata.signature.outputs.to_dict()[0]["tensor-spec"] == {"dtype": "float32", "shape": (-1, -1, -1)}
    assert loaded.input_example.shape == (1, 1, 32, 32)
    with pytest.raises(mlflow.exceptions.MlflowException, match="schema"):
        loaded.predict(images.numpy()[:, 0])


def test_other_weights_are_another_version_and_a_run_is_not_needed(workspace, registry):
    single = load_model(forge(settings(), registry, workspace), registry, workspace)
    pairs = load_model(forge(settings("source-pairs"), registry, workspace), registry, workspace)
    before = mlflow.get_tracking_uri()
    assert [register(one, workspace, "both").version for one in (single, pairs)] == ["1", "2"]
    assert register(single, workspace, "both").version == "1"
    assert register(pairs, workspace).name == pairs.card.cell_id
    assert mlflow.get_tracking_uri() == before


def test_pyfunc_takes_pairs_and_no_tiles(workspace, registry, tmp_path):
    from dabench.models.pyfunc import _load_pyfunc

    pairs = load_model(forge(settings("source-pairs"), registry, workspace), registry, workspace)
    pairs.save(tmp_path / "p.safetensors")
    loaded = _load_pyfunc(str(tmp_path / "p.safetensors"), {"device": "cpu"})
    assert np.array_equal(loaded.predict(tile(2).numpy()), seen(pairs, tile(2)).numpy())
    assert loaded.predict(np.zeros((0, 2, 32, 32), np.float32)).shape == (0, 32, 32)


def test_a_name_that_the_registry_does_not_take(workspace, registry):
    model = load_model(forge(settings(), registry, workspace), registry, workspace)
    with pytest.raises(ConfigError, match="model name 'a/b'"):
        register(model, workspace, "a/b")


def test_a_store_that_is_not_there(workspace, registry):
    model = load_model(forge(settings(), registry, workspace), registry, workspace)
    with pytest.raises(TrackingError, match="cannot be used"):
        register(model, workspace, tracking_uri="nonsense://nowhere")
