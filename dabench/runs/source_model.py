"""A run that starts from a given source model, whose images need not be here (source-free adaptation)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor, nn

from dabench.errors import ConfigError, WeightsError
from dabench.interfaces import CropSpec, Stage, StageSpec
from dabench.runs.weights import WeightsStore
from dabench.training.checkpoint import read_weights


def uses_source(spec: StageSpec) -> bool:
    """Whether a stage trains on labelled source crops."""
    return spec.crops.source > 0 and spec.crops.labelled == "source"


def needs_images(specs: Sequence[StageSpec]) -> str:
    """Why these stages cannot run without the source's images; "" when they can."""
    names = [spec.name for spec in specs if uses_source(spec)]
    if not names:
        return ""
    return f"stage {names[0]!r} trains on source images, and only a model of the source is here"


def begin_with(specs: Sequence[StageSpec], name: str, store: WeightsStore) -> list[StageSpec]:
    """The stages, the first of which takes added weights and is not trained.

    Raises:
        ConfigError: the first stage does more than learn the source.
        WeightsError: no weights of this name were added.
    """
    first = specs[0]
    if not uses_source(first) or first.crops.target or first.asks:
        raise ConfigError(
            f"source_checkpoint: the first stage ({first.name!r}) does not just learn the source; there is nothing "
            "that a source model could stand in for."
        )
    path = store.find(name)
    if path is None:
        known = ", ".join(record.name for record in store.records()) or "none yet"
        raise WeightsError(f"no weights {name!r} (added: {known}).", f"Add them: dabench weights add {name} FILE")

    def build(parent: Stage | None) -> Stage:
        stage = first.build(parent)
        others = sorted(set(stage.modules()) - {"network"})
        if others:
            raise ConfigError(
                f"source_checkpoint: the first stage ({first.name!r}) also trains {', '.join(others)}, which no source "
                "model could stand in for.",
                "A source model can stand in for a first stage that trains a source model and nothing else.",
            )
        load_network(path, stage.network())
        return stage

    untrained = replace(
        first, build=build, iterations=0, crops=CropSpec(first.crops.size), title=f"source model {name}"
    )
    return [untrained, *specs[1:]]


def load_network(path: Path, network: nn.Module) -> None:
    """Weights of a network alone, or of a whole stage of dabench. Raises WeightsError when they do not fit."""
    tensors = _of_network(read_weights(path))
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise WeightsError(
            f"{path.name}: does not fit {type(network).__name__}: {reason}",
            "A preset or a network setting says which network is built: it must be the one that was trained.",
        ) from None


def _of_network(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    prefix = "network/"
    own = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    return own or dict(tensors)
