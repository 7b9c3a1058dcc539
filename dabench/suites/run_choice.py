"""Which runs of a workspace are meant: by name, all of them, or those of a suite."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from dabench.checking.verify import find_run, run_dirs
from dabench.errors import ConfigError, DataError
from dabench.files.workspace import Workspace
from dabench.suites.suite_record import all_rows, read_suite_record, started_suites
from dabench.tracking.events import UNFINISHED
from dabench.tracking.record import HERE, RunRecord
from dabench.tracking.run_reader import read_run, read_runs


def choose_runs(
    workspace: Workspace, names: Sequence[str] = (), *, everything: bool = False, suite: str | None = None
) -> list[Path]:
    """Run directories by name, all of them, or those of a suite.

    Raises:
        ConfigError: not exactly one of the three is given, or there is no such run.
        UnknownNameError: a suite that nothing here belongs to.
    """
    if bool(names) + everything + (suite is not None) != 1:
        raise ConfigError("no runs were named: give RUN..., --all or --suite NAME.", "dabench results ls lists them.")
    if names:
        return [find_run(workspace, name) for name in names]
    cells = _cells(workspace, suite) if suite is not None else None
    found = [p for p in run_dirs(workspace) if cells is None or p.name.partition("@")[0] in cells]
    if not found:
        raise ConfigError(f"no run in {workspace.runs}" + (f" of the suite {suite!r}." if suite else "."))
    return found


def _cells(workspace: Workspace, suite: str) -> set[str]:
    """The cells of a suite: those of its record; without one, runs that carry its name (of former imports)."""
    if suite not in started_suites(workspace):
        tagged = {r.cell_id for r in read_runs(workspace.runs) if isinstance(r, RunRecord) and r.suite == suite}
        if tagged:
            return tagged
    return {str(cell["cell_id"]) for cell in read_suite_record(workspace, suite)["cells"]}


def is_ours_and_finished(path: Path) -> bool:
    """Whether an export takes a run. A damaged one is kept: the export then names what is wrong with it."""
    try:
        run = read_run(path)
    except DataError:
        return True
    return run.origin == HERE and run.status != UNFINISHED


def records_of(workspace: Workspace, paths: Iterable[Path], suite: str | None = None) -> list[RunRecord]:
    """The records of runs, each tagged with its row in a suite: this one, or the one that the run names."""
    rows, found = all_rows(workspace), []
    for run in map(read_run, paths):
        of = suite or run.suite
        row = rows.get(of, {}).get(run.cell_id)
        found.append(replace(run, tags={**run.tags, "suite": of, "row": row}) if row else run)
    return found
