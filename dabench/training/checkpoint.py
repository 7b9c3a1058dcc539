"""Checkpoints: what a killed stage needs to go on bit-identically, and the weights it ends with."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dabench.errors import WeightsError
from dabench.files.atomic import write_with
from dabench.interfaces import Stage

_FORMAT = 1
_STATE = "state"
#: Where training checkpoints of other projects keep the tensors (model_state: torch-em and micro-sam).
_NESTED = ("state_dict", "model", "model_state")


@dataclass(frozen=True)
class Progress:
    """How far a stage is: updates done and the seconds they took, over all its starts."""

    done: int = 0
    seconds: float = 0.0


def save_checkpoint(path: Path, stage: Stage, optimizers: Sequence[torch.optim.Optimizer], progress: Progress) -> None:
    """Write everything that resuming from ``progress`` needs, atomically.

    Crops, augmentation and learning rate follow from the step, so no random state has to be kept.
    """
    content = {
        "format": _FORMAT,
        "done": progress.done,
        "seconds": progress.seconds,
        "modules": {name: module.state_dict() for name, module in stage.modules().items()},
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        _STATE: dict(stage.state()),
    }
    write_with(path, lambda part: torch.save(content, part))


def load_checkpoint(path: Path, stage: Stage, optimizers: Sequence[torch.optim.Optimizer]) -> Progress:
    """Restore a stage; returns how far it is. Raises WeightsError for a damaged or foreign file."""
    content = read_tensors(path)
    if content.get("format") != _FORMAT:
        raise WeightsError(f"{path}: checkpoint format {content.get('format')!r}, expected {_FORMAT}.", "Delete it.")
    _load_modules(path, stage.modules(), content["modules"])
    for optimizer, state in zip(optimizers, content["optimizers"], strict=True):
        optimizer.load_state_dict(state)
    stage.load_state(content[_STATE])
    return Progress(int(content["done"]), float(content["seconds"]))


def read_tensors(path: Path) -> dict[str, Any]:
    """A ``torch.save`` file, read without running code from it. Raises WeightsError with the reason."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: refused, it is a pickle that would run code ({str(error).splitlines()[0]}).",
            "Convert it to safetensors where you trust it, then: dabench weights add NAME FILE.safetensors",
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise WeightsError(f"{path}: damaged or not a checkpoint ({str(error).splitlines()[0]}).") from None
    if not isinstance(content, dict):
        raise WeightsError(f"{path}: holds a {type(content).__name__}, not a mapping of tensors.")
    return content


def read_weights(path: Path | None, name: str = "") -> dict[str, Tensor]:
    """Named tensors from a ``.safetensors`` file, or from a ``torch.save`` file read with ``weights_only``.

    Args:
        path: of the file; None, which a factory gets for weights that were not added, is an error that says so.
        name: what the weights were asked for by.

    Raises:
        WeightsError: they are not there, or the file is damaged or a pickle that would run code.
    """
    if path is None:
        raise WeightsError(f"weights {name!r} were not added.", f"Add them:  dabench weights add {name or 'NAME'} FILE")
    if not path.is_file():
        raise WeightsError(f"{path}: no such file.", "Add weights with: dabench weights add NAME FILE")
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"{path}: damaged safetensors file ({error}).") from None
    content = read_tensors(path)
    for name in _NESTED:
        content = inner if isinstance(inner := content.get(name), dict) else content
    return {str(k): v for k, v in content.items() if isinstance(v, Tensor)}


def save_weights(path: Path, stage: Stage) -> None:
    """The final weights of all modules and the stage's tensors, as one safetensors file."""
    tensors = {f"{name}/{k}": v for name, m in stage.modules().items() for k, v in m.state_dict().items()}
    tensors |= {f"{_STATE}/{k}": v for k, v in stage.state().items()}
    # A tensor that two modules share would be refused by the format; each entry gets memory of its own.
    write_with(
        path, lambda part: save_file({k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}, part)
    )


def load_weights(path: Path, stage: Stage) -> None:
    """Load what `save_weights` wrote. Raises WeightsError when it belongs to another model."""
    flat = read_weights(path)
    grouped: dict[str, dict[str, Tensor]] = {}
    for key, tensor in flat.items():
        module, _, name = key.partition("/")
        grouped.setdefault(module, {})[name] = tensor
    state = grouped.pop(_STATE, {})
    _load_modules(path, stage.modules(), grouped)
    stage.load_state(state)


def _load_modules(path: Path, modules: Mapping[str, nn.Module], states: Mapping[str, Mapping[str, Tensor]]) -> None:
    if set(modules) != set(states):
        raise WeightsError(f"{path}: holds modules {sorted(states)}, this stage has {sorted(modules)}: another model.")
    for name, module in modules.items():
        try:
            module.load_state_dict(states[name])
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:300]
            raise WeightsError(f"{path}: module {name!r} does not fit: {reason}") from None
