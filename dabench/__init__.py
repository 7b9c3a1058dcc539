"""dabench: trains, compares and applies domain adaptive segmentation methods for electron microscopy.

This is the face: everything that a plugin author imports. Names are loaded on first use, so that ``import dabench`` is
cheap and ``dabench --help`` answers at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from dabench.data.card import Card, load_card
    from dabench.data.card_domain import CardDomain
    from dabench.data.phantom_domain import PhantomDomain, phantom_summaries
    from dabench.errors import (
        BudgetError,
        ConfigError,
        DabenchError,
        DataError,
        MissingDataError,
        PluginError,
        UnknownNameError,
        WeightsError,
    )
    from dabench.files import write_json, write_text
    from dabench.hookspecs import Component, Register, Settings, hookimpl
    from dabench.inference.predictor import FlippedPredictor, NetworkPredictor
    from dabench.inference.rounds import RoundLabels
    from dabench.inference.training_split import plain_batches, predict_training
    from dabench.interfaces import (
        Adaptation,
        BlockVolume,
        Budget,
        Candidate,
        CandidateSlice,
        Components,
        CropSpec,
        Desk,
        Domain,
        EvaluationProtocol,
        Method,
        OptimizerSpec,
        Predictor,
        PreferenceOptimizer,
        PseudoTargets,
        Reader,
        SelectionView,
        Selector,
        SelfTraining,
        SliceScore,
        Split,
        Stage,
        StageSpec,
        StartingPoint,
        TaskInfo,
        TrainingView,
        Truth,
        Turn,
        Volume,
        WeakLabel,
        missing_neighbours,
        starting_point,
    )
    from dabench.training.checkpoint import read_weights
    from dabench.types import (
        API_VERSION,
        IGNORE,
        Array,
        Batch,
        Block,
        CropId,
        PointAnswer,
        PointRequest,
        Prediction,
        PreferenceAnswer,
        PreferenceQuestion,
        PreferenceRequest,
        SourceCrops,
        TargetCrops,
        Window,
    )

_HOMES = {
    "dabench.data.card": "Card load_card",
    "dabench.data.card_domain": "CardDomain",
    "dabench.data.phantom_domain": "PhantomDomain phantom_summaries",
    "dabench.errors": (
        "BudgetError ConfigError DabenchError DataError MissingDataError PluginError UnknownNameError WeightsError"
    ),
    "dabench.inference.predictor": "FlippedPredictor NetworkPredictor",
    "dabench.inference.rounds": "RoundLabels",
    "dabench.inference.training_split": "plain_batches predict_training",
    "dabench.files": "write_json write_text",
    "dabench.hookspecs": "Component Register Settings hookimpl",
    "dabench.interfaces": (
        "Adaptation BlockVolume Budget Candidate CandidateSlice Components CropSpec Desk Domain EvaluationProtocol "
        "Method OptimizerSpec Predictor PreferenceOptimizer PseudoTargets Reader SelectionView Selector SelfTraining "
        "SliceScore Split Stage StageSpec StartingPoint TaskInfo TrainingView Truth Turn Volume WeakLabel "
        "missing_neighbours starting_point"
    ),
    "dabench.training.checkpoint": "read_weights",
    "dabench.types": (
        "API_VERSION IGNORE Array Batch Block CropId PointAnswer PointRequest Prediction PreferenceAnswer "
        "PreferenceQuestion PreferenceRequest SourceCrops TargetCrops Window"
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    """Load a public name from where it lives."""
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'dabench' has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    """Public names, for completion."""
    return sorted([*_HOME_OF, "__version__"])
