"""The speed of stages that never ran is measured, also of those whose parents are not trained; nothing is kept."""

from __future__ import annotations

from dabench.suites.planning import make_graph


def test_a_plan_measures_what_it_does_not_know_and_once(suite, registry, workspace):
    told: list[str] = []
    asked = suite.changed({}, {"seed": [0]})
    graph = make_graph(asked, registry, workspace, measure=told.append)
    # The row that adapts is a plan of its own, whose first stage is timed to go on from.
    assert [text.split(",")[0].rpartition(" ")[2] for text in told] == ["supervised", "supervised", "prompt-das"]
    hours = graph.as_json()["estimated_core_hours_by_stage"]
    assert set(hours) == {"supervised", "prompt-das"}
    assert min(hours.values()) > 0
    assert graph.left()[1] == 0
    assert not list(workspace.stages.glob("*/stage.json")), "nothing is trained"
    again: list[str] = []
    assert make_graph(asked, registry, workspace, measure=again.append).left() == graph.left()
    assert again == []
