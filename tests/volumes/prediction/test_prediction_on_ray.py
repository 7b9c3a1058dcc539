"""Chunks on a Ray cluster of two nodes on this machine, one of them killed in the middle: the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dabench.errors import DabenchError
from dabench.execution.jobs import Resources, Site
from dabench.execution.ray_executor import RayExecutor
from dabench.models import load_model
from dabench.volumes.prediction.plan import make_prediction_plan
from dabench.volumes.prediction.precision import measured
from dabench.volumes.prediction.processes import ByJobs, predict_here
from dabench.volumes.prediction.volume import predict_volume
from dabench.volumes.prediction.worker import ModelBytes, RunModel
from tests.volumes.prediction.fakes import Broken, FakeSource, Told, arrays, fake_model, request_of, run, scan

ray = pytest.importorskip("ray", reason="Ray is an extra: pip install 'dabench[ray]'")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 1, "object_store_memory": 10**8, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args=head)
    yield made
    ray.shutdown()
    made.shutdown()


@contextmanager
def on_ray(cluster: Any, root: Path, share: str) -> Iterator[ByJobs]:
    with RayExecutor(Site(root, root.with_name("jobs")), cluster.address, retries=10, share=share) as executor:
        yield ByJobs(executor, Resources(), sent=share == "objects")


@pytest.mark.parametrize("share", ["files", "objects"])
def test_a_node_dies_and_the_bytes_are_those_of_one_process(share, cluster, registry, tmp_path):
    scan(tmp_path / "scan.tif", (12, 40, 56))
    (tmp_path / "clicks.csv").write_text("z,y,x\n3,20.0,28.0\n9,15.5,27.5\n")
    request = request_of(tmp_path, chunk=(1, 20, 56), points=tmp_path / "clicks.csv")
    run(registry, request)
    second = cluster.add_node(num_cpus=1, object_store_memory=10**8)
    cluster.wait_for_nodes()

    def kill(phase, done, count):
        if phase == "predict" and done == 5:
            cluster.remove_node(second, allow_graceful=False)

    plan = make_prediction_plan(replace(request, output=tmp_path / "far.zarr"), fake_model(), registry)
    with on_ray(cluster, plan.partial, share) as predicts:
        summary = predict_volume(plan, plan.assignment(FakeSource()), predicts, Told(kill))
    assert summary.chunks == 24
    near, far = arrays(request.output), arrays(tmp_path / "far.zarr")
    assert near.keys() == far.keys()
    for key in near:
        np.testing.assert_array_equal(far[key], near[key])


def test_what_a_chunk_raises_is_told_here(cluster, registry, tmp_path):
    scan(tmp_path / "scan.tif")
    model = fake_model(Broken())
    with (
        on_ray(cluster, tmp_path / "out.zarr.partial", "files") as predicts,
        pytest.raises(DabenchError, match=r"chunks \[0\]: PredictionError: slice 0: .*NaN"),
    ):
        run(registry, request_of(tmp_path), model, predicts)
    assert not (tmp_path / "out.zarr").exists()


@pytest.mark.parametrize("share", ["files", "objects"])
def test_a_trained_model_gives_the_bytes_of_one_process(share, cluster, trained, registry, tmp_path):
    """Weights travel by path or as bytes; the chunks that the killed node had are predicted again."""
    scan(tmp_path / "scan.tif", (6, 120, 200))
    model = load_model(trained.config.cell_id, registry, trained.workspace)
    request = request_of(tmp_path, chunk=(1, 120, 120))
    source = (
        ModelBytes.of(model, "cpu")
        if share == "objects"
        else RunModel(trained.config.cell_id, trained.workspace.root, "cpu")
    )
    near = measured(make_prediction_plan(request, model, registry), registry)
    predict_volume(near, near.assignment(source), partial(predict_here, predictor=model.predictor))
    second = cluster.add_node(num_cpus=1, object_store_memory=10**8)
    cluster.wait_for_nodes()

    def kill(phase, done, count):
        if phase == "predict" and done == 3:
            cluster.remove_node(second, allow_graceful=False)

    far = measured(make_prediction_plan(replace(request, output=tmp_path / "far.zarr"), model, registry), registry)
    with on_ray(cluster, far.partial, share) as predicts:
        summary = predict_volume(far, far.assignment(source), predicts, Told(kill))
    assert summary.chunks == 12
    found, expected = arrays(tmp_path / "far.zarr"), arrays(request.output)
    assert found.keys() == expected.keys()
    for key in expected:
        np.testing.assert_array_equal(found[key], expected[key])
    assert 0 < expected["0"].mean() < 255
