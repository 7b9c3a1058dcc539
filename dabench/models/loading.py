"""`load_model`: a run or a model file to a predictor, on a machine that has neither the data nor other weights."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from dabench.components.registry import Registry
from dabench.errors import ConfigError, UnknownNameError, WeightsError
from dabench.files.workspace import Workspace
from dabench.interfaces import Budget, Predictor, Stage, TaskInfo
from dabench.models.card import ModelCard, PartCard
from dabench.models.model_file import SUFFIX, read_model, write_model
from dabench.models.rebuild import BareAssembly, check_parts, rebuild, stage_specs, up_to
from dabench.models.tensors import digest_tensors, gather, give, needed_modules
from dabench.models.trained_run import card_of, find_weights, open_run
from dabench.runs.device import pick_device
from dabench.tracking.journal import JOURNAL
from dabench.training.checkpoint import load_weights


class ModelWarning(UserWarning):
    """A model that loads may predict otherwise than when it was trained."""


@dataclass(frozen=True)
class Model:
    """A trained model in evaluation mode: its card, and a predictor on a device."""

    card: ModelCard
    predictor: Predictor = field(repr=False)
    device: torch.device
    #: What is said of it as a `ModelWarning`.
    warnings: tuple[str, ...] = ()
    _stage: Stage | None = field(default=None, repr=False)

    def save(self, path: Path) -> None:
        """Write it as a model file, atomically."""
        assert self._stage is not None
        write_model(path, self.card, gather(self._stage, self.card.modules))

    @property
    def channels(self) -> int:
        """Sections that it sees at once: 2 for a model of pairs."""
        return 2 if self.card.neighbour else 1

    @cached_property
    def takes_points(self) -> bool:
        """Whether a point prompt changes what it predicts; found by trying."""
        side = self.card.tile
        tile = torch.rand(1, self.channels, side, side, generator=torch.Generator().manual_seed(0)).to(self.device)
        points = torch.tensor([[side / 2, side / 2], [side / 4, side / 3]], device=self.device)
        with torch.inference_mode():
            without, given = self.predictor.predict(tile), self.predictor.predict(tile, [points])
        return not torch.equal(without.probability, given.probability)


def load_model(
    reference: str | Path,
    registry: Registry,
    workspace: Workspace,
    device: str | torch.device = "cpu",
) -> Model:
    """A trained model, ready to predict. Opens no data domain and needs no pretrained weights.

    Args:
        reference: a cell's id, a run folder, a model file, or the name of one in ``<workspace>/models``.
        registry: with the plugins that the model was trained with.
        workspace: where runs, stages and model files lie.
        device: auto, cpu, cuda, cuda:N.

    Raises:
        UnknownNameError: no such run and no such file.
        WeightsError: a run that did not end well, weights that are gone, changed or do not fit, a file that is not a
            model.
        PluginError: a plugin is not installed; names it and its distribution.
        ConfigError: the device is not there.
    """
    path = find(reference, workspace)
    model = _from_run(path, registry, workspace) if path.is_dir() else _from_file(path, registry)
    for text in model.warnings:
        warnings.warn(text, ModelWarning, stacklevel=2)
    return _on(model, pick_device(model.card.config.model_copy(update={"device": str(device)})))


def models_folder(workspace: Workspace) -> Path:
    """Where exported models lie."""
    return workspace.root / "models"


def find(reference: str | Path, workspace: Workspace) -> Path:
    """The run folder or the model file that is meant; the beginning of a cell's id will do where only one has it.

    Raises:
        UnknownNameError: none or several; with the nearest names.
    """
    given, folder = Path(reference), models_folder(workspace)
    places = [given, workspace.runs / given, folder / given, folder / f"{given}{SUFFIX}"]
    for path in places:
        if path.is_file() or (path / JOURNAL).is_file():
            return path
    if given.is_dir():
        raise ConfigError(
            f"{given}: this folder has no {JOURNAL}, so it is not a run.", "To list models: dabench models ls"
        )
    runs = {p.parent.name for p in workspace.runs.glob(f"*/{JOURNAL}")}
    meant = [name for name in runs if str(reference) and name.startswith(str(reference))]
    if len(meant) == 1:
        return workspace.runs / meant[0]
    raise UnknownNameError("run or model file", str(reference), runs | {p.stem for p in folder.glob(f"*{SUFFIX}")})


def _from_run(path: Path, registry: Registry, workspace: Workspace) -> Model:
    run = open_run(path, registry, workspace)
    weights = find_weights(run, workspace)
    stage = rebuild(run.specs, run.record.key)
    load_weights(weights, stage)
    predictor = stage.predictor()
    names = needed_modules(stage, predictor)
    digest = digest_tensors(gather(stage, names))
    card = card_of(run, registry, predictor.neighbour, names, digest)
    return Model(card, predictor, torch.device("cpu"), _changes(registry, card.parts, card.name), stage)


def _from_file(path: Path, registry: Registry) -> Model:
    card, tensors = read_model(path)
    changes = _changes(registry, card.parts, path.name)
    stage = _rebuilt(card, registry, path.name)
    give(stage, tensors, card.modules, path.name)
    predictor = stage.predictor()
    return Model(card, predictor, torch.device("cpu"), changes, stage)


def _rebuilt(card: ModelCard, registry: Registry, where: str) -> Stage:
    info, budget = TaskInfo(**card.task.model_dump()), Budget(**card.budget.model_dump())
    specs = up_to(card.stage, stage_specs(BareAssembly(registry, card.config), info, budget))
    if specs[-1].name != card.stage:
        raise WeightsError(
            f"{where}: is stage {card.stage!r} of method {card.config.method!r}, whose last stage is now "
            f"{specs[-1].name!r}: another model.",
            "Use the version of its plugin that it was trained with.",
        )
    return rebuild(specs, where)


def _changes(registry: Registry, parts: tuple[PartCard, ...], where: str) -> tuple[str, ...]:
    changed = check_parts(registry, parts, where)
    if not changed:
        return ()
    return (
        f"{where}: the source of {', '.join(changed)} has changed since the model was trained; predictions may differ.",
    )


def _on(model: Model, device: torch.device) -> Model:
    """In evaluation mode, without gradients, on a device."""
    assert model._stage is not None
    for module in model._stage.modules().values():
        module.to(device).eval().requires_grad_(False)
    # A stage may hand out another object for another device.
    return Model(model.card, model._stage.predictor(), device, model.warnings, model._stage)


def tensors_of(model: Model) -> dict[str, Tensor]:
    """The tensors that its file would hold, as ``module/name``, on the CPU."""
    assert model._stage is not None
    return gather(model._stage, model.card.modules)
