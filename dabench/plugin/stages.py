"""Stages that methods start from: one network, the same with a self-training scheme, the same with discriminators.

A subclass says what is minimised (`NetworkStage.losses`); modules, optimizers, state and predictor are here.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

import torch
from torch import Tensor, nn

from dabench.errors import ConfigError
from dabench.inference.predictor import NetworkPredictor
from dabench.inference.training_split import plain_batches
from dabench.interfaces import OptimizerStep, Predictor, PseudoTargets, SelfTraining, Stage, TrainingData
from dabench.ops.adversarial import SOURCE, discriminator_terms, domain_loss, frozen
from dabench.ops.augmentation import STRONG, ViewOptions
from dabench.ops.batchnorm import TARGET_SHARE, frozen_statistics, recalibrate
from dabench.ops.objectives import supervised_terms, total
from dabench.ops.views import view_source
from dabench.plugin.settings import AdversarialSettings, OptimizerSettings, SchemeSettings, TargetSettings
from dabench.types import IGNORE, Batch, TargetCrops


class NetworkStage(Stage):
    """One network, trained by one optimizer.

    Attributes:
        student: the network.
        trained: what the optimizer updates, by name: ``network`` and the heads that are trained with it.
        watched: further numbers of the current update, which are logged but not minimised.
    """

    settings: OptimizerSettings

    def __init__(self, settings: OptimizerSettings, network: nn.Module, **heads: nn.Module) -> None:
        """Store the network, and further modules that are trained with it (a decoder, a projection)."""
        self.settings, self.student = settings, network
        self.trained: dict[str, nn.Module] = {"network": network, **heads}
        self.watched: dict[str, Tensor] = {}

    @abstractmethod
    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Named terms of one update, weighted; their sum is minimised."""

    def modules(self) -> Mapping[str, nn.Module]:
        """What is trained."""
        return self.trained

    def parameters(self) -> Iterator[nn.Parameter]:
        """What the optimizer moves."""
        return chain.from_iterable(module.parameters() for module in self.trained.values())

    def optimizer_steps(self) -> Sequence[OptimizerStep]:
        """The network's."""
        return [OptimizerStep("network", self.parameters, self.settings.optimizer_spec())]

    def step(self, batch: Batch, optimizer: str) -> dict[str, Tensor]:
        """All terms of `losses`, their sum, and what was watched."""
        del optimizer
        self.watched = {}
        terms = self.losses(batch)
        return {"loss": total(terms), **terms, **self.watched}

    def predictor(self) -> Predictor:
        """The network, with the points it is given or none."""
        return NetworkPredictor(self.network(), getattr(self.settings, "neighbour", 0.0))


class AdaptationStage(NetworkStage):
    """The same on source and target; BatchNorm starts from a mixture of both, and its statistics follow the target."""

    settings: TargetSettings
    #: Of the target's BatchNorm statistics in those that a stage starts from.
    target_share: float = TARGET_SHARE

    def prepare(self, data: TrainingData) -> None:
        """Mix BatchNorm statistics of plain target crops into those of the source."""
        self._renew_statistics(self.student, data, self.target_share)

    def _renew_statistics(self, network: nn.Module, data: TrainingData, share: float) -> None:
        s = self.settings
        if getattr(network, "sections", 1) > 1:
            # Of a network of pairs only the backbone has BatchNorm, and it sees single sections.
            network = getattr(network, "backbone", network)
        recalibrate(network, plain_batches(data, s.recalibrate, s.crop), share)

    def source_losses(self, batch: Batch, view: ViewOptions = STRONG) -> dict[str, Tensor]:
        """Cross-entropy and soft Dice of the labelled crops in the student's view.

        Running statistics of BatchNorm stay the target's.
        """
        assert batch.source is not None
        source = view_source(batch.source, view, batch.generator)
        with frozen_statistics(self.student):
            output = self.student(source.images)
        return supervised_terms(output, source.labels, self.settings.overlap)


