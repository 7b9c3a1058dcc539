"""Tracking: a run writes a self-contained directory; one writer carries it to MLflow, at any time and again."""

from __future__ import annotations

from dabench.tracking.events import (
    Altered,
    CellFinished,
    CellStarted,
    Cost,
    Event,
    Guarded,
    InputData,
    ModelMade,
    Phase,
    Regret,
    Scored,
    Selected,
    StageFinished,
)
from dabench.tracking.frames import results_table
from dabench.tracking.journal import Curve, CurveLog, Journal, read_curve, read_journal
from dabench.tracking.record import RunRecord
from dabench.tracking.run_reader import read_run, read_runs
from dabench.tracking.scores import ScoreKey, ScoreRow

__all__ = [
    "Altered",
    "CellFinished",
    "CellStarted",
    "Cost",
    "Curve",
    "CurveLog",
    "Event",
    "InputData",
    "Journal",
    "ModelMade",
    "Phase",
    "Guarded",
    "Regret",
    "RunRecord",
    "ScoreKey",
    "ScoreRow",
    "Scored",
    "Selected",
    "StageFinished",
    "read_curve",
    "read_journal",
    "read_run",
    "read_runs",
    "results_table",
]
