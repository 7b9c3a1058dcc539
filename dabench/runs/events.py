"""What a run says about itself: identifying tags, inputs, annotation cost and the receipt."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any

from dabench import __version__
from dabench.components.registry import Registry
from dabench.evaluation.scoring import write_rows
from dabench.files.atomic import write_json
from dabench.files.digests import digest_file, digest_of
from dabench.files.private import without_paths
from dabench.interfaces import Candidate, StageSpec
from dabench.runs.config import FORMER, RunConfig, origin_of
from dabench.runs.device import resolved_precision
from dabench.runs.keys import scoring_source, stage_source
from dabench.runs.label_use import bracket_of
from dabench.runs.pixels import model_pixel
from dabench.runs.plan import Plan, PlannedStage
from dabench.runs.plugins_used import plugins_used
from dabench.runs.preference_data import set_origin
from dabench.runs.score import Score
from dabench.runs.source_model import uses_source
from dabench.runs.weights import seen_of
from dabench.tracking import environment as env
from dabench.tracking.events import CellStarted, Cost, InputData, ModelMade, Scored, StageFinished
from dabench.tracking.journal import JOURNAL
from dabench.tracking.scores import SCORES, csv_name, slice_rows, split_rows, write_scores
from dabench.training.store import StageRecord

#: Files of a run directory that change after the receipt is written.
_OPEN = ("receipt.json", JOURNAL)


#: What an entry of the desk's ledger says of a person's preferences.
_SAID = ("asked", "answered", "used", "ties", "bad")
#: Longest tag; the settings in full are among the parameters.
_TAG = 500


def started(plan: Plan, registry: Registry, environment: dict[str, Any], device: str, suite: str = "") -> CellStarted:
    """The journal's first event: every identifying tag, all settings, and what the run reads."""
    config = plan.config
    inputs, asks = inputs_of(plan), _asked(plan)
    tags = {
        "cell_id": config.cell_id,
        "suite": suite or "adhoc",
        "task": config.task,
        "source": plan.task.source,
        "target": plan.task.target,
        "data": origin_of(config.data, config.task),
        "method": config.method,
        **_variant(plan, registry),
        **({"label": config.label} if config.label else {}),
        "bracket": _bracket(plan, registry),
        "network": _component(plan, "network"),
        "backbone": _component(plan, "backbone"),
        "preset": config.preset,
        "options": _options(config),
        "weak_labels": ",".join(sorted(asks)) or "none",
        "points": plan.budget.points if "points" in asks else 0.0,
        **({"points_held_out": plan.desk.held_out} if plan.desk and plan.desk.held_out and "points" in asks else {}),
        "patches": plan.budget.patches if "preferences" in asks else 0.0,
        **{f"budget/{kind}": share for kind, share in plan.budget.others.items() if kind in asks},
        "rater": _rater(plan),
        **({"preference_set": origin} if (origin := set_origin(plan)) else {}),
        **({} if config.test_points_file is None else {"test_prompts": "recorded"}),
        "seed": config.seed,
        "protocol": config.protocol,
        "inference": config.inference,
        "selector": plan.choice.name,
        "snapshots": config.snapshots,
        "thresholds": ",".join(f"{t:g}" for t in plan.choice.thresholds),
        "intensity": config.intensity,
        "pixel_size": plan.task.pixel_size,
        **({"pixel_notes": shorten("; ".join(plan.notes), _TAG, placeholder=" ...")} if plan.notes else {}),
        "source_labels": config.source_labels,
        "source_checkpoint": config.source_checkpoint or "none",
        "source_free": str(bool(config.source_checkpoint and plan.stages) and not reads_source(plan)).lower(),
        "status": "running",
        "scoring_digest": scoring_source(registry, plan.task, config.protocol)[:16],
        "config_hash": config.cell_id.rsplit("-", 1)[-1],
        "data_digest": "+".join(i.digest[:8] for i in inputs) or "none",
        "weights_digest": "+".join(digest or f"hub:{name}" for name, digest in sorted(plan.weights.items())) or "none",
        **({"weights_saw": saw} if (saw := _weights_saw(plan)) else {}),
        "git_commit": environment.get("git", {}).get("commit", "unknown"),
        "plugin_versions": _plugin_versions(registry),
        "env_digest": env.digest(environment),
        "device": device,
        "trained_in": resolved_precision(config),
        "dabench_version": __version__,
    }
    names = tuple(s.spec.name for s in plan.stages)
    used = plugins_used(plan, registry)
    return CellStarted(config.cell_id, tags, config.on_record(), inputs, names, used)


