"""The tensors that a model needs: found through its predictor, named like a stage's weights, with one digest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn

from dabench.errors import WeightsError
from dabench.interfaces import Predictor, Stage

#: Where tensors of a stage stand that belong to no module.
STATE = "state"


def networks_of(predictor: Predictor) -> list[nn.Module]:
    """Modules that a predictor holds, also through predictors that it wraps."""
    found: list[nn.Module] = []
    for value in vars(predictor).values():
        if isinstance(value, nn.Module):
            found.append(value)
        elif isinstance(value, Predictor):
            found += networks_of(value)
    return found


def needed_modules(stage: Stage, predictor: Predictor) -> tuple[str, ...]:
    """Names of the modules of a stage that its predictor runs, `STATE` among them where it may need that too.

    A teacher that only taught, a discriminator or a memory bank makes a file several times as large. They are left
    out where the predictor holds networks and plain settings and nothing else; else all is kept.
    """
    modules = stage.modules()
    held = {id(t) for network in networks_of(predictor) for t in _tensors(network)}
    needed = [name for name, module in modules.items() if any(id(t) in held for t in _tensors(module))]
    covered = {id(t) for name in needed for t in _tensors(modules[name])}
    return tuple(needed) if needed and held <= covered and _is_plain(predictor) else (*modules, STATE)


def _is_plain(predictor: Predictor) -> bool:
    """Whether a predictor holds modules, other predictors and numbers or words alone."""
    values = vars(predictor).values()
    known = (nn.Module, Predictor, int, float, str, bool, type(None))
    inner = [value for value in values if isinstance(value, Predictor)]
    return all(isinstance(value, known) for value in values) and all(_is_plain(one) for one in inner)


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    yield from module.parameters()
    yield from module.buffers()


def gather(stage: Stage, names: Iterable[str]) -> dict[str, Tensor]:
    """Tensors of these modules as ``module/name``, on the CPU, each with memory of its own."""
    modules = stage.modules()
    states = {name: stage.state() if name == STATE else modules[name].state_dict() for name in names}
    return {
        f"{name}/{key}": tensor.detach().cpu().contiguous().clone()
        for name, state in states.items()
        for key, tensor in state.items()
    }


def give(stage: Stage, tensors: Mapping[str, Tensor], names: Iterable[str], where: str) -> None:
    """Load tensors into a freshly built stage. Raises WeightsError where they do not fit, naming ``where``."""
    grouped: dict[str, dict[str, Tensor]] = {name: {} for name in names}
    for key, tensor in tensors.items():
        module, _, name = key.partition("/")
        grouped.setdefault(module, {})[name] = tensor
    state = grouped.pop(STATE, None)
    modules = stage.modules()
    if unknown := sorted(set(grouped) - set(modules)):
        raise WeightsError(
            f"{where}: has weights of {', '.join(unknown)}, but the stage has "
            f"{', '.join(sorted(modules))}: this is another model."
        )
    for name, values in grouped.items():
        try:
            modules[name].load_state_dict(values)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:300]
            raise WeightsError(f"{where}: module {name!r} does not fit: {reason}") from None
    if state is not None:
        stage.load_state(state)


def digest_tensors(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and bytes, in the order of names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        plain = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {plain.dtype} {tuple(plain.shape)}\n".encode())
        digest.update(plain.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
