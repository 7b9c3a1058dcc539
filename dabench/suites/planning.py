"""A suite's graph from its file: every cell planned on this machine, which has to be of the kind that trains."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from dabench.components.registry import Registry
from dabench.errors import ConfigError, DataError
from dabench.files.workspace import Workspace
from dabench.runs.keys import scoring_source
from dabench.runs.plan import Plan, make_plan
from dabench.runs.speed import Measurements, kind_of_stage, rates, recorded_rates
from dabench.runs.stage_time import Rate
from dabench.suites.graph import RECORDED, CellNode, StageNode, SuiteGraph
from dabench.suites.schedule import CellStatus, SuiteReport
from dabench.suites.spec import Suite, SuiteCell, expand
from dabench.suites.suite_record import threads_of
from dabench.tracking.record import RunRecord
from dabench.tracking.run_reader import read_run


def make_graph(
    suite: Suite,
    registry: Registry,
    workspace: Workspace,
    threads: int = 1,
    recorded: Sequence[RunRecord] = (),
    measure: Callable[[str], None] | None = None,
) -> SuiteGraph:
    """Plan every cell for jobs of so many threads.

    Args:
        suite: its cells.
        registry: of all components.
        workspace: whose stages and runs are there already.
        threads: of a job.
        recorded: runs of a file of recorded results. One with the keys of a cell counts as that cell, done. Where no
            stage of a kind has run in the workspace, those of its name and preset among these tell its speed.
        measure: time a few updates of every kind of stage whose speed is not known otherwise; told before each.

    Raises:
        ConfigError: names all cells with settings that cannot be; nothing has run then.
    """
    nodes: list[CellNode] = []
    stages: dict[str, StageNode] = {}
    wrong: list[str] = []
    by_cell, first = {run.cell_id: run for run in recorded}, dict[str, tuple[Plan, int]]()
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
        node = _node(cell, plan, workspace, registry)
        if node.state != "done" and _is_recorded(by_cell.get(cell.config.cell_id), plan, registry):
            nodes.append(CellNode(cell, RECORDED))
            continue
        nodes.append(node)
        own = {s.key: s for s in _stages(plan)}
        stages |= own
        for index, stage in enumerate(own.values()):
            first.setdefault(stage.kind, (plan, index))
    if wrong:
        listed = "\n  ".join(dict.fromkeys(wrong))
        raise ConfigError(
            f"suite {suite.name}: {len(wrong)} of {len(cells)} cells are invalid:\n  {listed}",
            "Leave them out: exclude: [{row: ..., task: ..., why: ...}]",
        )
    known = _told(first, recorded) | rates(workspace, first)
    if measure is not None:
        known |= _measured({k: place for k, place in first.items() if k not in known}, registry, workspace, measure)
    return SuiteGraph(suite, tuple(nodes), stages, known, threads)


def _measured(
    first: Mapping[str, tuple[Plan, int]], registry: Registry, workspace: Workspace, tell: Callable[[str], None]
) -> dict[str, Rate]:
    """What a few updates of each stage tell, as far as that is possible; stages of one plan go on from each other."""
    chains: dict[int, Measurements] = {}
    found: dict[str, Rate] = {}
    for kind, (plan, index) in first.items():
        if plan.lacks:
            continue
        if id(plan) not in chains:
            chains[id(plan)] = Measurements(plan, registry, workspace, tell)
        if rate := chains[id(plan)].rate(index):
            found[kind] = rate
    return found


def _told(first: Mapping[str, tuple[Plan, int]], recorded: Sequence[RunRecord]) -> dict[str, Rate]:
    """What a record tells of the speed of stages, by kind: that of the stages of their name and preset."""
    speeds = recorded_rates(recorded)
    found = {
        kind: speeds.get((plan.config.preset, plan.stages[index].spec.name)) for kind, (plan, index) in first.items()
    }
    return {kind: rate for kind, rate in found.items() if rate is not None}


def report(suite: Suite, registry: Registry, workspace: Workspace, recorded: Sequence[RunRecord] = ()) -> SuiteReport:
    """How every cell of a suite stands now, with the threads of its last start; runs nothing."""
    graph = make_graph(suite, registry, workspace, threads_of(workspace, suite.name), recorded)
    names = {"done": "ok", "skips": "skipped"}
    cells = tuple(CellStatus(n, names.get(n.state, n.state), n.reason) for n in graph.cells)
    return SuiteReport(suite, graph, cells)


def _node(cell: SuiteCell, plan: Plan, workspace: Workspace, registry: Registry) -> CellNode:
    if plan.missing:
        return CellNode(cell, "missing", f"files are missing: {', '.join(plan.missing[:3])}")
    keys = tuple(s.key for s in plan.stages)
    return CellNode(cell, *_state(cell, plan, workspace, registry), keys)


def _state(cell: SuiteCell, plan: Plan, workspace: Workspace, registry: Registry) -> tuple[str, str]:
    """How an earlier run of the cell stands to what would run now."""
    skip = plan.skip
    try:
        run = read_run(workspace.runs / cell.config.cell_id)
    except DataError:
        return ("skips", skip) if skip else ("new", "")
    if skip:
        return "skipped" if (run.status, run.reason) == ("skipped", skip) else "skips", skip
    if run.status != "ok":
        return ("new", "") if run.status == "skipped" else (run.status, run.reason)
    why = _differs(run, plan, registry)
    return ("stale", why) if why else ("done", "")


def _differs(run: RunRecord, plan: Plan, registry: Registry) -> str:
    """Why a finished run is not what the plan would make now; "" where it is."""
    if [s.key for s in run.stages] != [s.key for s in plan.stages]:
        return "trained with other code or data"
    scoring = scoring_source(registry, plan.task, plan.config.protocol)[:16]
    return "" if run.tags.get("scoring_digest") == scoring else "scored with other code"


def _is_recorded(run: RunRecord | None, plan: Plan, registry: Registry) -> bool:
    """Whether a recorded run stands for the plan's cell."""
    return run is not None and run.status == "ok" and not plan.skip and not _differs(run, plan, registry)


def _stages(plan: Plan) -> Iterable[StageNode]:
    parent = ""
    for stage in plan.stages:
        kind = kind_of_stage(stage)
        seconds = stage.seconds if stage.state == "cached" else None
        yield StageNode(stage.key, stage.spec.name, stage.spec.iterations, parent, seconds, kind)
        parent = stage.key