def _bracket(plan: Plan, registry: Registry) -> str:
    declared = registry.get("method", plan.config.method).component.bracket
    return bracket_of(plan.task, [stage.spec for stage in plan.stages], declared)


def _weights_saw(plan: Plan) -> str:
    """What pretrained weights know of the target, or that it is unknown; no weights know a phantom."""
    if origin_of(plan.config.data, plan.config.task) == "phantom":
        return ""
    uses = {pair for s in plan.stages for pair in (("method", s.spec.method), *s.spec.components)}
    return seen_of(plan.assembly, uses, plan.task.target)


def _variant(plan: Plan, registry: Registry) -> dict[str, str]:
    """Settings that tell variants apart, of every method, so that any run can be searched by them."""
    settings = plan.assembly.config("method", plan.config.method)
    names = sorted({name for item in registry.of_kind("method") for name in item.component.tags})
    found = {name: str(getattr(settings, name, None) or "none") for name in names}
    own = [found[name] for name in registry.get("method", plan.config.method).component.tags]
    return {**found, "variant": " ".join(value for value in own if value != "none") or "none"}


def _component(plan: Plan, kind: str) -> str:
    """The network or backbone of the last stage that names one; none where it is part of another."""
    names = [n for s in plan.stages for k, n in s.spec.components if k == kind]
    return names[-1] if names else "none"


def _options(config: RunConfig) -> str:
    """What was set beside the preset, so that a row shows it: ``damt-net.morphology=true``.

    Settings that have a tag of their own are left out.
    """
    plain = {name: value for name, value in config.settings.items() if name not in FORMER}
    values = without_paths({**config.options, config.method: {**plain, **config.options.get(config.method, {})}})
    found = [f"{name}.{key}={json.dumps(value)}" for name, given in values.items() for key, value in given.items()]
    return shorten(" ".join(sorted(found)), _TAG, placeholder=" ...") or "none"


def _asked(plan: Plan) -> set[str]:
    """Weak labels that a person is asked for: those of the stages, where the budget is not 0."""
    return {kind for s in plan.stages for kind in s.spec.asks if plan.budget.share(kind) > 0}


def _rater(plan: Plan) -> str:
    """Who answered: simulated raters are called simulated; by kind where they differ; none where nothing was asked."""
    asked = sorted(_asked(plan))
    if not asked or plan.desk is None:
        return "none"
    raters = [plan.desk.rater(kind).label for kind in asked]
    if len(set(raters)) == 1:
        return raters[0]
    return ", ".join(f"{kind} {rater}" for kind, rater in zip(asked, raters, strict=True))


def _plugin_versions(registry: Registry) -> str:
    shown = {p.distribution: p.version for p in registry.plugins.values() if not p.error}
    return " ".join(f"{name}=={version}" for name, version in sorted(shown.items()))


def reads_source(plan: Plan) -> bool:
    """Whether any stage sees the source's images; without, the row is marked source-free."""
    return any(uses_source(s.spec) for s in plan.stages)


def inputs_of(plan: Plan) -> tuple[InputData, ...]:
    """The splits that a run reads, with their digests; () where files are missing or nothing runs."""
    if plan.missing or not plan.stages:
        return ()
    task, found = plan.task, []
    if reads_source(plan):
        found.append((task.source_train, "source training"))
    found.append((task.target_train, "target training"))
    if task.has_test_labels():
        found.append((task.target_test, "target test"))
    if len(plan.candidates) > 1 and "source" in plan.choice.selector.looks_at and task.source_validation is not None:
        found.append((task.source_validation, "source validation"))
    return tuple(
        InputData(f"{s.domain}/{s.name}", digest_of([s.digest, s.label_digest]), context, plan.config.data)
        for s, context in found
    )


