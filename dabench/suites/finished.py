"""What of a suite can be handed on: its finished cells, and the others in words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dabench.errors import DataError
from dabench.files.workspace import Workspace
from dabench.suites.suite_record import read_suite_record
from dabench.tracking.run_reader import read_run

#: How a cell ends with something to show: with scores, or because its method cannot run there.
_FINISHED = ("ok", "skipped")
_NAMED = 4


@dataclass(frozen=True)
class SuiteRuns:
    """Run directories of the finished cells of a suite, and the row, task, seed and status of every other cell."""

    finished: tuple[Path, ...]
    others: tuple[str, ...]

    @property
    def told(self) -> str:
        """The others in one line; "" where there are none."""
        if not self.others:
            return ""
        more = f", and {len(self.others) - _NAMED} more" if len(self.others) > _NAMED else ""
        return f"left out, not finished: {', '.join(self.others[:_NAMED])}{more}"


def suite_runs(workspace: Workspace, name: str) -> SuiteRuns:
    """The cells that the record of a suite lists, as they lie in a workspace; those it leaves out are not among them.

    A cell whose journal is damaged counts as finished: reading it reports the fault.
    """
    finished, others = [], []
    for cell in read_suite_record(workspace, name)["cells"]:
        if cell.get("excluded"):
            continue
        path = workspace.runs / cell["cell_id"]
        status = _status(path)
        if status in _FINISHED:
            finished.append(path)
        else:
            place = cell["place"]
            others.append(f"{cell['row']} {place.get('task', '')} s{place.get('seed', '')} ({status})")
    return SuiteRuns(tuple(finished), tuple(others))


def _status(path: Path) -> str:
    if not path.is_dir():
        return "not run"
    try:
        return read_run(path).status
    except DataError:
        return "ok"
