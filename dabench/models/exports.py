"""Exports for other programs: the automatic mode as TorchScript or ONNX, compared with the predictor before it counts.

A trace records what was done for one batch. Code that asks for ``len(images)`` fixes the batch's size; such a model is
exported as a loop over single tiles, which gives the same numbers.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dabench.errors import ConfigError, WeightsError
from dabench.files.atomic import atomic
from dabench.interfaces import Predictor
from dabench.models.loading import Model
from dabench.models.tensors import networks_of

#: Format -> suffix of its files.
SUFFIXES = {"safetensors": ".safetensors", "torchscript": ".pt", "onnx": ".onnx"}
#: Largest difference from the predictor's probabilities.
TOLERANCE = {"torchscript": 1e-5, "onnx": 1e-4}
#: Name of the card inside an exported file.
CARD = "dabench.json"
#: Batches on which an export must agree: a trace may have taken one size for granted.
_BATCHES = (1, 2, 3)
_OPSET = 17


@dataclass(frozen=True)
class Exported:
    """A file that was written, and what a user of it should know.

    ``difference`` is the largest from the predictor's output, on random tiles and on those of ``compared``.
    """

    path: Path
    difference: float = 0.0
    notes: tuple[str, ...] = ()
    compared: str = ""


class AutomaticMode(nn.Module):
    """A predictor without prompts as a network: images ``(B, C, H, W)`` float32 to probability ``(B, H, W)``."""

    def __init__(self, predictor: Predictor) -> None:
        """Register the predictor's networks, so that a trace keeps their weights as weights."""
        super().__init__()
        self.networks = nn.ModuleList(networks_of(predictor))
        self._predictor = predictor

    def forward(self, images: Tensor) -> Tensor:
        """Probability."""
        return self._predictor.predict(images).probability


class TileByTile(nn.Module):
    """A network that was traced for one tile, for any number of them."""

    def __init__(self, one: nn.Module) -> None:
        """Take the trace."""
        super().__init__()
        self.one = one

    def forward(self, images: Tensor) -> Tensor:
        """Probability ``(B, H, W)``."""
        found: list[Tensor] = []
        for i in range(images.shape[0]):
            found.append(self.one(images[i : i + 1]))
        return torch.cat(found)


def export(model: Model, path: Path, form: str, real: Sequence[Tensor] = ()) -> Exported:
    """Write a model in one of `SUFFIXES`' formats; nothing is left behind where it fails.

    Args:
        model: on the CPU.
        path: of the new file.
        form: safetensors, torchscript or onnx.
        real: tiles ``(B, C, H, W)`` of real images that the export is compared on, beside random ones.

    Raises:
        ConfigError: an unknown format, a model that no trace can hold, or libraries that are not installed.
        WeightsError: the exported model does not give the predictor's output.
    """
    if form not in SUFFIXES:
        raise ConfigError(f"format {form!r}: one of {', '.join(SUFFIXES)}.")
    if form == "safetensors":
        model.save(path)
        return Exported(path)
    tiles = [*_random_tiles(model), *real]
    with torch.inference_mode():
        expected = [model.predictor.predict(batch).probability for batch in tiles]
        again = [model.predictor.predict(batch).probability for batch in tiles]
    if not all(torch.equal(a, b) for a, b in zip(expected, again, strict=True)):
        raise ConfigError(
            f"{model.card.name}: its output differs from call to call, which a {form} file cannot represent.",
            "Use the model file (--format safetensors) with dabench.",
        )
    write, run = _FORMS[form]
    network = traced(model, tiles, expected)
    with atomic(path) as part:
        write(network, part, model, tiles[0])
        difference = _difference(run(part), tiles, expected)
        if difference > TOLERANCE[form]:
            raise WeightsError(
                f"{model.card.name} as {form}: its probabilities differ from the predictor's by {difference:.2g}, more "
                f"than {TOLERANCE[form]:g}; not written.",
                "What the model computes depends on the image, which a trace cannot hold. Use --format safetensors.",
            )
    return Exported(path, difference, _notes(model, network))


def _random_tiles(model: Model) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(0)
    side = model.card.tile
    for batch in _BATCHES:
        yield torch.rand(batch, model.channels, side, side, generator=generator)


def _notes(model: Model, network: torch.jit.ScriptModule) -> tuple[str, ...]:
    side = model.card.tile
    notes = [
        f"Takes tiles of {side} x {side} pixels, {model.card.intensity!r} intensity in [0, 1], and no points; tiling, "
        f"blending and the threshold {model.card.threshold:g} are the caller's."
    ]
    if isinstance(getattr(network, "one", None), nn.Module):
        notes.append("Runs one tile at a time, because its code assumes a fixed batch size.")
    if type(model.predictor).finish is not Predictor.finish:
        notes.append("The method's post-processing of the mask is not included.")
    if model.predictor.gives_instances:
        notes.append("The method's own objects are not included.")
    return tuple(notes)


