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
    return f"stage {names[0]!r} trains on source images, but only a source model is available"


def begin_with(specs: Sequence[StageSpec], name: str, store: WeightsStore) -> list[StageSpec]:
    """The stages, the first of which takes added weights and is not trained.

    Raises:
        ConfigError: the first stage does more than learn the source.
        WeightsError: no weights of this name were added.
    """
    first = specs[0]
    if not uses_source(first) or first.crops.target or first.asks:
        raise ConfigError(
            f"source_checkpoint: the first stage ({first.name!r}) does more than train a source model, "
            "so no source model can replace it."
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
                f"source_checkpoint: the first stage ({first.name!r}) also trains {', '.join(others)}, which a source "
                "model cannot replace.",
                "A source model can only replace a first stage that trains nothing else.",
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
            "Use the preset and network settings that the weights were trained with.",
        ) from None


def _of_network(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    prefix = "network/"
    own = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    return own or dict(tensors)
