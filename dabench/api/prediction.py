"""A whole volume predicted to a file: what `dabench predict` does once its flags are read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch

from dabench.components.registry import Registry
from dabench.errors import ConfigError
from dabench.execution.jobs import Resources
from dabench.execution.settings import ExecutorSettings
from dabench.files.workspace import Workspace
from dabench.interfaces.observer import Observer
from dabench.models import load_model
from dabench.models.loading import find
from dabench.runs.threads import use_threads
from dabench.volumes.prediction.plan import PredictionPlan, make_prediction_plan
from dabench.volumes.prediction.precision import measured
from dabench.volumes.prediction.processes import ByJobs, Predicts, predict_here
from dabench.volumes.prediction.request import Request
from dabench.volumes.prediction.volume import Summary, check_output, check_place, predict_volume
from dabench.volumes.prediction.worker import Assignment, ModelBytes, RunModel


@dataclass(frozen=True)
class PreparedPrediction:
    """A prediction that is resolved and not begun: what `dabench predict --dry-run` shows."""

    plan: PredictionPlan
    where: ExecutorSettings
    registry: Registry = field(repr=False)
    workspace: Workspace

    def ready(self) -> PreparedPrediction:
        """The same with the statistics of its images. Raises ConfigError for an output that exists."""
        check_output(self.plan)
        return replace(self, plan=measured(self.plan, self.registry))

    @property
    def processes(self) -> int:
        """That predict on this machine; 0: as many as a cluster has room for."""
        return max(1, self.where.jobs or 0) if self.where.executor == "local" else self.where.jobs or 0

    def execute(self, observer: Observer) -> Summary:
        """Predict, or continue what was interrupted; only after `ready`."""
        with self._predicts() as predicts:
            return predict_volume(self.plan, self.assignment(), predicts, observer)

    def assignment(self) -> Assignment:
        """What every process is told."""
        plan, device = self.plan, self.plan.device
        if self.where.share == "objects":
            return plan.assignment(ModelBytes.of(plan.model, device))
        path = find(plan.request.run, self.workspace).absolute()
        return plan.assignment(RunModel(str(path), self.workspace.root, device))

    @contextmanager
    def _predicts(self) -> Iterator[Predicts]:
        where, plan, cuda = self.where, self.plan, self.plan.model.device.type == "cuda"
        if where.executor == "local":
            if where.address or where.share == "objects" or where.gpus_per_job:
                raise ConfigError("--address, --share and --gpus-per-job need --executor ray.")
            if self.processes < 2:
                yield partial(predict_here, predictor=plan.model.predictor)
                return
            if cuda and self.processes > torch.cuda.device_count():
                raise ConfigError(
                    f"--jobs {self.processes}: processes would share one GPU.", "Leave out --jobs, or use --device cpu."
                )
        gpus = where.gpus_per_job or float(cuda)
        here = where.executor == "local"
        cores = max(1, torch.get_num_threads() // self.processes) if here else where.threads
        asked = Resources(cores, gpus=0.0 if here else gpus)
        with replace(where, threads=cores).make(plan.partial, plan.partial / "work") as executor:
            yield ByJobs(executor, asked, 4 * self.processes if here else 0, where.tries, where.share == "objects")


def prepare_prediction(
    request: Request, where: ExecutorSettings | None = None, workspace: str | Path | None = None
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
    return PreparedPrediction(plan, where or ExecutorSettings(), registry, place)
