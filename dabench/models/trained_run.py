"""A finished run as a model: where its weights lie, and its card from what the run says of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dabench.components.registry import Registry
from dabench.errors import DabenchError, WeightsError
from dabench.files.digests import digest_file, digest_of
from dabench.files.workspace import Workspace
from dabench.interfaces import Budget, StageSpec, TaskInfo
from dabench.models.card import BudgetCard, Digests, ModelCard, PartCard, ScoreCard, TaskCard
from dabench.models.rebuild import BareAssembly, stage_specs, up_to
from dabench.runs.annotation import budget_of
from dabench.runs.config import RunConfig, validate_config
from dabench.runs.domains import all_domains
from dabench.runs.events import parts
from dabench.tracking.record import RunRecord
from dabench.tracking.run_reader import read_run
from dabench.training.store import StageFolder


@dataclass(frozen=True)
class TrainedRun:
    """What a run says of its model: settings, what the method was told, which candidate predicts, and its stages."""

    record: RunRecord
    config: RunConfig
    info: TaskInfo
    budget: Budget
    specs: tuple[StageSpec, ...]
    update: int
    threshold: float
    voxel: tuple[float, float, float] | None
    sources: Mapping[str, str]
    notes: tuple[str, ...]
    pixel: tuple[float, float] | None = None

    @property
    def spec(self) -> StageSpec:
        """The stage that predicts."""
        return self.specs[-1]


def open_run(path: Path, registry: Registry, workspace: Workspace) -> TrainedRun:
    """Read a run that ended well; opens no data.

    Raises:
        WeightsError: the run did not end well.
        DataError: it is no run, or its journal is damaged.
    """
    record = read_run(path)
    if record.status != "ok":
        raise WeightsError(
            f"run {record.key}: its status is {record.status}{f' ({record.reason})' if record.reason else ''}; "
            "only a successful run is a model.",
            f"Finish it:  dabench run --config {path / 'config.json'}",
        )
    config = validate_config(record.params)
    assembly = BareAssembly(registry, config)
    known = record.model
    if known is None:
        return _derived(record, config, assembly, workspace)
    info = TaskInfo(config.task, record.tags["source"], record.tags["target"], known.neighbours, known.has_source)
    budget = Budget(known.points, known.patches, known.shares)
    specs = tuple(up_to(known.stage, stage_specs(assembly, info, budget)))
    voxel, pixel = _three(known.voxel), None if known.pixel is None else (known.pixel[0], known.pixel[1])
    return TrainedRun(
        record, config, info, budget, specs, known.update, known.threshold, voxel, known.sources, (), pixel
    )


def _derived(record: RunRecord, config: RunConfig, assembly: BareAssembly, workspace: Workspace) -> TrainedRun:
    """A run of before models were recorded: what follows from its settings, and notes on what does not."""
    source, target = record.tags["source"], record.tags["target"]
    info = TaskInfo(config.task, source, target, True, record.tags.get("source_free", "false") != "true")
    budget = budget_of(config, assembly)
    specs = tuple(stage_specs(assembly, info, budget))
    chosen, voxel = record.selected, _voxel_on_card(config, target, assembly, workspace)
    notes = [
        "The run is older than the record of its model: whether slices lay next to each other was taken as yes, and "
        "the source of its plugins is not known."
    ]
    if voxel is None:
        notes.append("The voxel size of the training data is not known.")
    return TrainedRun(
        record,
        config,
        info,
        budget,
        specs,
        chosen.update if chosen else record.stages[-1].updates,
        chosen.threshold if chosen else config.thresholds[0],
        voxel,
        {},
        tuple(notes),
    )


def _voxel_on_card(
    config: RunConfig, target: str, assembly: BareAssembly, workspace: Workspace
) -> tuple[float, float, float] | None:
    """The voxel size that the target's card says, where the domain is known here and has one."""
    name = target if config.data == "real" else f"{config.data}-{target}"
    try:
        domain = all_domains(assembly, workspace)[name]()
    except (DabenchError, KeyError):
        return None
    return _three(getattr(getattr(domain, "card", None), "voxel", None))


def _three(voxel: Any) -> tuple[float, float, float] | None:
    if voxel is None:
        return None
    z, y, x = voxel
    return float(z), float(y), float(x)


