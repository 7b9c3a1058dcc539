"""Whole cells of a few updates: who predicts, what the run says of it, and that no target label had a say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from dabench.cli.run_report import _choice
from dabench.components.registry import PluginStatus, Registry
from dabench.files.digests import digest_file
from dabench.files.workspace import Workspace
from dabench.inference.volume import predict_slices
from dabench.plugin import Candidate, Component, ConfigError, PhantomDomain, SelectionData, Selector, UnknownNameError
from dabench.runs.config import RunConfig
from dabench.runs.plan import describe, make_plan
from dabench.runs.predict import read_predictions
from dabench.runs.results import CellResults
from dabench.runs.runner import Runner, run_cell
from dabench.runs.task import TaskData
from dabench.tracking.record import RunRecord
from tests.conftest import few
from tests.runs.test_runner import Relabelled, _plugin

SLICES = {"source-validation": {"slices": 2}, "target-entropy": {"slices": 2}, "point-agreement": {"slices": 2}}


class First(Selector):
    """The earliest update, at the highest threshold."""

    def scores(self, candidates: Sequence[Candidate], data: SelectionData) -> list[float]:
        return [candidate.threshold - candidate.update for candidate in candidates]


@pytest.fixture(scope="module")
def registry() -> Registry:
    """Everything, a selector of the tests' own, small domains, and a target whose training labels are random."""
    found = Registry.load()
    first = Component("first", lambda config: First(), summary="earliest", licence="test")
    found.add(_plugin(selectors=first), PluginStatus("first", "tests"))
    human, stem = (PhantomDomain(f"phantom-{n}", 0, 128, {"train": 4, "test": 2}) for n in ("human", "stem"))
    for name, domain in {"small": human, "other": stem, "scrambled": Relabelled(stem)}.items():
        made = Component(f"phantom-{name}", lambda config, domain=domain: domain, summary=name, licence="test")
        found.add(_plugin(domains=made), PluginStatus(name, "tests"))
    return found


@pytest.fixture(autouse=True)
def no_panels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CellResults, "_draw", lambda *_: None)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """One for all tests: they share the trained stage."""
    return Workspace(tmp_path_factory.mktemp("workspace"))


def config(selector: str = "last", method: str = "source-only", **changes: object) -> RunConfig:
    options = {selector: SLICES[selector]} if selector in SLICES else {}
    return plain(method, **{"selector": selector, "snapshots": 3, "options": options, **changes})


def plain(method: str = "source-only", **changes: object) -> RunConfig:
    return few(method, **{"task": "small2other", **changes})


def masks(path: Path) -> np.ndarray:
    return np.stack(list(read_predictions(path / "predictions" / "target_test.tif")))


# ---------------------------------------------------------------- who predicts
def test_the_chosen_candidate_predicts(registry: Registry, workspace: Workspace) -> None:
    record = run_cell(config("first", thresholds=(0.49, 0.495)), registry, workspace)
    assert (record.selected.update, record.selected.threshold) == (2, 0.495)
    plan = make_plan(config("first", thresholds=(0.49, 0.495)), registry, workspace)
    assert plan.stages[0].state == "cached"
    stage = plan.stages[0].spec.build(None)
    plan.stages[0].folder.load(stage, 2)
    slices = predict_slices(stage.predictor(), plan.task.unit(plan.task.target_test), 64)
    found = masks(record.path)
    assert 0 < found.mean() < 1
    assert np.array_equal(found, np.stack([seen.mask(0.495) for _, seen in slices]))


def test_a_run_says_who_was_chosen_and_keeps_the_oracle_apart(registry: Registry, workspace: Workspace) -> None:
    record = run_cell(config("source-validation", thresholds=(0.49, 0.495)), registry, workspace)
    selected, regret, metrics = record.selected, record.regret, record.metrics
    assert len(selected.candidates) == len(regret.candidates) == 6
    assert selected.score == max(c["score"] for c in selected.candidates) == metrics["selection/score"]
    assert (metrics["selection/update"], metrics["selection/threshold"]) == (selected.update, selected.threshold)
    scores = {(c["update"], c["threshold"]): c["score"] for c in regret.candidates}
    assert metrics["target_test/dice"] == scores[selected.update, selected.threshold] == regret.chosen
    assert metrics["oracle/selection/best"] == max(scores.values()) == scores[regret.update, regret.threshold]
    assert metrics["oracle/selection/regret"] == regret.best - regret.chosen >= 0
    assert [name for name in metrics if "selection" in name and "target_test" in name] == []
    assert record.tags["selector"] == "source-validation"
    assert (record.tags["snapshots"], record.tags["thresholds"]) == ("3", "0.49,0.495")
    assert {i.context for i in record.inputs} == {
        "source training",
        "target training",
        "target test",
        "source validation",
    }
    receipt = json.loads((record.path / "receipt.json").read_text())
    assert set(receipt["snapshots"]) == {"2", "4"}
    lines = list(_choice(record))
    assert f"update {selected.update}" in lines[0]
    assert "never ranked" in lines[1]


