"""A whole volume predicted by a model: chunk by chunk, resumable, on one machine or several."""

from dabench.volumes.prediction.executors import ChunkExecutor, InProcessExecutor, ProcessExecutor
from dabench.volumes.prediction.plan import PredictionPlan, make_prediction_plan
from dabench.volumes.prediction.request import Request
from dabench.volumes.prediction.volume import Summary, check_output, check_place, predict_volume
from dabench.volumes.prediction.worker import Assignment, ModelBytes, RunModel

__all__ = [
    "Assignment",
    "ChunkExecutor",
    "InProcessExecutor",
    "ModelBytes",
    "PredictionPlan",
    "ProcessExecutor",
    "Request",
    "RunModel",
    "Summary",
    "check_output",
    "check_place",
    "make_prediction_plan",
    "predict_volume",
]
