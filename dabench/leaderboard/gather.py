"""From a workspace or a store to boards: rows read, chosen, sorted into settings and entries."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dabench.errors import UnknownNameError
from dabench.files.workspace import Workspace
from dabench.interfaces.counting import counted_by
from dabench.interfaces.observer import Observer
from dabench.leaderboard.board import Board
from dabench.leaderboard.boards import BoardEntries
from dabench.leaderboard.checked import with_checks
from dabench.leaderboard.entries import by_setting, free_entries, row_entries, same_test_data, suite_entries
from dabench.leaderboard.filters import Filter, matches, parse_filters
from dabench.leaderboard.index import index_path, read_index
from dabench.leaderboard.metric import Metric
from dabench.leaderboard.results_cache import ResultsCache
from dabench.leaderboard.rows import Row, rows_from_mlflow, rows_of_recorded
from dabench.leaderboard.suite_plan import PlannedCell, SuitePlan, as_run, read_suite_plan
from dabench.suites.suite_record import started_suites
from dabench.tracking.recorded import SUFFIX
from dabench.tracking.translate import NO_VALUE

_NO_SUITE = "adhoc"


@dataclass(frozen=True)
class Leaderboard:
    """Everything that was found: rows (after filters), entries by setting, and messages of damaged runs."""

    rows: tuple[Row, ...]
    board_entries: tuple[BoardEntries, ...]
    metric: Metric
    damaged: tuple[str, ...] = ()

    @property
    def entry_names(self) -> dict[tuple[str, str], str]:
        """(cell id, origin) -> the entry that the cell belongs to."""
        rows = [(row, entry) for found in self.board_entries for entry in found.entries for row in entry.rows]
        return {(row.cell_id, row.origin): entry.label for row, entry in rows}

    def boards(
        self,
        *,
        by_all: bool = False,
        shown: bool = True,
        with_figures: bool = False,
        observer: Observer | None = None,
    ) -> list[Board]:
        """One board a setting.

        Args:
            by_all: further boards by each of the setting's headline metrics, the asked one first.
            shown: give scores by task for all metrics, not only for the one that ranks.
            with_figures: draw diagrams.
            observer: told of boards as they are worked out.
        """
        asked = []
        for entries in self.board_entries:
            metrics = entries.metrics or (self.metric,)
            first = self.metric if self.metric in metrics else metrics[0]
            others = [m for m in metrics if m != first and m.test_points is None] if by_all else []
            asked += [(entries, metric, metrics if shown else (metric,)) for metric in [first, *others]]
        return [
            entries.board(metric, metrics, with_figures=with_figures)
            for entries, metric, metrics in counted_by(observer, asked, "working out boards")
        ]


def load(
    workspace: Workspace,
    *,
    by: str = "dice",
    suite: str = "",
    suite_rows: Collection[str] = (),
    conditions: Sequence[str] = (),
    reference: str = "",
    uri: str | None = None,
    anew: bool = False,
    observer: Observer | None = None,
) -> Leaderboard:
    """Read what there is and sort it.

    Args:
        workspace: where the runs and the suite records are.
        by: the metric that ranks; a setting that lacks it is ranked by its first one.
        suite: only the cells of this suite, under the names of its rows.
        suite_rows: only these of the suite's rows; () for all.
        conditions: ``KEY=VALUE`` filters.
        reference: an entry that all others are compared with, instead of the lower bracket.
        uri: read an MLflow store, or a file of recorded results, instead of the runs.
        anew: read every run again.
        observer: told of runs as they are read into the index.

    Raises:
        UnknownNameError: a suite, tag, value, metric or reference that nothing has.
        TrackingError: the store cannot be used.
        DataError: the file is missing or damaged.
    """
    rows, damaged = _read(workspace, uri, anew, observer)
    rows = with_checks(rows, workspace)
    wanted = parse_filters(conditions, rows)
    suite_plan = _suite_plan(workspace, suite, rows) if suite else None
    if suite_plan is not None:
        suite_plan = suite_plan.of_rows(suite_rows)
        asked = {cell.cell_id for cell in suite_plan.cells}
        rows = [row for row in rows if row.cell_id in asked or (_is_beside(row, suite) and not suite_rows)]
        suite_plan = _narrowed(suite_plan, rows, wanted)
    elif suite:
        rows = [row for row in rows if row.tags.get("suite") == suite]
        rows = [row for row in rows if not suite_rows or row.tags.get("row") in suite_rows]
    rows = [row for row in rows if matches(row.tags, wanted)]
    board_entries = _board_entries(rows, suite_plan, suite, ResultsCache(index_path(workspace)))
    if reference:
        _check_reference(reference, board_entries)
        board_entries = tuple(replace(entries, reference=reference) for entries in board_entries)
    metric = Metric.parse(by)
    _check_metric(metric, board_entries)
    return Leaderboard(tuple(rows), board_entries, metric, damaged)


def _read(
    workspace: Workspace, uri: str | None, anew: bool, observer: Observer | None
) -> tuple[list[Row], tuple[str, ...]]:
    if uri is not None and uri.endswith(SUFFIX):
        return rows_of_recorded(Path(uri)), ()
    if uri is not None:
        rows, unread = rows_from_mlflow(uri)
        return rows, tuple(unread)
    return read_index(workspace, anew, observer)


def _suite_plan(workspace: Workspace, suite: str, rows: Sequence[Row]) -> SuitePlan | None:
    """The suite's plan; None where only its cells are here, as after an import."""
    started = started_suites(workspace)
    tagged = {row.tags.get("suite", _NO_SUITE) for row in rows} - {_NO_SUITE}
    if suite in started:
        return read_suite_plan(workspace, suite)
    if suite not in tagged:
        raise UnknownNameError("suite", suite, tagged | set(started))
    return None


