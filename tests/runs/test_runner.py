"""Runs of a few updates on phantoms: caching, isolation from target labels, statuses, files, budget."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dabench.components.registry import PluginStatus, Registry
from dabench.data.volumes import ArrayVolume
from dabench.errors import BudgetError, ConfigError, DivergedError, OutOfMemoryError
from dabench.files.digests import digest_file
from dabench.files.workspace import Workspace
from dabench.interfaces.observer import Observer
from dabench.plugin import Component, Domain, MissingDataError, PluginError, Settings, Split, Volume, hookimpl
from dabench.runs.config import validate_config
from dabench.runs.plan import make_plan
from dabench.runs.runner import Runner, run_cell
from dabench.tracking.run_reader import read_run
from dabench.training.stage_data import StageData
from tests.conftest import SMALL, few

#: The target whose training labels are random.
SCRAMBLED = {"task": "human2scrambled", "options": {"phantom-scrambled": SMALL}}


def weights(workspace: Workspace, stage: str) -> list[str]:
    """Digests of the final weights of stages with this name; their keys also name the code of their domains."""
    found = []
    for record in workspace.stages.glob("*/stage.json"):
        if json.loads(record.read_text())["name"] == stage:
            found.append(digest_file(record.parent / "model.safetensors"))
    return sorted(found)


@pytest.mark.slow
def test_common_stages_train_once(registry: Registry, workspace: Workspace) -> None:
    trained: list[str] = []

    class Trained(Observer):
        def begun(self, work: str, total: int, state: str = "new") -> None:
            trained.extend([work] if state != "cached" else [])

    for po in ("slpo", "lpo", "gpo", "upo"):
        run_cell(few(po=po), registry, workspace, observer=Trained())
    assert sorted(trained) == ["gpo", "lpo", "prompt-das", "slpo", "supervised", "upo"]
    plan = make_plan(few(po="slpo"), registry, workspace)
    assert [s.state for s in plan.stages] == ["cached"] * 3


def test_oracle_and_source_only_share_a_supervised_model(registry: Registry, workspace: Workspace) -> None:
    run_cell(few("source-only", task="stem2human"), registry, workspace)
    plan = make_plan(few("oracle", task="human2stem"), registry, workspace)
    assert plan.stages[0].state == "cached"


def test_no_cache_trains_anew(registry: Registry, workspace: Workspace) -> None:
    run_cell(few("source-only"), registry, workspace)
    assert make_plan(few("source-only"), registry, workspace, cache=False).stages[0].state == "new"


def test_a_run_directory_is_whole(registry: Registry, workspace: Workspace) -> None:
    record = run_cell(few(test_points=(0.0, 1.0)), registry, workspace)
    assert record.status == "ok"
    assert {"target_test/dice", "target_test/points_100/dice", "stage/supervised/dice"} <= set(record.metrics)
    assert record.metrics["cost/annotation_seconds"] > 0
    assert record.tags["rater"] == "simulated:0"
    assert record.tags["weak_labels"] == "points,preferences"
    names = {p.relative_to(record.path).parts[0] for p in record.path.rglob("*") if p.is_file()}
    assert names == {
        "config.json", "environment.json", "journal.jsonl", "receipt.json", "scores.parquet",
        "curves", "per_slice", "panels", "predictions", "annotation",
    }  # fmt: skip
    receipt = json.loads((record.path / "receipt.json").read_text())
    assert all(digest_file(record.path / name) == digest for name, digest in receipt["outputs"].items())


class Relabelled(Domain):
    """phantom-stem whose training labels are random: nothing of an unsupervised run may change."""

    def __init__(self, inner: Domain) -> None:
        self.inner = inner

    def splits(self) -> tuple[str, ...]:
        return self.inner.splits()

    def missing(self) -> list[str]:
        return []

    def open(self, split: str, open_volume: Callable[[Path], Volume]) -> Split:
        found = self.inner.open(split, open_volume)
        if split != "train":
            return found
        noise = np.random.default_rng(0).integers(0, 2, found.images.shape, dtype=np.uint8)
        return replace(found, labels=ArrayVolume(noise), label_digest="random")


@pytest.fixture
def scrambled() -> Registry:
    registry = Registry.load()
    stem = registry.get("domain", "phantom-stem").component
    make = Component(
        "phantom-scrambled", lambda config: Relabelled(stem.factory(config)), stem.config, "random", licence="test"
    )
    registry.add(_plugin(domains=make), PluginStatus("scrambled", "tests"))
    return registry


def _plugin(**components: Component) -> SimpleNamespace:
    def hook(component: Component) -> Callable[..., None]:
        @hookimpl
        def register(register: Callable[[Component], None]) -> None:
            register(component)

        return register

    return SimpleNamespace(**{f"register_{kind}": hook(c) for kind, c in components.items()})


@pytest.mark.parametrize("po", [pytest.param("upo", marks=pytest.mark.slow), "none"])
def test_random_target_training_labels_leave_uda_bit_identical(scrambled: Registry, tmp_path: Path, po: str) -> None:
    stage = "upo" if po == "upo" else "prompt-das"
    one, two = Workspace(tmp_path / "one"), Workspace(tmp_path / "two")
    honest = run_cell(few(po=po, budget={"points": 0.0}), scrambled, one)
    blind = run_cell(few(po=po, budget={"points": 0.0}, **SCRAMBLED), scrambled, two)
    assert weights(one, stage) == weights(two, stage)
    same = {k: v for k, v in honest.metrics.items() if k.startswith("target_test/")}
    assert same == {k: v for k, v in blind.metrics.items() if k.startswith("target_test/")}
    assert honest.metrics["cost/annotation_seconds"] == 0


def test_random_target_training_labels_change_a_weakly_supervised_run(scrambled: Registry, tmp_path: Path) -> None:
    one, two = Workspace(tmp_path / "one"), Workspace(tmp_path / "two")
    run_cell(few("prompt-das"), scrambled, one)
    run_cell(few("prompt-das", **SCRAMBLED), scrambled, two)
    assert weights(one, "prompt-das") != weights(two, "prompt-das")


def test_lpo_with_less_than_all_patches_is_refused(registry: Registry, workspace: Workspace) -> None:
    with pytest.raises(ConfigError, match="asks about every patch"):
        make_plan(few(po="lpo", budget={"patches": 0.5}), registry, workspace)


def test_the_desk_refuses_past_the_budget(registry: Registry, workspace: Workspace) -> None:
    plan = make_plan(few(po="slpo", budget={"patches": 0.05}), registry, workspace)

    class Greedy:
        patches_per_side, rater, share = 3, None, 0.0

        def select(self, informative: np.ndarray, budget: float, rng: object) -> np.ndarray:
            return np.flatnonzero(informative)

        def wanted(self, pool: object) -> None:
            return None

    spec = plan.stages[-1].spec

    def build(parent: object) -> object:
        stage = spec.build(parent)  # type: ignore[arg-type]
        stage.optimizer = Greedy()  # type: ignore[attr-defined]
        return stage

    stages = [*plan.stages[:-1], replace(plan.stages[-1], spec=replace(spec, build=build))]
    with pytest.raises(BudgetError, match="budget is 5"):
        Runner(replace(plan, stages=stages), registry, workspace).execute()
    assert read_run(workspace.runs / plan.config.cell_id).status == "failed"


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"method": "source-only", "po": "lpo"}, "no setting 'po'"),
        ({"method": "prompt-das", "options": {"slpo": {"beta": 2}}}, "does not use"),
        ({"method": "source-only", "options": {"source-only": {"iteration": 3}}}, "source-only.iterations"),
        ({"method": "source-only", "options": {"sorce-only": {"lr": 1}}}, "source-only"),
        ({"method": "source-only", "options": {"source-only": {"lr": -1}}}, "source-only.lr = -1"),
        ({"method": "prefer-das", "po": "spo"}, "slpo"),
        ({"method": "source-only", "protocol": "das-3d@1"}, "das-2d@1"),
        ({"method": "source-only", "task": "human2stm"}, "stem"),
        ({"method": "source-only", "task": "human2vnc"}, r"data 'phantom': unknown domain 'vnc'(.|\n)*--data real"),
        ({"method": "source-only", "preset": "tny"}, "tiny"),
        ({"method": "prefer-das", "po": "lpo", "budget": {"patches": 0.0}}, "asks about every patch"),
        ({"method": "prompt-das", "budget": {"rater": "self"}}, "needs? a person"),
        ({"method": "prompt-das", "options": {"mean-teacher": {"peak_kernel": 4}}}, "odd number"),
    ],
)
def test_settings_that_would_do_nothing_or_do_not_exist(
    registry: Registry, workspace: Workspace, changes: dict[str, object], match: str
) -> None:
    with pytest.raises(ConfigError, match=match):
        make_plan(few(small=False, **changes), registry, workspace)  # type: ignore[arg-type]


def test_missing_data_are_named(registry: Registry, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DABENCH_DATA", str(workspace.root / "nothing"))
    with pytest.raises(MissingDataError, match="lucchi") as error:
        run_cell(few("source-only", task="lucchi2vnc", data="real"), registry, workspace)
    assert error.value.exit_code == 3


class Broken(Settings):
    """Settings of a method that fails."""


def failing(error: BaseException) -> Registry:
    """A registry with a method whose stage raises while it trains."""
    registry = Registry.load()

    def make(config: Broken, components: object) -> object:
        method = components.method("source-only")  # type: ignore[attr-defined]
        stages = method.stages

        def broken(task: object, budget: object) -> object:
            spec = stages(task, budget)[0]

            def build(parent: object) -> object:
                stage = spec.build(parent)

                def step(batch: object, optimizer: str) -> None:
                    raise error

                stage.step = step
                return stage

            return [replace(spec, method="broken", build=build)]

        method.stages = broken
        return method

    component = Component("broken", make, Broken, "raises", licence="test")
    registry.add(_plugin(methods=component), PluginStatus("broken-plugin", "broken-dist"))
    return registry


@pytest.mark.parametrize(
    ("raised", "expected", "status"),
    [
        (ValueError("boom"), PluginError, "failed"),
        (MemoryError("no"), OutOfMemoryError, "oom"),
        (DivergedError("nan"), DivergedError, "failed"),
    ],
)
def test_what_fails_is_journalled_with_its_status(
    workspace: Workspace, raised: BaseException, expected: type[Exception], status: str
) -> None:
    registry = failing(raised)
    config = few("source-only").model_copy(update={"method": "broken"})
    with pytest.raises(expected) as error:
        run_cell(config, registry, workspace)
    record = read_run(workspace.runs / config.cell_id)
    assert record.status == status
    if expected is PluginError:
        assert "'broken-plugin' of broken-dist raised ValueError: boom" in str(error.value)


def test_a_row_claims_no_annotation_that_nobody_gave(registry: Registry, workspace: Workspace) -> None:
    tags = run_cell(few("source-only"), registry, workspace).tags
    assert (tags["points"], tags["patches"], tags["rater"], tags["weak_labels"]) == ("0.0", "0.0", "none", "none")
    tags = run_cell(few("prompt-das", budget={"points": 0.5}), registry, workspace).tags
    assert (tags["points"], tags["rater"], tags["weak_labels"]) == ("0.5", "simulated:0", "points")


def test_the_oracle_is_called_oracle(registry: Registry, workspace: Workspace) -> None:
    runner = Runner(make_plan(few("oracle"), registry, workspace), registry, workspace)
    runner.execute()
    assert [outcome.title for outcome in runner.results.by_stage] == ["oracle"]


@pytest.mark.slow
def test_prices_are_settings_and_part_of_the_cost(registry: Registry, tmp_path: Path) -> None:
    seconds = []
    for number, price in enumerate((1.0, 3.0)):
        config = few("prompt-das", options={"points": {"seconds_per_point": price}})
        record = run_cell(config, registry, Workspace(tmp_path / str(number)))
        seconds.append(record.metrics["cost/annotation_seconds"])
    assert seconds[1] == pytest.approx(3 * seconds[0])
    assert seconds[0] > 0


def test_a_stage_that_declares_no_target_cannot_look_at_it() -> None:
    data = StageData(None, None, torch.device("cpu"), 0, "sneaky")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="'sneaky' looks at the target"):
        data.target_shape()


def test_training_seconds_survive_a_kill_before_the_stage_was_closed(registry: Registry, workspace: Workspace) -> None:
    """Killed after the last checkpoint, before the weights were written: nothing is trained again, no time is lost."""
    plan = make_plan(few("source-only"), registry, workspace)
    runner = Runner(plan, registry, workspace)
    finish = type(plan.stages[0].folder).finish
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(plan.stages[0].folder), "finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            runner.execute()
    assert finish is type(plan.stages[0].folder).finish
    record = run_cell(few("source-only"), registry, workspace)
    assert record.metrics["cost/train_seconds"] > 0


def test_settings_of_the_method_are_shown_as_options_are(registry: Registry, workspace: Workspace) -> None:
    """However a number was set, the row of the run shows it."""
    options = {"source-only": {"crop": 64, "batch": 1}}
    common = {"method": "source-only", "task": "human2stem", "data": "phantom", "preset": "tiny"}
    one = run_cell(validate_config({**common, "iterations": 2, "options": options}), registry, workspace)
    options["source-only"]["iterations"] = 2
    two = run_cell(validate_config({**common, "options": options}), registry, workspace)
    assert (
        one.tags["options"]
        == two.tags["options"]
        == ("source-only.batch=1 source-only.crop=64 source-only.iterations=2")
    )
    assert [s.key for s in one.stages] == [s.key for s in two.stages]
