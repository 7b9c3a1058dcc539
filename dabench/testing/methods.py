"""Checks of methods: cheap to plan, trainable, repeatable bit for bit, resumable, and never NaN."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import torch
from pydantic import BaseModel
from torch import Tensor

from dabench.components.registry import Registered
from dabench.interfaces import Predictor, Stage, StageSpec
from dabench.testing.fixtures import Fixtures, noise
from dabench.testing.outcomes import Check, expect, expect_same, expect_tensor
from dabench.testing.trial_run import TASK, UPDATES, Trained, TrialRun, WatchedAssembly, budget_of, snapshot
from dabench.training.checkpoint import load_weights, save_weights

_SIZE = 64


def cheap_plan(fixtures: Fixtures, item: Registered) -> None:
    """``skip`` gives a reason or None, ``stages`` the same list every time, and neither builds a network."""
    assembly = WatchedAssembly(fixtures.registry, fixtures.config, fixtures.assembly.weights)
    method, budget = assembly.method(item.name), budget_of(assembly, item.name, 0.15)
    reason = method.skip(TASK, budget)
    expect(reason is None or (isinstance(reason, str) and reason), f"skip gave {reason!r}, expected None or a reason")
    first, second = method.stages(TASK, budget), method.stages(TASK, budget)
    expect(assembly.built == 0, f"stages() built {assembly.built} networks or backbones: build them in StageSpec.build")
    expect(first, "stages() gave no stage")
    names = [spec.name for spec in first]
    expect(len(set(names)) == len(names), f"stage names are not unique: {names}")
    same = [(s.name, s.config, s.crops) for s in first] == [(s.name, s.config, s.crops) for s in second]
    expect(same, "stages() gave another plan when it was called again")


def complete_specs(fixtures: Fixtures, item: Registered) -> None:
    """Each stage names its method, settings, components and weak labels, so that a finished one can be found again."""
    for spec in TrialRun(fixtures, item.name, 0.15).specs:
        _complete(fixtures, spec)


def _complete(fixtures: Fixtures, spec: StageSpec) -> None:
    where = f"stage {spec.name!r}"
    known = {(i.kind, i.name) for i in fixtures.registry}
    for pair in (("method", spec.method), *spec.components):
        expect(tuple(pair) in known, f"{where} uses {pair}, which is not registered")
    frozen = isinstance(spec.config, BaseModel) and spec.config.model_config.get("frozen")
    expect(frozen, f"{where}: config is {spec.config!r}, expected frozen settings")
    json.dumps(spec.config.model_dump(mode="json"))
    expect(spec.iterations >= 0, f"{where}: {spec.iterations} iterations")
    expect(spec.crops.size >= 1, f"{where}: crops of {spec.crops.size} pixels")
    expect(spec.crops.labelled in ("source", "target"), f"{where}: crops.labelled is {spec.crops.labelled!r}")
    unknown = set(spec.asks) - set(fixtures.registry.names("weak_label"))
    expect(not unknown, f"{where} asks for {sorted(unknown)}, which is no weak label")


def _trained(fixtures: Fixtures, item: Registered, points: float = 0.5) -> list[Trained]:
    return TrialRun(fixtures, item.name, points).chain()


def trains(fixtures: Fixtures, item: Registered) -> None:
    """Two updates of every stage: named finite losses with ``loss`` among them, and something learnt."""
    trial = TrialRun(fixtures, item.name, 0.5)
    expect(not trial.skip, f"skip refuses a plain task with points and preferences: {trial.skip!r}")
    parent: Stage | None = None
    for done in trial.chain():
        _check_losses(done)
        fresh = snapshot(trial.build(done.spec, parent))
        changed = any(not torch.equal(fresh[k], v) for k, v in done.weights.items() if k in fresh)
        expect(
            changed or not done.spec.iterations,
            f"stage {done.spec.name!r}: {UPDATES} updates changed no weight and no statistic",
        )
        parent = done.stage


def _check_losses(done: Trained) -> None:
    where = f"stage {done.spec.name!r}"
    wanted = min(UPDATES, done.spec.iterations)
    expect(len(done.updates) == wanted, f"{where}: {len(done.updates)} updates reported, expected {wanted}")
    for update in done.updates:
        named = {name.split("/")[-1] for name in update.losses}
        expect("loss" in named, f"{where}: step() gave {sorted(named)}, 'loss' is not among them")
        broken = {name: value for name, value in update.losses.items() if not math.isfinite(value)}
        expect(not broken, f"{where}, update {update.step}: {broken}")


def without_points(fixtures: Fixtures, item: Registered) -> None:
    """With a point budget of 0 no crop has a point: still finite losses."""
    for done in _trained(fixtures, item, points=0.0):
        _check_losses(done)


def leaves_parent_alone(fixtures: Fixtures, item: Registered) -> None:
    """A stage starts from a copy: its parent is what it was before."""
    trial = TrialRun(fixtures, item.name, 0.5)
    for before, after in _pairs(trial.chain()):
        where = f"stage {after.spec.name!r} changed its parent {before.spec.name!r}"
        expect_same(where, before.weights, snapshot(before.stage))


def _pairs(chain: list[Trained]) -> list[tuple[Trained, Trained]]:
    return list(pairwise(chain))


def repeatable(fixtures: Fixtures, item: Registered) -> None:
    """The same seed gives the same weights, bit for bit."""
    _train_again(fixtures, item, "again", "a second run with the same seed gave other weights")


def resumable(fixtures: Fixtures, item: Registered) -> None:
    """Killed after one of two updates and continued, it ends with the same weights as uninterrupted, bit for bit."""
    _train_again(fixtures, item, "resumed", "killed and continued it ended with other weights")


def _train_again(fixtures: Fixtures, item: Registered, how: str, problem: str) -> None:
    trial = TrialRun(fixtures, item.name, 0.5)
    parent: Stage | None = None
    for done in trial.chain():
        key = f"{how} {id(done.stage)}"
        if key not in fixtures.memory:
            repeat = trial.straight if how == "again" else trial.interrupted
            fixtures.memory[key] = repeat(done.spec, parent).weights
        expect_same(f"stage {done.spec.name!r}: {problem}", done.weights, fixtures.memory[key])
        parent = done.stage


# ----------------------------------------------------------------------------------------------------------- predictor
def _predict(predictor: Predictor, points: list[Tensor] | None, *, density: bool = False) -> Tensor:
    with torch.inference_mode():
        prediction = predictor.predict(
            noise((2, 2 if predictor.neighbour else 1, _SIZE, _SIZE)), points, density=density
        )
    if prediction.density is not None:
        expect_tensor("density", prediction.density, (2, _SIZE, _SIZE))
    _check_instances(predictor, prediction.instances)
    return prediction.probability


def _check_instances(predictor: Predictor, ids: Tensor | None) -> None:
    said, given = predictor.gives_instances, "no instances" if ids is None else "instances"
    expect((ids is not None) == said, f"gives_instances is {said}, predict() gave {given}")
    if ids is not None:
        expect(ids.shape == (2, _SIZE, _SIZE), f"instances have shape {tuple(ids.shape)}, not {(2, _SIZE, _SIZE)}")
        whole = not (ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool)
        expect(whole and int(ids.min()) >= 0, f"instances are {ids.dtype} from {ids.min()}: ids are whole numbers >= 0")


def predicts(fixtures: Fixtures, item: Registered) -> None:
    """Every stage's predictor gives a probability of tiles (and objects where it says so), the same each time."""
    asked = (None, [torch.zeros(0, 2)] * 2, [torch.tensor([[5.0, 6.0]]), torch.zeros(0, 2)])
    for done in _trained(fixtures, item):
        where = f"stage {done.spec.name!r}: probability"
        predictor = done.stage.predictor()
        for points in asked:
            expect_tensor(where, _predict(predictor, points, density=True), (2, _SIZE, _SIZE), 0.0, 1.0)
        same = torch.equal(_predict(predictor, None), _predict(predictor, None))
        expect(same, f"{where} differs between two calls: put the network into evaluation mode")


def survives_storage(fixtures: Fixtures, item: Registered) -> None:
    """Final weights that are written and loaded into a freshly built stage predict the same."""
    trial = TrialRun(fixtures, item.name, 0.5)
    parent: Stage | None = None
    for done in trial.chain():
        path = fixtures.new_folder(done.spec.name) / "model.safetensors"
        save_weights(path, done.stage)
        fresh = trial.build(done.spec, parent)
        load_weights(path, fresh)
        same = torch.equal(_predict(fresh.predictor(), None), _predict(done.stage.predictor(), None))
        expect(
            same, f"stage {done.spec.name!r} predicts otherwise after saving and loading: modules() leaves weights out"
        )
        parent = done.stage


CHECKS = (
    Check("cheap plan", cheap_plan),
    Check("complete specs", complete_specs),
    Check("trains", trains),
    Check("without points", without_points),
    Check("repeatable", repeatable),
    Check("resumable", resumable),
    Check("leaves its parent alone", leaves_parent_alone),
    Check("predicts", predicts),
    Check("survives storage", survives_storage),
)
