"""Boards of made-up records: brackets, an incomplete entry, a stranger's one, published rows, two metrics' ranks."""

from __future__ import annotations

import random
from pathlib import Path

from made_up_cells import AJI, DICE, PQ
from PIL import Image, ImageDraw

from dabench.leaderboard.board import Board, BoardKey, CellLink, PublishedRow, Standing
from dabench.leaderboard.metric import Metric
from dabench.statistics.intervals import Interval
from dabench.statistics.pairs import PairTest

METRICS = (DICE, AJI, PQ)
TASKS = ("vnc2lucchi", "lucchi2vnc", "human2rat")
SETTING = BoardKey("real", "small", "das-2d@1", "fast")
#: What a stranger might put into a name or a reason.
ATTACK = '<img src=x onerror="window.attacked=1"></script><script>window.attacked=1</script>'
FIGURE = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 300 80"><script>window.top.attacked=1</script>'
    '<path d="M20 40H280" stroke="#333"/><circle cx="90" cy="40" r="6" fill="#0b6e75"/></svg>'
)


def interval(mean: float, spread: float = 0.04, seeds: int = 3) -> Interval:
    return Interval(mean, mean - spread, mean + spread, 0.3 * spread if seeds > 1 else None, seeds)


def standing(
    entry: str, mean: float, tasks: tuple[str, ...] = TASKS, seeds: int = 3, origin: str = "here", **changes
) -> Standing:
    """An entry whose Dice rises by two points a task; AJI is 15 and PQ 30 points lower."""
    scores = {
        task: {m: interval(mean + 0.02 * i - 0.15 * k, seeds=seeds) for k, m in enumerate(METRICS)}
        for i, task in enumerate(tasks)
    }
    cells = tuple(
        CellLink(f"{entry}-{task}-s{seed}", task, seed, "ok", origin=origin) for task in tasks for seed in range(seeds)
    )
    tags = {"method": entry.split(" ")[0], "po": entry.partition("(")[2].rstrip(")") or "none", "network": "promptable"}
    values = {"overall": interval(mean + 0.01 * (len(tasks) - 1), 0.03, seeds), "tags": tags, "cells": cells, **changes}
    return Standing(entry, scores, **values)


def standings() -> tuple[Standing, ...]:
    failed = CellLink("delta-human2rat-s0", "human2rat", 0, "failed", f"loss is NaN at step 12 {ATTACK}", origin=ATTACK)
    delta = standing("delta", 0.9, TASKS[:2], overall=None, missing=(f"human2rat: failed: {ATTACK}",))
    delta = Standing(**{**vars(delta), "cells": (*delta.cells, failed)})
    below = {"reference": "lower", "difference": Interval(-0.021, -0.05, 0.01), "p": 0.4}
    ranked = {"rank": Interval(1.4, 1.0, 2.2), "gap_closed": 0.81, "groups": "a"}
    return (
        standing("alpha (slpo)", 0.72, pareto=True, annotation_seconds=5400.0, train_seconds=830.0, **ranked),
        standing("alpha (gpo)", 0.70, groups="ab", rank=Interval(1.9, 1.2, 2.8), gap_closed=0.7, train_seconds=700.0),
        standing("beta", 0.61, groups="bc", rank=Interval(3.1, 2.4, 3.9), peak_memory_bytes=1.2e9, train_seconds=95.0),
        standing(f"gamma {ATTACK}", 0.55, seeds=1, origin=ATTACK, groups="c", rank=Interval(3.6, 2.9, 4.0), **below),
        standing("lower", 0.53, bracket="lower", groups="c", rank=Interval(4.5, 2.9, 5.0)),
        standing("upper", 0.82, bracket="upper"),
        delta,
    )


def board(metric: str = "dice", **changes) -> Board:
    rows = standings()
    names = [row.entry for row in rows[:4]]
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    differences = tuple(
        PairTest(a, b, interval(0.02 + 0.03 * k, 0.03), 0.2 / (1 + k) ** 3, min(1.0, 1.2 / (1 + k) ** 3))
        for k, (a, b) in enumerate(pairs)
    )
    printed = {task: {DICE: 0.86, AJI: 0.7} for task in TASKS}
    values = {
        "published": (PublishedRow("alpha (slpo)", "Table II", printed, "chosen with target labels"),),
        "differences": differences,
        "figures": {"Critical differences": FIGURE},
        "notes": ("An entry without all tasks is not ranked.", "Raters are simulated."),
        **changes,
    }
    return Board(SETTING, Metric(metric), METRICS, TASKS, rows, **values)


def with_panels(made: Board, folder: Path, slices: tuple[int, ...] = (1, 4)) -> Board:
    """The board with pictures of every finished cell, as a run writes them below ``panels/last``."""
    rows = tuple(
        Standing(**{**vars(row), "cells": tuple(_pictured(cell, folder / str(i), slices, i) for cell in row.cells)})
        for i, row in enumerate(made.standings)
    )
    return Board(**{**vars(made), "standings": rows})


def _pictured(cell: CellLink, folder: Path, slices: tuple[int, ...], place: int) -> CellLink:
    if cell.status != "ok":
        return cell
    last = folder / f"{cell.task}-{cell.seed}" / "panels" / "last"
    last.mkdir(parents=True)
    for z in slices:
        for kind in ("slice", "truth"):
            picture = Image.new("RGB", (200, 150), (90 + 20 * place, 110, 130))
            ImageDraw.Draw(picture).text((20, 60), f"{kind} {z} of {place}", "white")
            comment = f"Dice {50 + place}.{z}" if kind == "slice" else ""
            picture.save(last / f"{kind}-{z:04d}.jpg", comment=comment.encode())
    panels = tuple(str(path) for path in sorted(last.iterdir()))
    return CellLink(**{**vars(cell), "panels": panels})


def large(entries: int, cells: int, seed: int = 0) -> Board:
    """A board of many entries with ``cells`` cells each, in random order of quality."""
    draw = random.Random(seed)
    tasks = tuple(f"task{i}" for i in range(cells // 5))
    rows = tuple(standing(f"entry {i}", draw.uniform(0.3, 0.8), tasks, seeds=5, groups="a") for i in range(entries))
    return Board(SETTING, DICE, METRICS, tasks, rows)
