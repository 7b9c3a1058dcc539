"""Methods: recipes of stages, and what they may know before training."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from dabench.interfaces.preferences import PreferenceOptimizer
    from dabench.interfaces.self_training import SelfTraining
    from dabench.interfaces.stages import StageSpec


@dataclass(frozen=True)
class Budget:
    """What of the target's training split may be annotated: a share for each kind of weak label.

    Args:
        points: share of components with a point (``points``).
        patches: share of patches that are asked about (``preferences``).
        others: shares of other kinds, by the name of the weak label.
    """

    points: float = 0.0
    patches: float = 0.0
    others: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, shares: Mapping[str, float]) -> Budget:
        """A budget from shares by the name of the weak label."""
        others = {kind: share for kind, share in shares.items() if kind not in ("points", "preferences")}
        return cls(shares.get("points", 0.0), shares.get("preferences", 0.0), others)

    @property
    def shares(self) -> dict[str, float]:
        """The share of each kind, by the name of the weak label."""
        return {"points": self.points, "preferences": self.patches, **self.others}

    def share(self, kind: str) -> float:
        """The share of one kind; 0 where the budget does not name it."""
        return self.shares.get(kind, 0.0)


@dataclass(frozen=True)
class TaskInfo:
    """What a method may know of a task before training.

    ``neighbours``: whether slice z+1 lies next to slice z in both domains, so that sections can be taken in pairs.
    """

    name: str
    source: str
    target: str
    neighbours: bool = True
    has_source: bool = True


class Components(Protocol):
    """How a plugin gets another component: by name, configured for this run."""

    def config(self, kind: str, name: str) -> Any:
        """The validated settings of a component: its defaults, the preset's values, the user's."""

    def backbone(self, name: str) -> nn.Module:
        """A new backbone."""

    def network(self, name: str, backbone: str) -> nn.Module:
        """A new segmentation network on a new backbone; ``none`` where the network is its own encoder."""

    def self_training(self, name: str) -> SelfTraining:
        """A new self-training scheme."""

    def preference_optimizer(self, name: str) -> PreferenceOptimizer:
        """A new preference optimizer."""

    def method(self, name: str) -> Method:
        """Another method, to start from its stages."""


class Method(ABC):
    """A recipe: an ordered list of stages; each one starts from the one before."""

    @abstractmethod
    def stages(self, task: TaskInfo, budget: Budget) -> list[StageSpec]:
        """The stages, first to last. Must be cheap and build no network."""

    def skip(self, task: TaskInfo, budget: Budget) -> str | None:
        """Why this method cannot run here, or None. The reason becomes the cell's status."""
        del task, budget
        return None

    def default_shares(self) -> Mapping[str, float]:
        """Share of each weak label, by name, that this method is defined with: the budget where the user names none."""
        return {}
