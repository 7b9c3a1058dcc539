"""Which labels of the target a run trains on, whatever its method says of itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dabench.interfaces import StageSpec
from dabench.runs.task import TaskData

#: What a method that trains on labels of the target is called, and is never ranked.
UPPER = "upper"


def trains_on_target(task: TaskData, spec: StageSpec) -> bool:
    """Whether the labels that a stage trains on are those of the target, under whatever name their domain has."""
    if not spec.crops.source:
        return False
    tests = (task.target_test,) if task.has_test_labels() else ()
    return task.labelled_split(spec.crops).digest in {split.digest for split in (task.target_train, *tests)}


def bracket_of(task: TaskData, specs: Iterable[StageSpec], declared: str) -> str:
    """``upper`` where a stage trains on labels of the target, else what the method says, or ``none``."""
    return UPPER if any(trains_on_target(task, spec) for spec in specs) else declared or "none"


def label_notes(task: TaskData, specs: Iterable[StageSpec], declared: str) -> Iterator[str]:
    """What a plan says of a method that trains on labels of the target and does not say so itself."""
    names = [spec.name for spec in specs if declared != UPPER and trains_on_target(task, spec)]
    if names:
        yield f"stage {', '.join(names)} trains on target labels: the row is an upper bracket and is not ranked"
