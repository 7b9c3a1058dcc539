"""Whether rows stand in the paper's order here too, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from dabench.leaderboard.metric import Metric
from dabench.leaderboard.published.table import Comparison, MeanGain

#: Pairs that are named; all are counted.
_NAMED = 6


@dataclass(frozen=True)
class Order:
    """Pairs of rows by one metric: those in the paper's order here, and the others with both differences (points)."""

    metric: Metric
    rows: int
    kept: int
    turned: tuple[tuple[str, str, float, float], ...]

    @property
    def pairs(self) -> int:
        """Pairs of which the paper puts one first."""
        return self.kept + len(self.turned)


def orders(table: Comparison) -> list[Order]:
    """By metric, from mean gains over tasks: these compare even where tasks or presets differ."""
    found = []
    for metric in dict.fromkeys(gain.metric for gain in table.gains):
        gains = [gain for gain in table.gains if gain.metric == metric]
        known = [gain for gain in gains if gain.ours is not None and gain.theirs is not None]
        if len(known) > 1:
            found.append(_order(metric, known))
    return found


def _order(metric: Metric, gains: Sequence[MeanGain]) -> Order:
    kept, turned = 0, list[tuple[str, str, float, float]]()
    for one, other in combinations(gains, 2):
        assert one.ours is not None
        assert one.theirs is not None
        assert other.ours is not None
        assert other.theirs is not None
        if one.theirs == other.theirs:
            continue
        high, low = (one, other) if one.theirs > other.theirs else (other, one)
        theirs, ours = abs(one.theirs - other.theirs), (one.ours - other.ours) * (1 if high is one else -1)
        if ours > 0:
            kept += 1
        else:
            turned.append((high.row, low.row, theirs, ours))
    turned.sort(key=lambda pair: pair[3])
    return Order(metric, len(gains), kept, tuple(turned))


def told(table: Comparison) -> Iterator[str]:
    """A sentence for each metric; one that says so where no two rows have both numbers."""
    found = orders(table)
    if not found:
        yield "Order: fewer than two rows have a number both here and in the paper."
    for order in found:
        name = order.metric.plain.title + order.metric.label
        head = f"Order by {name} ({order.rows} rows, mean gains): {order.kept} of {order.pairs} pairs as in the paper."
        named = [
            f"{a} over {b} (theirs +{theirs:.1f}, ours {ours:+.1f})" for a, b, theirs, ours in order.turned[:_NAMED]
        ]
        more = f" and {len(order.turned) - _NAMED} more" if len(order.turned) > _NAMED else ""
        yield f"{head} Not kept: {'; '.join(named)}{more}." if named else f"{head} The order is kept."
