"""A model that gives the same bits for a tile whatever batch it is in, and a small scan to predict."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import tifffile
import torch

from dabench.components.registry import Registry
from dabench.interfaces import Predictor
from dabench.interfaces.observer import Observer
from dabench.types import Prediction
from dabench.volumes.prediction.plan import make_prediction_plan
from dabench.volumes.prediction.precision import measured
from dabench.volumes.prediction.processes import predict_here
from dabench.volumes.prediction.request import Request
from dabench.volumes.prediction.volume import predict_volume

TILE = 16


class Deterministic(Predictor):
    """Sums and products of single pixels: where a pixel lies in its tile, what is beside it, and points all matter."""

    def __init__(self, neighbour: float = 0.0) -> None:
        self.neighbour = neighbour

    def predict(self, images, points=None, *, density=False):
        side = images.shape[-1]
        place = torch.arange(side * side, dtype=torch.float32).reshape(side, side) / (side * side)
        value = images[:, 0] * 0.5 + torch.roll(images[:, -1], 1, -1) * (0.1 + 0.3 * place)
        if points is not None:
            for tile, own in zip(value, points, strict=True):
                for x, y in own.round().int().tolist():
                    tile[y, x] += 0.25
        value = value.clamp(0, 1)
        return Prediction(value, value / 2 if density else None)


class Broken(Deterministic):
    def predict(self, images, points=None, *, density=False):
        found = super().predict(images, points)
        found.probability[0, 0, 0] = float("nan")
        return found


class Finishing(Deterministic):
    def finish(self, mask):
        return mask & np.roll(mask, 1, 0)


@dataclass(frozen=True)
class FakeSource:
    """What a worker loads in place of a run."""

    predictor: Predictor = field(default_factory=Deterministic)

    def load(self, registry):
        return self.predictor


def fake_model(predictor: Predictor | None = None, **card: Any) -> Any:
    """What `load_model` gives, as far as a prediction looks at it."""
    known = {
        "name": "fake",
        "digest": "0" * 64,
        "cell_id": "fake-human2stem-s0",
        "digests": SimpleNamespace(config="1" * 64),
        "tile": TILE,
        "intensity": "range",
        "threshold": 0.5,
        "inference": "fast",
        "voxel": (30.0, 8.0, 8.0),
        "parts": (),
    }
    known |= card
    known.setdefault("pixel_size", known["voxel"] and known["voxel"][1:])
    found = predictor or Deterministic()
    return SimpleNamespace(
        card=SimpleNamespace(**known), predictor=found, device=torch.device("cpu"), takes_points=True
    )


def scan(path: Path, shape: tuple[int, int, int] = (5, 40, 56), seed: int = 0) -> Path:
    """A TIFF of smooth noise, so that there are objects."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((shape[0], -(-shape[1] // 4), -(-shape[2] // 4)))
    image = np.kron(coarse, np.ones((1, 4, 4)))[:, : shape[1], : shape[2]]
    tifffile.imwrite(path, (image * 255).astype(np.uint8))
    return path


class Told(Observer):
    """Hands what is told to a function."""

    def __init__(self, function: Any) -> None:
        self.function = function

    def advanced(self, work: str, done: int, total: int, values: Any = None) -> None:
        if self.function is not None:
            self.function(work, done, total)


def run(registry: Registry, request: Request, model: Any = None, predicts: Any = None, notify: Any = None) -> Any:
    """Plan and predict."""
    model = model or fake_model()
    plan = measured(make_prediction_plan(request, model, registry), registry)
    source = FakeSource(model.predictor)
    predicts = predicts or partial(predict_here, predictor=model.predictor)
    return predict_volume(plan, plan.assignment(source), predicts, Told(notify))


def request_of(folder: Path, **changes: Any) -> Request:
    """`scan.tif` to `out.zarr` in a folder."""
    return replace(Request("fake", folder / "scan.tif", folder / "out.zarr", min_size="1px"), **changes)


def arrays(path: Path) -> dict[str, np.ndarray]:
    """Every array of an OME-Zarr."""
    import zarr

    root = zarr.open_group(path, mode="r")
    names = ["", *(f"labels/{name}/" for name in root["labels"])]
    return {f"{n}{level}": root[f"{n}{level}"][:] for n in names for level in range(len(_datasets(root, n)))}


def _datasets(root: Any, name: str) -> list[Any]:
    group = root[name] if name else root
    return group.attrs["ome"]["multiscales"][0]["datasets"]