class SelfTrainingStage(AdaptationStage):
    """The same with pseudo-labels of the target, which a scheme makes."""

    def __init__(self, settings: TargetSettings, network: nn.Module, scheme: SelfTraining, **heads: nn.Module) -> None:
        """Own network and scheme; `SchemeSettings` also say how often rounds are and which network is the outcome.

        Raises:
            ConfigError: the outcome is a teacher that the scheme does not have.
        """
        super().__init__(settings, network, **heads)
        self.scheme, self.outcome = scheme, "network"
        scheme.start(network)
        if isinstance(settings, SchemeSettings):
            self.refresh_every = settings.refresh_every if scheme.rounds else 0
            self.outcome = "teacher" if settings.outcome == "teacher" else "network"
            if self.outcome not in self.modules():
                raise ConfigError(
                    f"outcome=teacher, but the scheme {settings.self_training!r} has no teacher.",
                    "Use outcome=student, or a scheme that has one (a moving average of the student).",
                )

    def modules(self) -> Mapping[str, nn.Module]:
        """The trained modules, and the scheme's teacher."""
        return {**self.trained, **self.scheme.modules()}

    def network(self) -> nn.Module:
        """Student or teacher, as `SchemeSettings.outcome` says."""
        return self.modules()[self.outcome]

    def prepare(self, data: TrainingData) -> None:
        """Update BatchNorm statistics, then start the scheme."""
        super().prepare(data)
        self.scheme.start(self.student)
        self.scheme.attach(data)

    def refresh(self, data: TrainingData) -> None:
        """A round of the scheme."""
        self.scheme.refresh(self.student, data)

    def state(self) -> dict[str, Tensor]:
        """The scheme's."""
        return self.scheme.state()

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """The scheme's."""
        self.scheme.load_state(state)

    def after_update(self, step: int) -> None:
        """The scheme follows the student."""
        self.scheme.after_update(self.student, step)

    def pseudo_targets(self, crops: TargetCrops, generator: torch.Generator) -> PseudoTargets:
        """The scheme's labels of plain target crops; how much they say is watched."""
        with torch.no_grad():
            pseudo = self.scheme.targets(crops, generator)
        self.watch(pseudo)
        return pseudo

    def watch(self, pseudo: PseudoTargets) -> None:
        """Log how much pseudo-labels say, and how much of it is foreground."""
        self.watched["pseudo_foreground"] = (pseudo.labels == 1).float().mean()
        self.watched["pseudo_known"] = (pseudo.labels != IGNORE).float().mean()


class AdversarialStage(AdaptationStage):
    """The same with discriminators: the segmenter's step, then theirs on what it has just shown (AdaptSegNet).

    A subclass's `losses` calls `adversarial_losses` once per update.
    """

    settings: AdversarialSettings

    def __init__(
        self,
        settings: AdversarialSettings,
        network: nn.Module,
        discriminators: Mapping[str, nn.Module],
        **heads: nn.Module,
    ) -> None:
        """Own the network and the discriminators, each by the name of what it looks at."""
        super().__init__(settings, network, **heads)
        self.discriminators = nn.ModuleDict(discriminators)
        self.shown: dict[str, tuple[Tensor, Tensor]] = {}

    def modules(self) -> Mapping[str, nn.Module]:
        """The trained modules, and the discriminators."""
        return {**self.trained, "discriminators": self.discriminators}

    def optimizer_steps(self) -> Sequence[OptimizerStep]:
        """The segmenter's, then the discriminators'."""
        return [
            OptimizerStep("segmenter", self.parameters, self.settings.optimizer_spec()),
            OptimizerStep("discriminators", self.discriminators.parameters, self.settings.discriminator_spec()),
        ]

    def finish(self, data: TrainingData) -> None:
        """Renew BatchNorm statistics: the running ones are those of the last few batches, of older weights."""
        # Its weights are trained with statistics of target batches.
        self._renew_statistics(self.network(), data, 1.0)

    def adversarial_losses(
        self, shown: Mapping[str, tuple[Tensor, Tensor]], weights: Mapping[str, float]
    ) -> dict[str, Tensor]:
        """What the segmenter loses to discriminators that can tell its target maps from source maps (Eq. 3).

        Args:
            shown: by discriminator, what it sees of the source and of the target; kept for the discriminators' step.
            weights: of the terms.

        Returns:
            ``adversarial_NAME`` for each, weighted.
        """
        self.shown = {name: (source.detach(), target.detach()) for name, (source, target) in shown.items()}
        with frozen(self.discriminators):
            return {
                f"adversarial_{name}": weights[name] * domain_loss(self.discriminators[name](target), SOURCE)
                for name, (_, target) in shown.items()
            }

    def step(self, batch: Batch, optimizer: str) -> dict[str, Tensor]:
        """The segmenter's terms, or those of the discriminators that tell the domains apart (Eq. 2)."""
        if optimizer == "segmenter":
            return super().step(batch, optimizer)
        shown, self.shown = self.shown, {}
        terms = discriminator_terms({name: (self.discriminators[name], *maps) for name, maps in shown.items()})
        return {"loss": total(terms), **terms}
