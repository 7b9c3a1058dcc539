"""The leaderboard for programs and documents: CSV of cells, JSON of boards, Markdown of tables."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from dabench.leaderboard.board import Board
from dabench.leaderboard.metric import Metric
from dabench.leaderboard.rows import Row, order
from dabench.leaderboard.tables import text_table
from dabench.tracking.translate import IDENTITY

#: Columns that open a CSV line, before the other tags and the metrics.
_FIRST = ("entry", *IDENTITY)


def to_csv(rows: Iterable[Row], entries: Mapping[tuple[str, str], str], root: Path) -> str:
    """One line per cell: the entry that it belongs to, every tag, every metric, its run directory below ``root``.

    Args:
        rows: cells of any status and setting.
        entries: (cell id, origin) -> name of the entry.
        root: the workspace.
    """
    ordered = sorted(rows, key=order)
    tags = sorted({name for row in ordered for name in row.tags} - set(_FIRST))
    metrics = sorted({name for row in ordered for name in row.metrics})
    out = io.StringIO()
    writer = csv.DictWriter(out, [*_FIRST, *tags, *metrics, "path"], restval="", lineterminator="\n")
    writer.writeheader()
    for row in ordered:
        entry = entries.get((row.cell_id, row.origin), "")
        writer.writerow({**row.tags, **row.metrics, "entry": entry, "path": below(row.path, root)})
    return out.getvalue()


def to_json(boards: Sequence[Board], root: Path, damaged: Sequence[str] = ()) -> str:
    """Every board but its figures; paths below ``root``, no NaN."""
    content = {"boards": [_board(board, root) for board in boards], "damaged": list(damaged)}
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def to_markdown(boards: Sequence[Board]) -> str:
    """A heading, a table and its notes for each board, as pages and README files take them."""
    return "\n".join(text_table(board).to_markdown() for board in boards)


def below(path: str, root: Path) -> str:
    """A path relative to ``root`` where it lies there, else the name alone: what is passed on names no folder."""
    found = Path(path)
    return found.relative_to(root).as_posix() if path and found.is_relative_to(root) else found.name


def plain(value: Any, but: frozenset[str] = frozenset(), digits: int = 17) -> Any:
    """Records, mappings and numbers as JSON takes them: no NaN and no infinity.

    Args:
        value: of any depth.
        but: fields of records that are left out.
        digits: significant ones of numbers that are not whole.
    """
    if isinstance(value, str | int) or value is None:
        return value
    if isinstance(value, Metric):
        return str(value)
    if is_dataclass(value):
        return {f.name: plain(getattr(value, f.name), but, digits) for f in fields(value) if f.name not in but}
    if isinstance(value, Mapping):
        return {str(key): plain(item, but, digits) for key, item in value.items()}
    if isinstance(value, Iterable):
        return [plain(item, but, digits) for item in value]
    number = float(value)
    return float(f"{number:.{digits}g}") if math.isfinite(number) else None


def _board(board: Board, root: Path) -> dict[str, Any]:
    values: dict[str, Any] = plain(board, but=frozenset({"figures"}))
    for standing in values["standings"]:
        for cell in standing["cells"]:
            cell["path"] = below(cell["path"], root)
            cell["panels"] = [below(panel, root) for panel in cell["panels"]]
    return values