def _narrowed(suite_plan: SuitePlan, rows: Sequence[Row], wanted: Filter) -> SuitePlan:
    """The plan without cells that the filters leave out, as far as a cell that has not run can tell."""
    there = {row.cell_id for row in rows}
    kept = {row.cell_id for row in rows if matches(row.tags, wanted)}

    def asked(cell: PlannedCell) -> bool:
        if cell.cell_id in there:
            return cell.cell_id in kept
        return matches(cell.tags, {name: values for name, values in wanted.items() if name in cell.tags})

    return replace(suite_plan, cells=tuple(cell for cell in suite_plan.cells if asked(cell)))


def _board_entries(
    rows: Sequence[Row], suite_plan: SuitePlan | None, suite: str, results: ResultsCache
) -> tuple[BoardEntries, ...]:
    groups = {setting: same_test_data(found) for setting, found in by_setting(rows).items()}
    if suite_plan is None:
        named = suite and all(row.tags.get("row", NO_VALUE) != NO_VALUE for row in rows)
        entries_of = row_entries if named else free_entries
        return tuple(
            BoardEntries(setting, tuple(entries_of(found)), suite, results=results) for setting, found in groups.items()
        )
    suite_plan = as_run(suite_plan, {row.cell_id: row.tags.get("pixel_size", "native") for row in rows})
    settings = {cell.setting: None for cell in suite_plan.cells} | dict.fromkeys(groups)
    board_entries = []
    for setting in sorted(settings, key=str):
        tasks = tuple(dict.fromkeys(c.task for c in suite_plan.cells if c.setting == setting and not c.excluded))
        found = groups.get(setting, [])
        beside = [row for row in found if _is_beside(row, suite)]
        entries = (*suite_entries(found, suite_plan, setting), *row_entries(beside))
        board_entries.append(BoardEntries(setting, entries, suite, tasks, suite_plan.published, results))
    return tuple(board_entries)


def _is_beside(row: Row, suite: str) -> bool:
    """Whether a row is of an outside tool, put into the table of a suite that does not run it."""
    return "outside" in row.tags and row.tags.get("suite") == suite


def _check_reference(reference: str, board_entries: Sequence[BoardEntries]) -> None:
    known = {entry.label for entries in board_entries for entry in entries.entries if not entry.is_apart}
    if reference not in known:
        raise UnknownNameError("reference", reference, known)


def _check_metric(metric: Metric, board_entries: Sequence[BoardEntries]) -> None:
    known = {found for entries in board_entries for found in entries.metrics}
    if known and metric not in known:
        raise UnknownNameError("metric", str(metric), map(str, known))
