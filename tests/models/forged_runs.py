"""Finished runs that nobody trained: random weights, and a journal like the runner's. Made in a moment."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from dabench.components.registry import Registry
from dabench.files.atomic import write_json
from dabench.files.digests import digest_file
from dabench.files.workspace import Workspace
from dabench.interfaces import Budget, TaskInfo
from dabench.models.model_file import DIGEST_KEY, KEY, _digest
from dabench.models.rebuild import BareAssembly, rebuild, stage_specs
from dabench.runs import events as account
from dabench.runs.config import RunConfig, validate_config
from dabench.tracking import CellFinished, CellStarted, Journal, ModelMade, Scored, StageFinished
from dabench.training.store import StageFolder, StageRecord


def settings(method: str = "source-only", **changes) -> RunConfig:
    """A small model of real data, which is nowhere on this machine."""
    small = {"source-only": {"crop": 32}, "source-pairs": {"crop": 32, "start": "scratch"}}
    options = {name: dict(values) for name, values in small.items() if name == method}
    for name, values in changes.pop("options", {}).items():
        options.setdefault(name, {}).update(values)
    values = {"method": method, "task": "human2stem", "preset": "tiny", "options": options}
    return validate_config({**values, **changes})


def forge(
    config: RunConfig,
    registry: Registry,
    workspace: Workspace,
    *,
    status: str = "ok",
    described: bool = True,
    update: int = 0,
    threshold: float = 0.5,
) -> Path:
    """Write a run and its last stage's weights; ``described`` runs have the event that says how to rebuild them."""
    info, budget = TaskInfo(config.task, "human", "stem"), Budget(0.15, 0.0)
    specs = stage_specs(BareAssembly(registry, config), info, budget)
    stage, last, key = rebuild(specs, "forged"), specs[-1], f"key-{config.cell_id}"
    folder = StageFolder(workspace.stages, key)
    folder.finish(stage, StageRecord(key, last.name, last.iterations, 1.0, 0))
    path = workspace.runs / config.cell_id
    write_json(path / "config.json", config.model_dump(mode="json"))
    receipt = {"stages": {last.name: {"key": key, "weights": digest_file(folder.weights)}}}
    write_json(path / "receipt.json", receipt)
    tags = {"source": "human", "target": "stem", "method": config.method, "task": config.task, "data": config.data}
    journal = Journal(path)
    journal.append(CellStarted(config.cell_id, {**tags, "rater": "simulated:0"}, config.model_dump(mode="json")))
    journal.append(StageFinished(last.name, key, False, last.iterations, 1.0))
    if described:
        sources = {f"{k}:{n}": registry.source_digest(k, n) for k, n in account.parts(specs)}
        at = update or last.iterations
        journal.append(ModelMade(last.name, at, threshold, last.crops.size, (50, 8, 8), 0.15, 0.0, True, True, sources))
    journal.append(Scored(last.name, "test", config.protocol, "fast", 0.0, {"dice": 0.5}, n=3))
    journal.append(CellFinished(status, "" if status == "ok" else "made up"))
    return path


def rewrite(path: Path, *, tensors=None, plain: bool = False, **changes) -> None:
    """Write a model file again with other tensors, or with other values on its card (its own digest renewed)."""
    with safe_open(path, framework="pt") as file:
        card = json.loads(file.metadata()[KEY]) | changes
        found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    text = json.dumps(card)
    metadata = {} if plain else {KEY: text, DIGEST_KEY: _digest(text)}
    save_file(tensors(found) if tensors else found, path, metadata=metadata)


def tile(channels: int = 1, count: int = 2, side: int = 32) -> torch.Tensor:
    """Noise ``(B, C, S, S)`` in [0, 1]."""
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(7))


def seen(model, images: torch.Tensor, points=None) -> torch.Tensor:
    """The model's probability."""
    with torch.inference_mode():
        return model.predictor.predict(images, points).probability


def journal_without(path: Path, event: str) -> None:
    """Take an event out of a run's journal."""
    file = path / "journal.jsonl"
    kept = [line for line in file.read_text().splitlines() if json.loads(line)["event"] != event]
    file.write_text("\n".join(kept) + "\n")
