"""What a plugin author imports, and nothing else of the core but `dabench.ops`; grouped by kind of component."""

from __future__ import annotations

from dabench.annotation.preference_set import PreferenceSet
from dabench.annotation.set_answers import Combine, combine_answers, set_answers, set_questions, write_set
from dabench.components.hookspecs import Component, Register, Settings, hookimpl
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
from dabench.files.atomic import write_json, write_text
from dabench.inference.predictor import FlippedPredictor, NetworkPredictor
from dabench.inference.rounds import RoundLabels
from dabench.inference.training_split import plain_batches, predict_training
from dabench.interfaces import (
    BlockVolume,
    Budget,
    Candidate,
    CandidateSlice,
    Choice,
    Components,
    CropSpec,
    Desk,
    Domain,
    EvaluationProtocol,
    Method,
    OptimizerSpec,
    OptimizerStep,
    PatchPool,
    Placement,
    Predictor,
    PreferenceOptimizer,
    PseudoTargets,
    PublishedWeights,
    RaterErrors,
    Reader,
    SelectionData,
    Selector,
    SelfTraining,
    SliceScore,
    Split,
    Stage,
    StageSpec,
    TaskInfo,
    TrainingData,
    Truth,
    Volume,
    WeakLabel,
)
from dabench.plugin.adaptation import Adaptation, StartingPoint, copied, missing_neighbours, starting_point
from dabench.plugin.settings import (
    AdaptationSettings,
    AdversarialSettings,
    OptimizerSettings,
    PairsSettings,
    SchemeSettings,
    TargetSettings,
    TrainingSettings,
)
from dabench.plugin.stages import AdaptationStage, AdversarialStage, NetworkStage, SelfTrainingStage
from dabench.training.checkpoint import read_weights
from dabench.types import (
    API_VERSION,
    IGNORE,
    Array,
    Batch,
    Block,
    CropId,
    PackedMasks,
    PointAnswer,
    PointRequest,
    Prediction,
    PreferenceAnswer,
    PreferenceQuestion,
    PreferenceRequest,
    Region,
    SourceCrops,
    TargetCrops,
    Window,
)

__all__ = [
    # Every plugin: a component, its settings, the hooks.
    "API_VERSION",
    "Component",
    "Register",
    "Settings",
    "hookimpl",
    # Errors that a user can mend.
    "BudgetError",
    "ConfigError",
    "DabenchError",
    "DataError",
    "MissingDataError",
    "PluginError",
    "UnknownNameError",
    "WeightsError",
    # Arrays and batches.
    "Array",
    "Batch",
    "CropId",
    "IGNORE",
    "Prediction",
    "SourceCrops",
    "TargetCrops",
    "Window",
    # Methods and their stages: contracts, and what most of them start from.
    "Adaptation",
    "AdaptationSettings",
    "AdaptationStage",
    "AdversarialSettings",
    "AdversarialStage",
    "Budget",
    "Components",
    "CropSpec",
    "Method",
    "NetworkStage",
    "OptimizerSettings",
    "OptimizerSpec",
    "OptimizerStep",
    "PairsSettings",
    "SchemeSettings",
    "SelfTrainingStage",
    "Stage",
    "StageSpec",
    "StartingPoint",
    "TargetSettings",
    "TaskInfo",
    "TrainingData",
    "TrainingSettings",
    "copied",
    "missing_neighbours",
    "starting_point",
    # Predictors, and whole training splits predicted.
    "FlippedPredictor",
    "NetworkPredictor",
    "Predictor",
    "plain_batches",
    "predict_training",
    # Networks and backbones.
    "PublishedWeights",
    "read_weights",
    # Self-training schemes.
    "PseudoTargets",
    "RoundLabels",
    "SelfTraining",
    # Preference optimizers.
    "PatchPool",
    "PreferenceOptimizer",
    # Weak labels and the annotation desk.
    "Combine",
    "Desk",
    "PackedMasks",
    "PointAnswer",
    "PointRequest",
    "PreferenceAnswer",
    "PreferenceQuestion",
    "PreferenceRequest",
    "PreferenceSet",
    "RaterErrors",
    "Region",
    "Truth",
    "WeakLabel",
    "combine_answers",
    "set_answers",
    "set_questions",
    "write_json",
    "write_set",
    "write_text",
    # Domains and readers.
    "Block",
    "BlockVolume",
    "Card",
    "CardDomain",
    "Choice",
    "Domain",
    "PhantomDomain",
    "Placement",
    "Reader",
    "Split",
    "Volume",
    "load_card",
    "phantom_summaries",
    # Protocols.
    "EvaluationProtocol",
    "SliceScore",
    # Selectors.
    "Candidate",
    "CandidateSlice",
    "SelectionData",
    "Selector",
]
