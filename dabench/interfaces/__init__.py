"""The contracts between dabench's core and its plugins.

Each class says who calls it, with what, and what it must not do. Shapes and ranges are those of `dabench.types`.
Randomness arrives as a generator; devices, seeds, files, loops and logging belong to the core.
"""

from __future__ import annotations

from dabench.interfaces.annotation import Desk, Truth, WeakLabel
from dabench.interfaces.choice import Choice
from dabench.interfaces.data import BlockVolume, Domain, Placement, Reader, Split, Volume
from dabench.interfaces.evaluation import EvaluationProtocol, SliceScore
from dabench.interfaces.methods import (
    Budget,
    Components,
    Method,
    TaskInfo,
)
from dabench.interfaces.predictor import Predictor
from dabench.interfaces.preferences import PatchPool, PreferenceOptimizer
from dabench.interfaces.rater_errors import RaterErrors
from dabench.interfaces.selection import LOOKS, Candidate, CandidateSlice, SelectionData, Selector
from dabench.interfaces.self_training import PseudoTargets, SelfTraining
from dabench.interfaces.stages import CropSpec, OptimizerSpec, OptimizerStep, Stage, StageSpec, TrainingData
from dabench.interfaces.weights import PublishedWeights

__all__ = [
    "BlockVolume",
    "Budget",
    "Candidate",
    "CandidateSlice",
    "Choice",
    "Components",
    "CropSpec",
    "Desk",
    "Domain",
    "EvaluationProtocol",
    "LOOKS",
    "Method",
    "OptimizerSpec",
    "Placement",
    "Predictor",
    "PatchPool",
    "PreferenceOptimizer",
    "PseudoTargets",
    "PublishedWeights",
    "RaterErrors",
    "Reader",
    "SelectionData",
    "Selector",
    "SelfTraining",
    "SliceScore",
    "Split",
    "Stage",
    "StageSpec",
    "TaskInfo",
    "TrainingData",
    "Truth",
    "OptimizerStep",
    "Volume",
    "WeakLabel",
]
