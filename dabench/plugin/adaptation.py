"""Methods with one stage after a starting point, like many published methods."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field

from torch import nn

from dabench.interfaces import Budget, Components, Method, Stage, StageSpec, TaskInfo
from dabench.plugin.settings import AdaptationSettings, FineTuningSettings, SchemeSettings


def missing_neighbours(method: str, task: TaskInfo) -> str | None:
    """Why a method that needs neighbouring sections cannot run on this task; None if it can."""
    if task.neighbours:
        return None
    return f"{method} trains on pairs of neighbouring sections, and slices of a domain of this task are no neighbours"


@dataclass(frozen=True)
class StartingPoint:
    """Where an adaptation starts: the stages before it, the components that determine them, and its network."""

    before: list[StageSpec]
    components: tuple[tuple[str, str], ...]
    network: Callable[[Stage | None], nn.Module] = field(repr=False)


def copied(parent: Stage | None) -> nn.Module:
    """A copy of the parent's network, because other stages may also start from the parent."""
    assert parent is not None
    return deepcopy(parent.network())


def starting_point(
    components: Components, task: TaskInfo, budget: Budget, start: str, network: str, backbone: str
) -> StartingPoint:
    """The trained network of another method, or a fresh one.

    Args:
        components: of the run.
        task: of the run.
        budget: of the run.
        start: a method, whose last stage's network is copied; ``scratch``: nothing is trained before.
        network: made when starting from scratch.
        backbone: its encoder; ``none``: the network has its own.
    """
    if start == "scratch":
        encoder = (("backbone", backbone),) if backbone != "none" else ()
        return StartingPoint([], (("network", network), *encoder), lambda _: components.network(network, backbone))
    return _trained(components, task, budget, start)


def _trained(components: Components, task: TaskInfo, budget: Budget, method: str) -> StartingPoint:
    """All stages of a method, and a copy of its network."""
    before = components.method(method).stages(task, budget)
    return StartingPoint(before, before[-1].components, copied)


class FineTuning(Method):
    """A trained method, followed by one stage that continues with its network.

    As a component's factory: ``partial(FineTuning, name="med-sa", stage=MedSAStage)``.
    """

    settings: FineTuningSettings | AdaptationSettings

    def __init__(
        self,
        settings: FineTuningSettings | AdaptationSettings,
        components: Components,
        name: str,
        stage: Callable[..., Stage],
        asks: tuple[str, ...] = (),
    ) -> None:
        """Networks are only built when the stage is.

        Args:
            settings: of the method and of its stage.
            components: of the run.
            name: of the method and of its stage.
            stage: called with the settings, the network (its own) and, where the settings name a scheme, that.
            asks: weak labels that the stage asks for.
        """
        self.settings, self.components, self.name, self.asks = settings, components, name, asks
        self.make = stage

    def skip(self, task: TaskInfo, budget: Budget) -> str | None:
        """Where pairs are seen and a domain's slices are no neighbours."""
        del budget
        return missing_neighbours(self.name, task) if self.settings.crops().neighbour else None

    def start(self, task: TaskInfo, budget: Budget) -> StartingPoint:
        """What the stage starts from."""
        return _trained(self.components, task, budget, self.settings.start)

    def stages(self, task: TaskInfo, budget: Budget) -> list[StageSpec]:
        """Those of the starting point, then this one."""
        s, start = self.settings, self.start(task, budget)
        schemes: list[str] = [s.self_training] if isinstance(s, SchemeSettings) else []

        def build(parent: Stage | None) -> Stage:
            return self.make(s, start.network(parent), *map(self.components.self_training, schemes))

        parts = (*start.components, *(("self_training", scheme) for scheme in schemes))
        spec = StageSpec(self.name, self.name, s, parts, s.crops(), s.iterations, build, self.asks)
        return [*start.before, spec]


class Adaptation(FineTuning):
    """A starting point, which may be a new network, followed by one stage on source and target.

    As a component's factory: ``partial(Adaptation, name="dann", stage=DANNStage)``.
    """

    settings: AdaptationSettings

    def start(self, task: TaskInfo, budget: Budget) -> StartingPoint:
        """What the stage starts from."""
        s = self.settings
        return starting_point(self.components, task, budget, s.start, s.network, s.backbone)
