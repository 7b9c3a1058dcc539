"""A model brought into MLflow's model registry."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch

from dabench import __version__
from dabench.errors import ConfigError
from dabench.files.workspace import Workspace
from dabench.models.card import ModelCard
from dabench.models.loading import Model
from dabench.models.model_file import SUFFIX
from dabench.tracking.mlflow_models import ModelEntry, RegisteredVersion, register_model

#: Characters that the registry does not take in a name, or in a query for one.
_REFUSED = "/:'\"`"


def register(model: Model, workspace: Workspace, name: str = "", tracking_uri: str = "") -> RegisteredVersion:
    """Register a model as `mlflow.pyfunc`, linked to its run where the store has that.

    Args:
        model: a loaded model.
        workspace: whose MLflow store is the default.
        name: of the registered model; default: the cell's id.
        tracking_uri: another store.

    Raises:
        ConfigError: a name that the registry does not take.
        TrackingError: the store cannot be used.
    """
    name = name or model.card.name
    if not name.strip() or set(name) & set(_REFUSED):
        raise ConfigError(f"model name {name!r}: it may not be empty or hold any of {' '.join(_REFUSED)}.")
    card = model.card
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{card.cell_id}{SUFFIX}"
        model.save(file)
        entry = ModelEntry(
            name=name,
            file=file,
            cell_id=card.cell_id,
            digest=card.digest,
            loader="dabench.models.pyfunc",
            example=_example(model),
            requirements=_requirements(card),
            tags=_tags(card),
            description=describe(card),
        )
        own = not tracking_uri or tracking_uri == workspace.tracking_uri
        return register_model(tracking_uri or workspace.tracking_uri, entry, workspace.artifacts if own else None)


def _example(model: Model) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """One tile of noise in quarter steps, which stays short as text."""
    side = model.card.tile
    drawn = np.random.default_rng(0).integers(0, 5, (1, model.channels, side, side))
    return (drawn / 4).astype(np.float32)


def _requirements(card: ModelCard) -> list[str]:
    """What to install: dabench, PyTorch and the distributions of other plugins."""
    others = {(p.distribution, p.version) for p in card.parts if p.version and p.distribution != "dabench"}
    torch_version = torch.__version__.partition("+")[0]
    return [f"dabench=={__version__}", f"torch=={torch_version}", *(f"{name}=={v}" for name, v in sorted(others))]


def _tags(card: ModelCard) -> dict[str, str]:
    config = card.config
    return dict(
        task=config.task,
        data=config.data,
        method=config.method,
        preset=config.preset,
        seed=str(card.seed),
        rater=card.rater,
        stage=card.stage,
        tile=str(card.tile),
        threshold=f"{card.threshold:g}",
        intensity=card.intensity,
    )


def describe(card: ModelCard) -> str:
    """A few lines for a reader: what it is, what it scored and under which rule, and what to mind."""
    lines = [
        f"{card.config.method} on {card.task.name} ({card.config.data} data), stage {card.stage}, seed {card.seed}.",
        f"Tiles of {card.tile} px, intensity {card.intensity}, threshold {card.threshold:g}, rater {card.rater}.",
    ]
    for score in card.scores:
        numbers = ", ".join(f"{name} {value:.4f}" for name, value in score.metrics.items())
        given = f", {score.test_points:.0%} of centres given" if score.test_points else ""
        lines.append(
            f"Target test split, {score.protocol}, {score.inference}{given}: {numbers} ({score.slices} slices)."
        )
    return "\n".join([*lines, *card.notes])
