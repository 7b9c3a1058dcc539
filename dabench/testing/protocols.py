"""Checks of evaluation protocols: perfect is 1, empty is handled, order does not matter, nothing is ever NaN."""

from __future__ import annotations

import math

import numpy as np

from dabench.components.registry import Registered
from dabench.interfaces import EvaluationProtocol, SliceScore
from dabench.ops.components import label_components
from dabench.testing.fixtures import Fixtures
from dabench.testing.outcomes import Check, expect
from dabench.types import Array

#: Published metric code divides by something plus 1e-6: perfect is 1 up to that.
_CLOSE = 1e-5


def _slices() -> list[tuple[Array, Array]]:
    """Predictions (bool) and binary labels of four slices: perfect, half wrong, mirrored, all foreground."""
    labels = [_two_objects(shift) for shift in range(4)]
    predictions = [labels[0] == 1, np.triu(labels[1]) == 1, labels[2][::-1] == 1, np.ones_like(labels[3], bool)]
    return list(zip(predictions, labels, strict=True))


def _two_objects(shift: int) -> Array:
    label = np.zeros((64, 72), np.uint8)
    label[8:24, 8:24] = 1
    label[34:54, 10 + 6 * shift : 40] = 1
    return label


def _label(protocol: EvaluationProtocol, binary: Array) -> Array:
    return label_components(binary == 1) if protocol.wants_instances else binary


def _fresh(fixtures: Fixtures, item: Registered) -> EvaluationProtocol:
    return fixtures.assembly.protocol(item.name)


def _score(protocol: EvaluationProtocol, slices: list[tuple[Array, Array]], order: list[int]) -> list[SliceScore]:
    return [protocol.update(z, slices[z][0], _label(protocol, slices[z][1])) for z in order]


def perfect(fixtures: Fixtures, item: Registered) -> None:
    """A prediction that equals the label scores 1 in every metric."""
    protocol, label = _fresh(fixtures, item), _slices()[0][1]
    row = protocol.update(0, label == 1, _label(protocol, label))
    result = protocol.result()
    expect(protocol.metrics, "metrics is empty; name the headline first")
    for metric in protocol.metrics:
        expect(metric in result, f"result() has no {metric!r}: {sorted(result)}")
        expect(abs(result[metric] - 1) < _CLOSE, f"{metric} of a perfect prediction is {result[metric]!r}, not 1")
        seen = row.values.get(metric)
        expect(seen is not None and abs(seen - 1) < _CLOSE, f"row: {metric} of a perfect prediction is {seen!r}, not 1")


def empty_on_both_sides(fixtures: Fixtures, item: Registered) -> None:
    """A slice without foreground on either side is left out, says so, and is counted."""
    protocol, empty = _fresh(fixtures, item), np.zeros((32, 32), np.uint8)
    row = protocol.update(0, empty == 1, _label(protocol, empty))
    expect(row.left_out, f"SliceScore.left_out is {row.left_out!r} for a slice that is empty on both sides")
    only = protocol.result()
    expect((only["n"], only["left_out"]) == (0, 1), f"n, left_out = {only['n']}, {only['left_out']}; expected 0, 1")
    label = _slices()[0][1]
    protocol.update(1, label == 1, _label(protocol, label))
    both = protocol.result()
    expect((both["n"], both["left_out"]) == (1, 1), f"n, left_out = {both['n']}, {both['left_out']}; expected 1, 1")
    for metric in protocol.metrics:
        expect(abs(both[metric] - 1) < _CLOSE, f"{metric} is {both[metric]!r}: the empty slice takes part in the mean")


def empty_on_one_side(fixtures: Fixtures, item: Registered) -> None:
    """Nothing predicted, or nothing there: 0, never NaN."""
    label = _slices()[0][1]
    empty = np.zeros_like(label)
    for what, predicted, truth in (("nothing predicted", empty, label), ("nothing there", label, empty)):
        protocol = _fresh(fixtures, item)
        row = protocol.update(0, predicted == 1, _label(protocol, truth))
        expect(not row.left_out, f"{what}: the slice was left out ({row.left_out})")
        result = protocol.result()
        for metric in protocol.metrics:
            expect(result[metric] == 0, f"{what}: {metric} is {result[metric]!r}, not 0")


def never_nan(fixtures: Fixtures, item: Registered) -> None:
    """Rows and results are finite and within [0, 1] for good and bad predictions."""
    protocol, slices = _fresh(fixtures, item), _slices()
    rows = _score(protocol, slices, [0, 1, 2, 3])
    for row in rows:
        broken = {k: v for k, v in row.values.items() if not math.isfinite(v)}
        expect(not broken, f"slice {row.z}: {broken}")
    result = protocol.result()
    for metric in protocol.metrics:
        expect(0 <= result[metric] <= 1, f"{metric} is {result[metric]!r}, expected 0 to 1")
    expect(result["n"] == len(rows), f"n is {result['n']} after {len(rows)} slices")


def any_order(fixtures: Fixtures, item: Registered) -> None:
    """The order of the slices does not matter."""
    slices, results = _slices(), []
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
        protocol = _fresh(fixtures, item)
        _score(protocol, slices, order)
        results.append(protocol.result())
    for metric in protocol.metrics:
        first, second = results[0][metric], results[1][metric]
        expect(abs(first - second) < 1e-9, f"{metric} is {first!r} or {second!r}, depending on the order of the slices")


def ignores_unknown(fixtures: Fixtures, item: Registered) -> None:
    """Pixels labelled 255, or with an id below 0, are ignored."""
    prediction, label = _slices()[1]
    wants_instances = _fresh(fixtures, item).wants_instances
    unknown = _label(_fresh(fixtures, item), label).copy()
    unknown[:40, :40] = -1 if wants_instances else 255
    flipped = prediction.copy()
    flipped[:40, :40] = ~flipped[:40, :40]
    first, second = _fresh(fixtures, item), _fresh(fixtures, item)
    first.update(0, prediction, unknown)
    second.update(0, flipped, unknown)
    for metric in first.metrics:
        pair = first.result()[metric], second.result()[metric]
        what = "with an id below 0" if wants_instances else "labelled 255"
        expect(abs(pair[0] - pair[1]) < 1e-9, f"{metric} changes with the prediction on pixels {what}: {pair}")


def predicted_ids(fixtures: Fixtures, item: Registered) -> None:
    """A rule that takes predicted ids gives 1 for the true ones, whatever they are called."""
    slices, results = _slices(), []
    if not _fresh(fixtures, item).takes_instances:
        return
    for factor in (1, 7):
        protocol = _fresh(fixtures, item)
        for z, (_, label) in enumerate(slices):
            protocol.update(z, factor * label_components(label == 1), _label(protocol, label))
        results.append(protocol.result())
    for metric in results[0]:
        first, second = results[0][metric], results[1][metric]
        expect(first == second, f"{metric} is {first!r} or {second!r}, depending on what the predicted ids are")
        expect(metric in ("n", "left_out") or abs(first - 1) < _CLOSE, f"{metric} of the true ids is {first!r}, not 1")


CHECKS = (
    Check("perfect prediction", perfect),
    Check("empty on both sides", empty_on_both_sides),
    Check("empty on one side", empty_on_one_side),
    Check("never NaN", never_nan),
    Check("any order", any_order),
    Check("ignores unknown pixels", ignores_unknown),
    Check("predicted ids", predicted_ids),
)
