"""A Ray cluster of two nodes on this machine, one of them killed in the middle of a suite."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from dabench.execution.jobs import Site
from dabench.files.digests import digest_file
from dabench.files.workspace import Workspace
from dabench.interfaces.observer import Observer
from dabench.suites.spec import Suite, expand
from dabench.tracking.run_reader import read_run
from tests.suites.conftest import InlineExecutor, run

ray = pytest.importorskip("ray", reason="Ray is an extra: pip install 'dabench[ray]'")


@pytest.fixture
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 1, "object_store_memory": 10**8, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args=head)
    made.second = made.add_node(num_cpus=1, object_store_memory=10**8)
    yield made
    ray.shutdown()
    made.shutdown()


class KillsANode(Observer):
    """Takes the second node away once a job has ended and others run."""

    def __init__(self, cluster: Any) -> None:
        self.cluster, self.killed = cluster, False

    def ended(self, work: str, status: str, values: object = None, reason: str = "") -> None:
        assert status == "ok", (work, reason)
        if not self.killed:
            self.killed = True
            self.cluster.remove_node(self.cluster.second, allow_graceful=False)


def results(workspace: Workspace, suite: Suite) -> dict[str, Any]:
    """Scores, prediction and weights of every cell, and how often it was started."""
    found: dict[str, Any] = {}
    for cell in expand(suite):
        run = read_run(workspace.runs / cell.config.cell_id)
        weights = [digest_file(workspace.stages / s.key / "model.safetensors") for s in run.stages]
        scores = {k: v for k, v in run.metrics.items() if k.startswith(("target_test", "stage"))}
        found[cell.config.cell_id] = (
            run.status,
            scores,
            digest_file(run.path / "predictions" / "target_test.tif"),
            weights,
        )
    return found


@pytest.mark.slow
@pytest.mark.parametrize("share", ["files", "objects"])
def test_a_node_dies_and_every_cell_is_there_once_as_if_local(share, cluster, suite, registry, tmp_path):
    from dabench.execution.ray_executor import RayExecutor

    far, near = Workspace(tmp_path / "ray"), Workspace(tmp_path / "local")
    watch = KillsANode(cluster)
    with RayExecutor(Site.here(far.root, far.suite("two-rows")), cluster.address, retries=5, share=share) as executor:
        done = run(suite, registry, far, executor, observer=watch)
    assert watch.killed
    assert done.counts() == {"ok": 4}
    assert len(list(far.runs.glob("*/journal.jsonl"))) == 4

    run(suite, registry, near, InlineExecutor(near.root))
    assert results(far, suite) == results(near, suite)