def test_the_last_of_several_is_the_run_without_a_choice(registry: Registry, workspace: Workspace) -> None:
    one = run_cell(plain(), registry, workspace)
    last = run_cell(config("last"), registry, workspace)
    assert one.selected is None
    assert one.regret is None
    assert list(_choice(one)) == []
    assert (one.tags["selector"], one.tags["snapshots"], one.tags["thresholds"]) == ("last", "1", "0.5")
    assert last.selected.update == 6
    assert np.array_equal(masks(one.path), masks(last.path))
    assert one.metrics["target_test/dice"] == last.metrics["target_test/dice"] == last.regret.chosen


def test_a_given_threshold_holds_for_the_last_stage_alone(registry: Registry, workspace: Workspace) -> None:
    record = run_cell(plain("prompt-das", thresholds=(0.49,)), registry, workspace)
    half = run_cell(plain("prompt-das"), registry, workspace)
    assert record.selected is None
    assert record.metrics["stage/supervised/dice"] == half.metrics["stage/supervised/dice"]
    assert masks(record.path).sum() > masks(half.path).sum()


def test_a_choice_needs_no_test_split(
    registry: Registry, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A volume of one's own: nothing to score, and nobody opens the test split to choose."""
    monkeypatch.setattr(TaskData, "has_test_labels", lambda self: False)
    monkeypatch.setattr(TaskData, "target_test", property(lambda self: pytest.fail("the test split was opened")))
    record = run_cell(config("target-entropy"), registry, workspace)
    assert record.selected is not None
    assert record.regret is None


# ---------------------------------------------------------------- no label has a say
@pytest.mark.parametrize("selector", ["source-validation", "target-entropy"])
def test_random_target_training_labels_change_no_score(registry: Registry, workspace: Workspace, selector: str) -> None:
    honest = run_cell(config(selector), registry, workspace)
    blind = run_cell(config(selector, task="small2scrambled"), registry, workspace)
    assert honest.selected.candidates == blind.selected.candidates
    assert honest.tags["task"] != blind.tags["task"]


def test_points_come_from_the_desk_and_cost_nothing_twice(registry: Registry, workspace: Workspace) -> None:
    def run(selector: str) -> RunRecord:
        return run_cell(config(selector, "prompt-das", budget={"points": 0.5}), registry, workspace)

    last, agreement = run("last"), run("point-agreement")
    assert agreement.metrics["cost/annotation_seconds"] == last.metrics["cost/annotation_seconds"] > 0
    assert agreement.metrics["cost/points"] == last.metrics["cost/points"]
    assert all(0 <= c["score"] <= 1 for c in agreement.selected.candidates)


def test_the_desk_hands_a_selector_what_was_asked_for_and_no_more(
    registry: Registry, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(config("target-entropy"), registry, workspace)
    assert plan.desk is not None
    assert plan.desk.clicks(plan.asks) == {}, "no stage of source-only asks for points"
    assert sum(len(clicks.points) for clicks in plan.desk.clicks(["points"]).values()) > 0
    for name in ("points", "clicks"):
        monkeypatch.setattr(type(plan.desk), name, lambda *_, **__: pytest.fail("a selector asked for points"))
    Runner(plan, registry, workspace).execute()


# ---------------------------------------------------------------- who cannot choose
def test_without_points_or_source_the_cell_is_skipped_with_the_reason(registry: Registry, workspace: Workspace) -> None:
    record = run_cell(config("point-agreement"), registry, workspace)
    assert record.status == "skipped"
    assert "this run has none" in record.reason
    record = run_cell(config("source-validation", "oracle"), registry, workspace)
    assert record.status == "skipped"
    assert "has no source" in record.reason


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"selector": "target-entropy", "snapshots": 1}, "nothing to choose"),
        ({"selector": "source-valdation"}, "source-validation"),
        ({"options": {"target-entropy": {"slices": 3}}}, "does not use"),
        ({"selector": "target-entropy", "options": {"target-entropy": {"slice": 3}}}, "target-entropy.slices"),
    ],
)
def test_settings_that_would_do_nothing(
    registry: Registry, workspace: Workspace, changes: dict[str, object], match: str
) -> None:
    with pytest.raises(ConfigError, match=match):
        make_plan(plain("source-only", **{"snapshots": 3, **changes}), registry, workspace)


def test_a_plan_says_who_chooses_among_how_many(registry: Registry, workspace: Workspace) -> None:
    plan = make_plan(config("target-entropy", thresholds=(0.5, 0.4)), registry, workspace)
    assert (describe(plan)["selector"], describe(plan)["candidates"]) == ("target-entropy", 6)
    with pytest.raises(UnknownNameError):
        make_plan(plain("source-only", selector="best-on-test"), registry, workspace)


def test_predictions_of_a_plain_run_lie_where_they_always_did(registry: Registry, workspace: Workspace) -> None:
    record = run_cell(plain("source-only"), registry, workspace)
    plan = make_plan(plain("source-only"), registry, workspace)
    (path,) = (plan.stages[0].folder.path / "predictions").glob("*.tif")
    assert digest_file(path) == digest_file(record.path / "predictions" / "target_test.tif")
