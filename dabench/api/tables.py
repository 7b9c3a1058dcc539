"""Results as tables: the scores of every cell, and the boards that rank them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from dabench.errors import DataError
from dabench.files.workspace import Workspace
from dabench.leaderboard import exports
from dabench.leaderboard.board import Board, Standing
from dabench.leaderboard.gather import Leaderboard, load
from dabench.leaderboard.html import render_html
from dabench.tracking.record import RunRecord
from dabench.tracking.run_reader import read_runs

if TYPE_CHECKING:
    import pandas as pd

    from dabench.interfaces.observer import Observer

#: Tags that say which cell a row belongs to; numbers stand as numbers.
_IDENTITY = ("task", "source", "target", "method", "po", "bracket", "network", "backbone", "preset", "data", "options")
_BUDGET = ("weak_labels", "points", "patches", "rater", "seed", "selector", "suite")
_NUMBERS = {"points": float, "patches": float, "seed": int}
_SCORE = ("stage", "final", "split", "protocol", "inference", "test_points", "metric", "value")
#: What identifies a cell, then where a score comes from, then the score.
COLUMNS = ("run", *_IDENTITY, *_BUDGET, "origin", "status", "reason", *_SCORE)


class DamagedRunWarning(UserWarning):
    """A run, or its scores, cannot be read; the table leaves it out."""


def results(workspace: str | Path | None = None) -> pd.DataFrame:
    """All runs of a workspace as one long table: a row per cell, stage, protocol, share of test points and metric.

    A cell without scores (skipped, failed, unfinished) has one row, without a metric. ``final`` marks the stage that
    the cell is ranked by; ``split`` is ``test`` but for what was scored with labels that are never ranked.

    Args:
        workspace: folder of runs; as for the command line by default (``DABENCH_WORKSPACE``, else ``workspace/``).

    Example:
        >>> import dabench
        >>> few = {"source-only": {"iterations": 2, "crop": 64, "batch": 1}}
        >>> for seed in (0, 1):
        ...     run = dabench.run(
        ...         method="source-only", task="human2stem", data="phantom", preset="tiny", seed=seed, options=few,
        ...         tracker="none",
        ...     )
        >>> table = dabench.results()
        >>> table.query("task == 'human2stem' and metric == 'dice'").groupby("method")["seed"].nunique().to_dict()
        {'source-only': 2}
    """
    runs, damaged = read_results(Workspace.find(workspace))
    for message in damaged:
        warnings.warn(message, DamagedRunWarning, stacklevel=2)
    return table_of(runs)


def read_results(workspace: Workspace) -> tuple[list[RunRecord], list[str]]:
    """The runs of a workspace that can be read, and what is wrong with the others."""
    found = list(read_runs(workspace.runs))
    runs = [run for run in found if not isinstance(run, DataError)]
    return runs, [str(error) for error in found if isinstance(error, DataError)]


def table_of(runs: Iterable[RunRecord]) -> pd.DataFrame:
    """The scores of these runs, with the columns of `results`."""
    import pandas as pd

    rows = [_cell(run) | score for run in runs for score in _scores(run)]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"test_points": float, "value": float})


def _cell(run: RunRecord) -> dict[str, Any]:
    tags = {name: _typed(name, run.tags.get(name, "")) for name in (*_IDENTITY, *_BUDGET)}
    return {"run": run.key, **tags, "origin": run.origin, "status": run.status, "reason": run.reason}


def _typed(name: str, text: str) -> Any:
    kind = _NUMBERS.get(name, str)
    try:
        return kind(text)
    except ValueError:
        return text


def _scores(run: RunRecord) -> Iterator[dict[str, Any]]:
    """Every number that a protocol gave, in the order of the journal; one row without a metric where there is none."""
    last = run.stages[-1].stage if run.stages else ""
    for scored in run.scores:
        place = {name: getattr(scored, name) for name in ("stage", "split", "protocol", "inference", "test_points")}
        for metric, value in scored.metrics.items():
            yield place | {"final": scored.stage == last, "metric": metric, "value": value}
    if not run.scores:
        yield {"stage": "", "split": "", "final": False, "metric": None} | {
            name: run.tags.get(name, "") for name in ("protocol", "inference")
        }


# --------------------------------------------------------------------------------------------------------------- boards
@dataclass(frozen=True)
class Boards(Sequence[Board]):
    """Ranked tables: one for each combination of data, preset, protocol and inference profile."""

    leaderboard: Leaderboard
    workspace: Workspace

    @overload
    def __getitem__(self, index: int) -> Board: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Board]: ...
    def __getitem__(self, index: int | slice) -> Board | Sequence[Board]:
        """One board, with every standing, test and note."""
        return self._boards[index]

    def __len__(self) -> int:
        """How many there are."""
        return len(self._boards)

    def __repr__(self) -> str:
        """How many boards and entries there are."""
        return f"Boards({len(self)} boards, {sum(len(board.standings) for board in self)} entries)"

    @property
    def _boards(self) -> list[Board]:
        return self.leaderboard.boards(shown=False)

    def to_frame(self) -> pd.DataFrame:
        """One row per entry of each board, best first.

        ``mean`` with its 95 % interval is over all tasks of the board; then comes one column for each task. ``rank`` is
        the mean rank; entries that share a letter in ``groups`` cannot be told apart. An ``upper``
        ``bracket`` is never ranked. ``difference`` is to ``reference``, in the unit of the scores; ``p`` is corrected
        for all these comparisons.
        """
        import pandas as pd

        return pd.DataFrame([_entry(board, standing) for board in self for standing in board.standings])

    @property
    def damaged(self) -> tuple[str, ...]:
        """Why each run was left out."""
        return self.leaderboard.damaged

    def to_markdown(self) -> str:
        """A heading, a table and its notes for each board."""
        return exports.to_markdown(self)

    def to_csv(self) -> str:
        """One line per cell: its entry, every tag and every metric."""
        return exports.to_csv(self.leaderboard.rows, self.leaderboard.entry_names, self.workspace.root)

    def to_json(self) -> str:
        """Every board with the scores of all metrics, and what was left out."""
        return exports.to_json(self.leaderboard.boards(), self.workspace.root, self.damaged)

    def to_html(self) -> str:
        """The page that `dabench leaderboard --html` writes; it works offline."""
        return render_html(self.leaderboard.boards(by_all=True, with_figures=True))


def board(
    suite: str = "",
    *,
    by: str = "dice",
    conditions: Sequence[str] = (),
    reference: str = "",
    store: str | None = None,
    refresh: bool = False,
    workspace: str | Path | None = None,
) -> Boards:
    """Rank the finished runs, as `dabench leaderboard` does.

    Args:
        suite: only this suite, with the names of its rows.
        by: what to rank by: ``dice``, ``aji``, ``pq``, or ``points_15/dice``.
        conditions: ``KEY=VALUE`` for any tag; all must hold.
        reference: an entry that all others are compared with; the lower bracket (`source-only`) by default.
        store: URI of an MLflow store, instead of the runs of the workspace.
        refresh: read every run again, not only what changed.
        workspace: folder of runs; as for the command line by default (``DABENCH_WORKSPACE``, else ``workspace/``).

    Raises:
        UnknownNameError: no run has this suite, tag, value, metric or reference.
        TrackingError: the store cannot be used.

    Example:
        >>> import dabench
        >>> few = {"source-only": {"iterations": 2, "crop": 64, "batch": 1}}
        >>> run = dabench.run(
        ...     method="source-only", task="human2stem", data="phantom", preset="tiny", options=few, tracker="none"
        ... )
        >>> table = dabench.board(conditions=["task=human2stem"]).to_frame()
        >>> table[["entry", "bracket", "preset"]].to_records(index=False).tolist()
        [('source-only', 'lower', 'tiny')]
    """
    found = read_boards(
        suite,
        by=by,
        conditions=conditions,
        reference=reference,
        store=store,
        refresh=refresh,
        workspace=workspace,
    )
    for message in found.damaged:
        warnings.warn(message, DamagedRunWarning, stacklevel=2)
    return found


def read_boards(
    suite: str = "",
    *,
    by: str = "dice",
    conditions: Sequence[str] = (),
    reference: str = "",
    store: str | None = None,
    refresh: bool = False,
    workspace: str | Path | None = None,
    observer: Observer | None = None,
) -> Boards:
    """What `board` gives, without its warnings; ``observer`` is told of runs as they are read into the index."""
    place = Workspace.find(workspace)
    found = load(
        place,
        by=by,
        suite=suite,
        conditions=conditions,
        reference=reference,
        uri=store,
        anew=refresh,
        observer=observer,
    )
    return Boards(found, place)


def _entry(board: Board, standing: Standing) -> dict[str, Any]:
    overall, rank = standing.overall, standing.rank
    costs = ("gap_closed", "annotation_seconds", "train_seconds", "peak_memory_bytes")
    by_task = {task: standing.scores.get(task, {}).get(board.metric) for task in board.tasks}
    return {
        **asdict(board.setting),
        "suite": board.suite,
        "metric": str(board.metric),
        "entry": standing.entry,
        "bracket": standing.bracket,
        "mean": overall.mean if overall else None,
        "low": overall.low if overall else None,
        "high": overall.high if overall else None,
        "rank": rank.mean if rank else None,
        "groups": standing.groups,
        "checked": standing.checked,
        "reference": standing.reference,
        "difference": standing.difference.mean if standing.difference else None,
        "p": standing.p,
        "missing": len(standing.missing),
        **{name: getattr(standing, name) for name in costs},
        **{task: interval.mean if interval else None for task, interval in by_task.items()},
    }
