"""How much of an entry a stranger can get hold of: code, weights, data, seeds and predictions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dabench.leaderboard.entries import Entry, seed_of
from dabench.leaderboard.rows import Row

#: What each point is for, in the order in which they are shown.
CRITERIA = {
    "code": "every run records the commit or the released versions that made it",
    "weights": "the weights of every run are kept, so they can be shared as a model file",
    "data": "every data set has a public source and terms of use, or is made by dabench",
    "seeds": "at least three seeds on every task of the board, and no missing run",
    "predictions": "every run has its predictions and a receipt, so its scores can be computed again",
}
_SEEDS = 3
_UNKNOWN = ("", "none", "unknown")
#: A version as a release has it, in ``NAME==VERSION``.
_DEVELOPMENT = ".dev"


@dataclass(frozen=True)
class Openness:
    """Which of `CRITERIA` an entry meets."""

    met: Mapping[str, bool]

    def __str__(self) -> str:
        """As the site shows it: ``4/5``."""
        return f"{sum(self.met.values())}/{len(self.met)}"

    @property
    def lacking(self) -> tuple[str, ...]:
        """What is not met."""
        return tuple(name for name, fulfilled in self.met.items() if not fulfilled)


def openness(entry: Entry, tasks: Sequence[str], public: Collection[str], weighted: Collection[str]) -> Openness:
    """The points of an entry.

    Args:
        entry: with its runs; nothing is met by an entry that has none.
        tasks: those of the board.
        public: domains with a public source and terms of use.
        weighted: run directories whose weights are kept.
    """
    rows = [row for row in entry.rows if row.status == "ok"]
    met = {
        "code": all(map(_has_code, rows)),
        "weights": all(row.path in weighted for row in rows),
        "data": all(domain in public for row in rows for domain in domains_of(row)),
        "seeds": all(len({seed_of(row) for row in rows if row.tags["task"] == task}) >= _SEEDS for task in tasks)
        and len(rows) == len(entry.rows)
        and not entry.absent,
        "predictions": all(map(_has_predictions, rows)),
    }
    return Openness({name: bool(rows) and met[name] for name in CRITERIA})


def domains_of(row: Row) -> tuple[str, ...]:
    """Names of the domains of a run's task, as they are registered: a phantom's are ``phantom-NAME``."""
    names = (row.tags.get("source", ""), row.tags.get("target", ""))
    if row.tags.get("data") != "phantom":
        return names
    return tuple(name if name.startswith("phantom-") else f"phantom-{name}" for name in names)


def _has_code(row: Row) -> bool:
    if row.tags.get("git_commit", "") not in _UNKNOWN:
        return True
    versions = row.tags.get("plugin_versions", "")
    return versions not in _UNKNOWN and _DEVELOPMENT not in versions


def _has_predictions(row: Row) -> bool:
    path = Path(row.path)
    return bool(row.path) and (path / "receipt.json").is_file() and any((path / "predictions").glob("*"))
