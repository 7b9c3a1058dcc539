"""Keys: names of results that follow from all that decides them, code included. Nothing here is a list kept by hand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from dabench.components.registry import Registry
from dabench.files.digests import digest_of
from dabench.files.source import source_digest
from dabench.interfaces import Split, StageSpec
from dabench.runs.task import TaskData

#: Where the code begins that trains any stage, and the code that predicts and scores it.
_TRAINS, _READS, _SCORES = "dabench.training.train_stage", "dabench.runs.task", "dabench.runs.score"


def stage_source(registry: Registry, task: TaskData, spec: StageSpec) -> str:
    """Digest of the code that decides a trained stage.

    That is the core's training, the plugins of its method, components and weak labels, and whatever opens the splits
    that it reads: domains and readers.
    """
    plugins = [registry.module(kind, name) for kind, name in parts_of(spec)]
    return source_digest(_TRAINS, _READS, *plugins, *_opens(registry, task.read_by(spec), task))


def scoring_source(registry: Registry, task: TaskData, protocol: str) -> str:
    """Digest of the code that reads, predicts and scores the test split."""
    splits = [task.target_test] if task.has_test_labels() else []
    return source_digest(_SCORES, _READS, registry.module("protocol", protocol), *_opens(registry, splits, task))


def _opens(registry: Registry, splits: Iterable[Split], task: TaskData) -> set[str]:
    """Modules of the plugins that bring the splits' domains, of the domains' classes, and of the readers."""
    found = set().union(*(task.code_of(split) for split in splits))
    registered = set(registry.names("domain"))
    return found | {registry.module("domain", s.domain) for s in splits if s.domain in registered}


def parts_of(spec: StageSpec) -> list[tuple[str, str]]:
    """(kind, name) of the method and of every component and weak label of a stage."""
    return [("method", spec.method), *spec.components, *(("weak_label", kind) for kind in spec.asks)]


def stage_key(content: dict[str, Any]) -> str:
    """The name of a stage from all that decides its outcome."""
    return digest_of({**content, "torch": torch.__version__})[:24]