def _difference(run: Callable[[Tensor], Tensor], tiles: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """Largest absolute difference; infinite where the shapes differ."""
    worst = 0.0
    for batch, right in zip(tiles, expected, strict=True):
        found = run(batch)
        if found.shape != right.shape:
            return float("inf")
        gap = (found - right).abs().max().item()
        worst = max(worst, gap if gap == gap else float("inf"))
    return worst


# ------------------------------------------------------------------------------------------------------------ traces
def traced(model: Model, tiles: Sequence[Tensor], expected: Sequence[Tensor]) -> torch.jit.ScriptModule:
    """The automatic mode as a trace that takes any number of tiles."""
    network = AutomaticMode(model.predictor).eval()
    side = (model.card.tile, model.card.tile)
    with _quiet():
        plain = _trace(model, network, torch.rand(2, model.channels, *side))
        if _holds(plain, tiles, expected):
            return plain
        one = _trace(model, network, torch.rand(1, model.channels, *side))
        looped: torch.jit.ScriptModule = torch.jit.script(TileByTile(one))
        return looped


def _trace(model: Model, network: nn.Module, example: Tensor) -> torch.jit.ScriptModule:
    try:
        with torch.no_grad():
            found: torch.jit.ScriptModule = torch.jit.trace(  # type: ignore[no-untyped-call]
                network, example, check_trace=False
            )
    except Exception as error:
        raise ConfigError(
            f"{model.card.name}: cannot be traced, {_reason(error)}",
            "A trace cannot represent its network or predictor. Use --format safetensors.",
        ) from error
    return found


def _reason(error: Exception) -> str:
    """An exporter's error without the graph that it quotes."""
    first = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {first.partition('[Caused by')[0].strip()[:200]}"


def _holds(network: torch.jit.ScriptModule, tiles: Sequence[Tensor], expected: Sequence[Tensor]) -> bool:
    """Whether a trace gives the right output for every number of tiles."""
    try:
        return _difference(_no_gradient(network), tiles, expected) <= TOLERANCE["torchscript"]
    except RuntimeError:
        return False


def _no_gradient(network: nn.Module) -> Callable[[Tensor], Tensor]:
    def run(batch: Tensor) -> Tensor:
        with torch.no_grad():
            found: Tensor = network(batch)
        return found

    return run


@contextmanager
def _quiet() -> Iterator[None]:
    """A trace warns of every Python value that it fixes and prints its graph where it fails; its output is compared."""
    with warnings.catch_warnings(), redirect_stdout(StringIO()):
        warnings.simplefilter("ignore")
        yield


# ----------------------------------------------------------------------------------------------------------- formats
def _write_torchscript(network: torch.jit.ScriptModule, path: Path, model: Model, example: Tensor) -> None:
    del example
    with _quiet():
        torch.jit.save(network, str(path), _extra_files={CARD: model.card.model_dump_json()})


def _run_torchscript(path: Path) -> Callable[[Tensor], Tensor]:
    with _quiet():
        return _no_gradient(torch.jit.load(str(path)))  # type: ignore[no-untyped-call]


def _write_onnx(network: torch.jit.ScriptModule, path: Path, model: Model, example: Tensor) -> None:
    onnx, _ = _onnx_libraries()
    try:
        with _quiet():
            torch.onnx.export(
                network,
                (example,),
                str(path),
                dynamo=False,
                input_names=["images"],
                output_names=["probability"],
                dynamic_axes={"images": {0: "tiles"}, "probability": {0: "tiles"}},
                opset_version=_OPSET,
            )
    except Exception as error:
        raise ConfigError(
            f"{model.card.name}: cannot be written as ONNX, {_reason(error)}",
            "Use --format torchscript or --format safetensors.",
        ) from error
    graph = onnx.load(str(path))
    onnx.helper.set_model_props(graph, {CARD: json.dumps(model.card.model_dump(mode="json"))})
    onnx.checker.check_model(graph)
    onnx.save(graph, str(path))


def _run_onnx(path: Path) -> Callable[[Tensor], Tensor]:
    _, runtime = _onnx_libraries()
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # it warns of optimisations that a loop does not allow
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda batch: torch.from_numpy(session.run(None, {"images": batch.numpy()})[0])


def _onnx_libraries() -> tuple[Any, Any]:
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise ConfigError(
            f"--format onnx needs the package {error.name}, which is not installed.", "pip install 'dabench[export]'"
        ) from None
    return onnx, onnxruntime


_FORMS: dict[str, tuple[Callable[..., None], Callable[[Path], Callable[[Tensor], Tensor]]]] = {
    "torchscript": (_write_torchscript, _run_torchscript),
    "onnx": (_write_onnx, _run_onnx),
}
