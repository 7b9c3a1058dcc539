"""A whole volume predicted to a file: what `dabench predict` does once its flags are read."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import torch

from dabench.components.registry import Registry
from dabench.errors import ConfigError
from dabench.files.workspace import Workspace
from dabench.models import load_model
from dabench.models.loading import find
from dabench.runs.threads import use_threads
from dabench.volumes.prediction import (
    ChunkExecutor,
    InProcessExecutor,
    ModelBytes,
    PredictionPlan,
    ProcessExecutor,
    Request,
    RunModel,
    Summary,
    check_output,
    check_place,
    make_prediction_plan,
    predict_volume,
)
from dabench.volumes.prediction.precision import measured

if TYPE_CHECKING:
    from pathlib import Path

    from dabench.interfaces.observer import Observer


@dataclass(frozen=True)
class Workers:
    """What runs the prediction of chunks.

    Attributes:
        executor: ``local``, or ``ray`` for several machines.
        jobs: chunks at a time; 0: one here, on a cluster all that fit.
        address: of a running Ray cluster.
        share: nodes see images and model by path (``files``), or are sent them (``objects``).
    """

    executor: Literal["local", "ray"] = "local"
    jobs: int = 0
    address: str = ""
    share: Literal["files", "objects"] = "files"

    @property
    def here(self) -> int:
        """Processes on this machine; 0: as many as a cluster has room for."""
        return max(1, self.jobs) if self.executor == "local" else self.jobs


@dataclass(frozen=True)
class PreparedPrediction:
    """A prediction that is resolved and not begun: what `dabench predict --dry-run` shows."""

    plan: PredictionPlan
    workers: Workers
    registry: Registry = field(repr=False)
    workspace: Workspace

    def ready(self) -> PreparedPrediction:
        """The same with the statistics of its images. Raises ConfigError for an output that exists."""
        check_output(self.plan)
        return replace(self, plan=measured(self.plan, self.registry))

    def execute(self, observer: Observer) -> Summary:
        """Predict, or continue what was interrupted; only after `ready`."""
        with closing(self._executor()) as executor:
            return predict_volume(self.plan, self.plan.assignment(self._source()), executor, observer)

    def _source(self) -> ModelBytes | RunModel:
        plan, device = self.plan, self.plan.device
        if self.workers.share == "objects":
            return ModelBytes.of(plan.model, device)
        path = find(plan.request.run, self.workspace).absolute()
        return RunModel(str(path), self.workspace.root, device)

    def _executor(self) -> ChunkExecutor:
        workers, model, gpus = self.workers, self.plan.model, self.plan.request.gpus
        if workers.executor == "ray":
            from dabench.execution.ray_executor import RayResources
            from dabench.volumes.prediction.ray_executor import RayChunks

            asked = RayResources(gpus=gpus or float(model.device.type == "cuda"), retries=10)
            return RayChunks(workers.address, workers.jobs, asked, workers.share)
        if workers.address or workers.share == "objects" or gpus:
            raise ConfigError("--address, --share and --gpus-per-job belong to --executor ray.")
        if workers.jobs < 2:
            return InProcessExecutor(model.predictor)
        if model.device.type != "cpu":
            raise ConfigError(
                f"--jobs {workers.jobs}: processes would share one GPU.", "Leave --jobs out, or use --device cpu."
            )
        return ProcessExecutor(workers.jobs, max(1, torch.get_num_threads() // workers.jobs))


def prepare_prediction(
    request: Request, workers: Workers | None = None, workspace: str | Path | None = None
) -> PreparedPrediction:
    """Load the model and resolve a request; reads no voxel.

    Raises:
        ConfigError: settings that contradict each other or the model, or an output that lies on what is read.
        DataError: images or points that are missing, damaged or do not fit.
    """
    registry, place = Registry.load(), Workspace.find(workspace)
    use_threads(place)
    model = load_model(request.run, registry, place, request.device)
    plan = make_prediction_plan(request, model, registry)
    check_place(plan)
    return PreparedPrediction(plan, workers or Workers(), registry, place)
