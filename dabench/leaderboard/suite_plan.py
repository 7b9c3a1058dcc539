"""What a suite asks for: its cells by row and setting, run or not, and a paper's numbers beside them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from dabench.errors import ConfigError, DataError
from dabench.files.problems import problems
from dabench.files.workspace import Workspace
from dabench.leaderboard.board import BoardKey, PublishedRow
from dabench.leaderboard.metric import Metric, by_metric
from dabench.runs.config import RunConfig, origin_of
from dabench.suites.spec import Suite, expand
from dabench.suites.suite_record import read_suite_record

_FIXED = ("data", "preset", "protocol", "inference")
#: What the record of a suite lists as the setting of a cell, the last only where it is not left to the domains.
_SETTING = (*_FIXED, "pixel_size")


@dataclass(frozen=True)
class PlannedCell:
    """A cell that a suite asks for; ``excluded`` says why it does not run, "" where it does.

    ``tags`` are those that its settings tell before it has run: enough for filters on task, method or seed.
    """

    row: str
    cell_id: str
    task: str
    seed: int
    setting: BoardKey
    excluded: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SuitePlan:
    """A suite as a leaderboard needs it; ``unavailable`` are rows that dabench cannot run, with the reason."""

    name: str
    title: str
    cells: tuple[PlannedCell, ...]
    unavailable: Mapping[str, str] = field(default_factory=dict)
    published: tuple[PublishedRow, ...] = ()

    def of_rows(self, names: Collection[str]) -> SuitePlan:
        """The plan of some of its rows; of all for no name."""
        if not names:
            return self
        return replace(
            self,
            cells=tuple(cell for cell in self.cells if cell.row in names),
            unavailable={row: why for row, why in self.unavailable.items() if row in names},
            published=tuple(row for row in self.published if row.entry in names),
        )


def read_suite_plan(workspace: Workspace, name: str) -> SuitePlan:
    """The plan of a suite that was started in a workspace.

    Raises UnknownNameError for another one, DataError for a record that this version cannot read.
    """
    record = read_suite_record(workspace, name)
    try:
        suite = Suite.model_validate(record["suite"])
        configs = {cell.config.cell_id: cell.config for cell in expand(suite)}
        cells = tuple(_planned(cell, configs.get(cell["cell_id"])) for cell in record["cells"])
    except (ValidationError, ConfigError, KeyError, TypeError) as error:
        found = problems(error, Suite) if isinstance(error, ValidationError) else [f"{type(error).__name__}: {error}"]
        raise DataError(
            f"suite {name}: its record in the workspace is from another version ({'; '.join(found)}).",
            "Start the suite again (dabench suite run): finished cells are not run twice.",
        ) from None
    rows = dict.fromkeys(cell.row for cell in cells)
    return SuitePlan(suite.name, suite.title, cells, suite.unavailable, published_rows(suite, list(rows)))


def published_rows(suite: Suite, rows: Sequence[str]) -> tuple[PublishedRow, ...]:
    """A paper's rows as shares instead of per cent, in the order of ours, then those that we have not."""
    if suite.published is None:
        return ()
    source, note, values = suite.published.source, suite.published.note, suite.published.values
    names = [row for row in rows if row in values] + sorted(set(values) - set(rows))
    return tuple(PublishedRow(name, source, _shares(values[name]), note) for name in names)


def _shares(by_task: Mapping[str, Mapping[str, float]]) -> dict[str, dict[Metric, float]]:
    return {task: {metric: v / 100 for metric, v in by_metric(found).items()} for task, found in by_task.items()}


def setting_of(values: Mapping[str, Any]) -> BoardKey:
    """The setting that tags (or a configuration) say."""
    data, preset, protocol, inference = (str(values.get(name) or "none") for name in _FIXED)
    data = origin_of(data, str(values.get("task") or ""))
    # Rows of before pixel sizes could be matched do not say that theirs are not.
    return BoardKey(data, preset, protocol, inference, str(values.get("pixel_size") or "native"))


def as_run(suite_plan: SuitePlan, pixel_sizes: Mapping[str, str]) -> SuitePlan:
    """The plan with the pixel size of each cell that leaves it to its domains: as its run says, else one of its task.

    Args:
        suite_plan: as the suite says.
        pixel_sizes: cell's id -> what its row says.
    """
    by_task = {c.task: pixel_sizes[c.cell_id] for c in suite_plan.cells if c.cell_id in pixel_sizes}

    def settled(cell: PlannedCell) -> PlannedCell:
        if cell.setting.pixel_size != "auto":
            return cell
        said = pixel_sizes.get(cell.cell_id) or by_task.get(cell.task, "native")
        return replace(cell, setting=replace(cell.setting, pixel_size=said))

    return replace(suite_plan, cells=tuple(map(settled, suite_plan.cells)))


def _planned(cell: Mapping[str, Any], config: RunConfig | None) -> PlannedCell:
    """A listed cell; ``config`` is None for one of another preset, task or seed than the suite last ran with."""
    place = cell["place"]
    said = dict(config) if config else {**place, **dict(zip(_SETTING, cell["setting"], strict=False))}
    undecided = {"pixel_size"} if said.get("pixel_size", "auto") == "auto" else set[str]()
    return PlannedCell(
        row=cell["row"],
        cell_id=cell["cell_id"],
        task=said["task"],
        seed=said["seed"],
        setting=setting_of({"pixel_size": "auto", **said}),
        excluded=cell.get("excluded", ""),
        tags={name: str(v) for name, v in said.items() if isinstance(v, str | int | float) and name not in undecided},
    )
