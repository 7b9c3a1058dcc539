"""A weak label that the core has never heard of: asked for, metered, refused, recorded, tracked and verified."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import mlflow
import pytest

from dabench.annotation import AnnotationDesk
from dabench.annotation.truth import VolumeTruth
from dabench.checking.verify import Verifier
from dabench.components.registry import PluginStatus, Registry
from dabench.files.workspace import Workspace
from dabench.models import load_model
from dabench.plugin import Budget, BudgetError, ConfigError, DataError, PointRequest
from dabench.runs.config import load_config, validate_config
from dabench.runs.plan import describe, make_plan
from dabench.runs.runner import run_cell
from dabench.testing import check_components
from dabench.testing.fixtures import discs
from dabench.tracking.mlflow_writer import MlflowWriter
from dabench.tracking.record import RunRecord
from tests.end_to_end import scribbling

ROWS = 256  # of a phantom's slice, 12 slices


@pytest.fixture(scope="module")
def plugins() -> Registry:
    registry = Registry.load()
    registry.add(scribbling, PluginStatus("scribbling", "dabench-scribbling"))
    return registry


def config(**budget: Any) -> Any:
    return validate_config(
        {"method": "scribbler", "task": "human2stem", "data": "phantom", "preset": "tiny", "budget": budget}
    )


class Ran(NamedTuple):
    registry: Registry
    workspace: Workspace
    record: RunRecord


@pytest.fixture(scope="module")
def ran(plugins: Registry, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    workspace = Workspace(tmp_path_factory.mktemp("scribbled"))
    return Ran(plugins, workspace, run_cell(config(), plugins, workspace))


def test_keeps_the_contracts(plugins: Registry) -> None:
    items = [plugins.get("weak_label", "scribbles"), plugins.get("method", "scribbler")]
    assert [o for o in check_components(plugins, items) if o.problem] == []


def test_the_run_is_charged_for_what_it_was_given(ran: Ran) -> None:
    depth = 12
    given = depth * -(-ROWS // 20)  # the method's default share: a twentieth of the rows of each slice
    assert ran.record.status == "ok"
    assert ran.record.metrics["cost/scribbles"] == given
    assert ran.record.metrics["cost/annotation_seconds"] == 2.0 * given
    assert (ran.record.metrics["cost/points"], ran.record.metrics["cost/patches"]) == (0, 0)
    tags = ran.record.tags
    assert (tags["weak_labels"], tags["budget/scribbles"], tags["rater"]) == ("scribbles", "0.05", "simulated:0")
    assert len((ran.record.path / "annotation" / "scribbles.jsonl").read_text().splitlines()) == given


def test_mlflow_has_the_cost(ran: Ran) -> None:
    writer = MlflowWriter(ran.workspace.tracking_uri, ran.workspace.artifacts)
    stored = mlflow.MlflowClient(ran.workspace.tracking_uri).get_run(writer.write(ran.record))
    assert stored.data.metrics["cost/scribbles"] == ran.record.metrics["cost/scribbles"]
    assert stored.data.tags["dabench.budget/scribbles"] == "0.05"


def test_verify_counts_it(ran: Ran) -> None:
    verifier = Verifier(ran.registry, ran.workspace)
    assert verifier.verify(ran.record.path).verdict == "ok"
    journal = ran.record.path / "journal.jsonl"
    before = journal.read_text()
    cost = next(line for line in before.splitlines() if json.loads(line)["event"] == "cost")
    cheaper = json.loads(cost)
    cheaper["others"]["scribbles"] -= 1
    try:
        journal.write_text(before.replace(cost, json.dumps(cheaper)))
        problems = str(verifier.verify(ran.record.path))
    finally:
        journal.write_text(before)
    assert "annotation/ has 156 scribbles, the journal charges 155" in problems


def test_the_model_is_rebuilt_with_its_budget(ran: Ran) -> None:
    model = load_model(ran.record.cell_id, ran.registry, ran.workspace)
    assert model.card.budget.others == {"scribbles": 0.05}


def test_a_persons_scribbles_train_the_same(ran: Ran) -> None:
    file = ran.record.path / "annotation" / "scribbles.jsonl"
    recorded = config(rater="recorded", points=0.0, files={"scribbles": str(file)})
    again = run_cell(recorded, ran.registry, ran.workspace)
    assert again.tags["rater"] == "recorded"
    assert again.metrics["target_test/dice"] == ran.record.metrics["target_test/dice"]
    gone = config(rater="recorded", files={"scribbles": str(file.with_name("none"))})
    with pytest.raises(DataError, match="recorded scribbles"):
        make_plan(gone, ran.registry, ran.workspace)


def test_shares_of_the_configuration(ran: Ran) -> None:
    shares = {"scribbles": 0.5, "points": 0.3, "preferences": 0.2}
    plan = make_plan(config(shares=shares), ran.registry, ran.workspace)
    assert plan.config.budget.shares == {"scribbles": 0.5}
    assert describe(plan)["budget"] == {"points": 0.3, "patches": 0.2, "scribbles": 0.5, "rater": "truth"}
    assert plan.stages[0].key != make_plan(config(), ran.registry, ran.workspace).stages[0].key
    flags = {"method": "scribbler", "task": "human2stem"}
    assert load_config(flags, sets=["budget.shares.scribbles=0.5"]).budget.given()["scribbles"] == 0.5
    with pytest.raises(ConfigError, match="unknown weak label 'scribble'"):
        make_plan(config(shares={"scribble": 0.5}), ran.registry, ran.workspace)
    with pytest.raises(ConfigError, match="less than or equal to 1"):
        config(shares={"scribbles": 1.5})


def test_cells_without_other_labels_keep_their_names() -> None:
    assert "shares" not in config().identity()["budget"]
    assert config(shares={"points": 0.15}).cell_id == config().cell_id
    assert config(shares={"scribbles": 0.05}).cell_id != config().cell_id


def test_past_the_budget_nothing_is_handed_out() -> None:
    _, labels = discs(0)
    desk = AnnotationDesk(
        VolumeTruth(labels), labels.shape, Budget.of({"scribbles": 0.25}), {"scribbles": scribbling.Scribbles()}
    )
    with pytest.raises(BudgetError, match=r"scribbles: .* 50\.0% .* budget is 25\.0%"):
        desk.ask("scribbles", PointRequest(0.5, (0, 1)))
    assert desk.ledger() == []
    half = desk.ask("scribbles", PointRequest(0.5, (0,)))
    assert desk.ask("scribbles", PointRequest(0.5, (0,))) == half != []
    assert [entry["count"] for entry in desk.ledger()] == [len(half)]
    with pytest.raises(BudgetError):
        desk.ask("scribbles", PointRequest(0.01, (1,)))
    with pytest.raises(DataError, match="slice 7"):
        desk.ask("scribbles", PointRequest(0.1, (7,)))
    with pytest.raises(ConfigError, match="is not in `asks`"):
        desk.for_stage(()).ask("scribbles")
    assert desk.for_stage(()).share("scribbles") == 0.0
    assert desk.for_stage(("scribbles",)).share("scribbles") == 0.25


def test_a_kind_without_budget_is_not_asked() -> None:
    desk = AnnotationDesk(None, (2, 4, 4), Budget(), {"scribbles": scribbling.Scribbles()})
    assert desk.ask("scribbles") == []