def finished(planned: PlannedStage, record: StageRecord) -> StageFinished:
    """A stage is trained, now or before."""
    cached = planned.state == "cached"
    made = (record.updates, record.seconds, record.peak_memory_bytes, tuple(record.opened))
    return StageFinished(planned.spec.name, planned.key, cached, *made)


def scored(planned: PlannedStage, score: Score) -> Scored:
    """What a stage's predictions of the target's test split are worth."""
    return Scored(
        planned.spec.name,
        "test",
        score.protocol,
        score.inference,
        score.test_points,
        score.metrics,
        score.n,
        score.left_out,
        score.seconds,
    )


def write_table(run_dir: Path, cell_id: str, scores: Sequence[tuple[PlannedStage, Score]]) -> None:
    """Write the table of scores (`dabench.tracking.scores`), and the rows of its slices as CSV for people."""
    rows = []
    for planned, score in scores:
        event = scored(planned, score)
        rows += [*split_rows(cell_id, event), *slice_rows(cell_id, event, score.rows)]
        write_rows(run_dir / csv_name(event), score.rows)
    write_scores(run_dir / SCORES, rows)


def cost(plan: Plan) -> Cost:
    """What the desk handed out over all stages, reused ones too; the same answers asked twice cost once."""
    records = [s.folder.record() for s in plan.stages]
    entries = {e["digest"]: e for r in records if r is not None for e in r.ledger}.values()
    counts: Counter[str] = Counter()
    for entry in entries:
        counts[entry["kind"]] += entry["count"]
    points, patches = counts.pop("points", 0), counts.pop("preferences", 0)
    said = {name: sum(e.get(name, 0) for e in entries) for name in _SAID if any(name in e for e in entries)}
    return Cost(sum(e["seconds"] for e in entries), points, patches, dict(counts), said)


def model(plan: Plan, registry: Registry, chosen: Candidate) -> ModelMade:
    """What the model that predicts is rebuilt from."""
    last, info = plan.stages[-1].spec, plan.task.info()
    return ModelMade(
        last.name,
        chosen.update,
        chosen.threshold,
        last.crops.size,
        plan.task.target_train.voxel,
        plan.budget.points,
        plan.budget.patches,
        info.neighbours,
        info.has_source,
        {f"{kind}:{name}": registry.source_digest(kind, name) for kind, name in parts([s.spec for s in plan.stages])},
        plan.budget.others,
        model_pixel(plan.task, [s.spec for s in plan.stages]),
    )


def parts(specs: Sequence[StageSpec]) -> list[tuple[str, str]]:
    """(kind, name) of every method and component that a chain of stages is made of, each once, first to last."""
    return list(dict.fromkeys(pair for spec in specs for pair in (("method", spec.method), *spec.components)))


def write_receipt(run_dir: Path, plan: Plan) -> None:
    """Digests of everything that went in and came out; the journal's as it is now, before it says that the run ended.

    Version 1 had neither the journal nor the version.
    """
    journal = (run_dir / JOURNAL).read_bytes()
    inside = [p.relative_to(run_dir) for p in sorted(run_dir.rglob("*")) if p.is_file()]
    files = [p for p in inside if p.name not in _OPEN and not p.name.startswith(".") and p.parts[0] != "stages"]
    receipt = {
        "version": 2,
        "dabench_version": __version__,
        "cell_id": plan.config.cell_id,
        "inputs": [vars(i) for i in inputs_of(plan)],
        "pretrained": plan.weights,
        "stages": {s.spec.name: _trained(plan, s) for s in plan.stages},
        "snapshots": {str(u): digest_file(s.folder.snapshot(u)) for s in plan.stages for u in s.snapshots},
        "outputs": {p.as_posix(): digest_file(run_dir / p) for p in files},
        "journal": {"bytes": len(journal), "sha256": hashlib.sha256(journal).hexdigest()},
    }
    write_json(run_dir / "receipt.json", receipt)


def _trained(plan: Plan, planned: PlannedStage) -> dict[str, str]:
    """A stage's key, its final weights and the code that trains it."""
    source = stage_source(plan.assembly.registry, plan.task, planned.spec)
    return {"key": planned.key, "weights": digest_file(planned.folder.weights), "source": source}
