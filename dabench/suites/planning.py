"""A suite's graph from its file: every cell planned on this machine, which has to be of the kind that trains."""

from __future__ import annotations

from collections.abc import Iterable

from dabench.components.registry import Registry
from dabench.errors import ConfigError, DataError
from dabench.files.workspace import Workspace
from dabench.runs.keys import scoring_source
from dabench.runs.plan import Plan, make_plan
from dabench.runs.speed import kind_of_stage, rates
from dabench.runs.task import TaskData
from dabench.suites.graph import CellNode, StageNode, SuiteGraph
from dabench.suites.schedule import CellStatus, SuiteReport
from dabench.suites.spec import Suite, SuiteCell, expand
from dabench.suites.suite_record import threads_of
from dabench.tracking.run_reader import read_run


def make_graph(suite: Suite, registry: Registry, workspace: Workspace, threads: int = 1) -> SuiteGraph:
    """Plan every cell for jobs of so many threads.

    Raises ConfigError that names all cells with settings that cannot be; nothing has run then.
    """
    nodes: list[CellNode] = []
    stages: dict[str, StageNode] = {}
    wrong: list[str] = []
    cells = expand(suite)
    for cell in cells:
        if cell.excluded:
            nodes.append(CellNode(cell, "excluded", cell.excluded))
            continue
        try:
            plan = make_plan(cell.config, registry, workspace, threads=threads)
        except (ConfigError, DataError) as error:
            place = ", ".join(f"{k} {v}" for k, v in cell.place.items())
            wrong.append(f"{cell.row} ({place}): {error.message}")
            continue
        nodes.append(_node(cell, plan, workspace, registry))
        stages |= {s.key: s for s in _stages(plan)}
    if wrong:
        listed = "\n  ".join(dict.fromkeys(wrong))
        raise ConfigError(
            f"suite {suite.name}: {len(wrong)} of {len(cells)} cells cannot be:\n  {listed}",
            "Leave them out: exclude: [{row: ..., task: ..., why: ...}]",
        )
    found = rates(workspace, {stage.kind for stage in stages.values()})
    seen = {kind: (rate.seconds, rate.memory) for kind, rate in found.items()}
    return SuiteGraph(suite, tuple(nodes), stages, seen, threads)


def report(suite: Suite, registry: Registry, workspace: Workspace) -> SuiteReport:
    """How every cell of a suite stands now, with the threads of its last start; runs nothing."""
    graph = make_graph(suite, registry, workspace, threads_of(workspace, suite.name))
    names = {"done": "ok", "skips": "skipped"}
    cells = tuple(CellStatus(n, names.get(n.state, n.state), n.reason) for n in graph.cells)
    return SuiteReport(suite, graph, cells)


def _node(cell: SuiteCell, plan: Plan, workspace: Workspace, registry: Registry) -> CellNode:
    if plan.missing:
        return CellNode(cell, "missing", f"files are missing: {', '.join(plan.missing[:3])}")
    keys = tuple(s.key for s in plan.stages)
    return CellNode(cell, *_state(cell, keys, plan.skip, workspace, registry, plan.task), keys)


def _state(
    cell: SuiteCell, keys: tuple[str, ...], skip: str, workspace: Workspace, registry: Registry, task: TaskData
) -> tuple[str, str]:
    """How an earlier run of the cell stands to what would run now."""
    try:
        run = read_run(workspace.runs / cell.config.cell_id)
    except DataError:
        return ("skips", skip) if skip else ("new", "")
    if skip:
        return "skipped" if (run.status, run.reason) == ("skipped", skip) else "skips", skip
    if run.status != "ok":
        return ("new", "") if run.status == "skipped" else (run.status, run.reason)
    same = tuple(s.key for s in run.stages) == keys
    scoring = scoring_source(registry, task, cell.config.protocol)[:16]
    if same and run.tags.get("scoring_digest") == scoring:
        return "done", ""
    return "stale", "trained by other code or on other data" if not same else "scored by other code"


def _stages(plan: Plan) -> Iterable[StageNode]:
    parent = ""
    for stage in plan.stages:
        kind = kind_of_stage(stage)
        seconds = stage.seconds if stage.state == "cached" else None
        yield StageNode(stage.key, stage.spec.name, stage.spec.iterations, parent, seconds, kind)
        parent = stage.key