# ---------------------------------------------------------------------------------------------------------- weights
def find_weights(run: TrainedRun, workspace: Workspace) -> Path:
    """The file that the predicting stage's weights lie in, with its digest checked against the run's receipt.

    Raises:
        WeightsError: it is not here, or was changed.
    """
    record = run.record
    stage = next((s for s in record.stages if s.stage == run.spec.name), record.stages[-1])
    # A run without cache keeps its stages; one whose folder lies elsewhere has its workspace around it.
    roots = [record.path / "stages", workspace.stages, record.path.parent.parent / "stages"]
    folders = [folder for root in dict.fromkeys(roots) if (folder := StageFolder(root, stage.key)).record() is not None]
    if not folders:
        raise WeightsError(
            f"run {record.key}: the weights of stage {stage.stage!r} are not on this machine "
            f"({workspace.stages / stage.key}).",
            f"Train them again:  dabench run --config {record.path / 'config.json'};  or use the model file, where "
            "one was exported.",
        )
    last = run.update == stage.updates
    path = folders[0].weights if last else folders[0].snapshot(run.update)
    expected = _on_receipt(record.path, stage.stage, None if last else run.update)
    if not path.is_file() or (expected and digest_file(path) != expected):
        raise WeightsError(
            f"run {record.key}: {path} {'was changed since the run ended' if path.is_file() else 'is missing'}.",
            f"Train it again:  dabench run --no-cache --config {record.path / 'config.json'}",
        )
    return path


def _on_receipt(path: Path, stage: str, update: int | None) -> str:
    """The digest that the receipt has of a stage's weights; "" where it has none."""
    file = path / "receipt.json"
    if not file.is_file():
        return ""
    receipt = json.loads(file.read_text(encoding="utf-8"))
    if update is not None:
        return str(receipt.get("snapshots", {}).get(str(update), ""))
    return str(receipt.get("stages", {}).get(stage, {}).get("weights", ""))


# ------------------------------------------------------------------------------------------------------------- card
def card_of(
    run: TrainedRun, registry: Registry, neighbour: float, modules: tuple[str, ...], weights_digest: str
) -> ModelCard:
    """The card of a run's model.

    Args:
        run: a finished run.
        registry: with its plugins.
        neighbour: of its predictor.
        modules: whose weights are kept.
        weights_digest: of their tensors.
    """
    record, config, info = run.record, _without_paths(run.config), run.info
    return ModelCard(
        name=record.cell_id,
        cell_id=record.cell_id,
        created=record.ended,
        config=config,
        task=TaskCard(**vars(info)),
        budget=BudgetCard(**vars(run.budget)),
        stage=run.spec.name,
        update=run.update,
        tile=run.spec.crops.size,
        inference=config.inference,
        intensity=config.intensity,
        threshold=run.threshold,
        neighbour=neighbour,
        voxel=run.voxel,
        pixel=run.pixel,
        seed=config.seed,
        rater=record.tags.get("rater", "none"),
        modules=modules,
        parts=tuple(_part(registry, kind, name, run.sources) for kind, name in parts(run.specs)),
        scores=_scores(record, run.spec.name),
        digests=Digests(weights=weights_digest, config=digest_of(config.model_dump(mode="json"))),
        dabench_version=record.tags.get("dabench_version", ""),
        torch_version=_torch_of(record.path),
        notes=run.notes,
    )


def _without_paths(config: RunConfig) -> RunConfig:
    """A card may travel: of files of answers it keeps the name, not the folder."""
    budget = config.budget
    files: dict[str, Any] = {
        key: Path(p.name) for key in ("points_file", "preferences_file") if (p := getattr(budget, key)) is not None
    }
    files["files"] = {kind: Path(path.name) for kind, path in budget.files.items()}
    prompts = config.test_points_file and Path(config.test_points_file.name)
    return config.model_copy(update={"budget": budget.model_copy(update=files), "test_points_file": prompts})


def _part(registry: Registry, kind: str, name: str, sources: Mapping[str, str]) -> PartCard:
    item = registry.get(kind, name)
    return PartCard(
        kind=kind,
        name=name,
        distribution=item.distribution,
        version=registry.plugins[item.plugin].version,
        source=sources.get(f"{kind}:{name}", ""),
        licence=item.component.licence,
    )


def _scores(record: RunRecord, stage: str) -> tuple[ScoreCard, ...]:
    """Scores of the predicting stage on the target's test split; those of other splits are not shown."""
    return tuple(
        ScoreCard(
            protocol=s.protocol, inference=s.inference, test_points=s.test_points, slices=s.n, metrics=dict(s.metrics)
        )
        for s in record.scores
        if s.stage == stage and s.split == "test"
    )


def _torch_of(path: Path) -> str:
    """The PyTorch that the run's environment names; "" where it does not."""
    try:
        return str(json.loads((path / "environment.json").read_text(encoding="utf-8"))["torch"]["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
