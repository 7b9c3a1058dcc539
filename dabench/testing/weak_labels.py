"""Checks of weak labels: simulated, written, read, matched and priced.

A kind is asked for a share of the units of two slices, as its `WeakLabel.request` says; `preferences` for patches. Of
a kind that has no such request the file rules alone are checked.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dabench.annotation.desk import plain
from dabench.components.registry import Registered
from dabench.data.volumes import ArrayVolume
from dabench.errors import DataError
from dabench.interfaces import WeakLabel
from dabench.testing.fixtures import SIDE, Fixtures, discs
from dabench.testing.outcomes import Check, Violation, expect
from dabench.types import PointRequest, PreferenceQuestion, PreferenceRequest, Window

Simulate = Callable[[float], list[Any]]


class _Truth:
    """Dense labels of a volume with discs."""

    def __init__(self, labels: ArrayVolume) -> None:
        self._labels = labels

    def labels(self, z: int) -> Any:
        return self._labels.read(z)

    def __len__(self) -> int:
        return self._labels.shape[0]


def _request(name: str, label: WeakLabel) -> Any:
    return PreferenceRequest(_questions()) if name == "preferences" else label.request(0.5, (0, 1))


def _questions() -> tuple[PreferenceQuestion, ...]:
    """Three patches: the middle of the true mask, one grown mask and one empty mask to choose from."""
    images, labels = discs(0)
    found = []
    for z, y in ((0, 0), (0, 40), (1, 60)):
        window = Window(y, 10, 40, 48)
        mask = labels.read(z)[window.slices] == 1
        candidates = np.stack([np.zeros_like(mask), mask, np.ones_like(mask)])
        found.append(PreferenceQuestion(z, window, images.read(z)[window.slices], candidates))
    return tuple(found)


def _set_up(fixtures: Fixtures, item: Registered) -> tuple[WeakLabel, Any, Simulate]:
    label: WeakLabel = fixtures.make(item)
    request, truth = _request(item.name, label), _Truth(discs(0)[1])

    def simulate(error_rate: float) -> list[Any]:
        return label.simulate(request, truth, np.random.default_rng(7), error_rate)

    return label, request, simulate


def _content(answers: list[Any]) -> list[Any]:
    """What decides an answer, in comparable form: who gave it, when and in what time does not."""
    return [_decisive(plain(answer)) for answer in answers]


def _decisive(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _decisive(part) for name, part in value.items() if name not in ("rater", "seconds", "when")}
    if isinstance(value, list):
        return [_decisive(part) for part in value]
    return round(value, 4) if isinstance(value, float) else value


def repeatable(fixtures: Fixtures, item: Registered) -> None:
    """The same generator gives the same answers; errors of the rater never break it."""
    _, request, simulate = _set_up(fixtures, item)
    if request is None:
        return
    expect(_content(simulate(0.0)) == _content(simulate(0.0)), "simulate: other answers for an equal generator")
    expect(_content(simulate(1.0)) != _content(simulate(0.0)), "simulate: an error rate of 1 changes no answer")


def round_trip(fixtures: Fixtures, item: Registered) -> None:
    """What was written is read and matched to the same answers."""
    label, request, simulate = _set_up(fixtures, item)
    if request is None:
        return
    answers, path = simulate(0.0), fixtures.new_folder(item.name) / "answers.txt"
    expect(answers, "simulate gave no answer at all")
    label.write(answers, path, {"domain": "conformance", "split": "train"})
    expect(path.exists(), f"write: no file {path.name}")
    matched = label.match(request, label.read(path))
    seen, wanted = _content(matched), _content(answers)
    expect(seen == wanted, f"after write, read and match: {seen[:2]}, simulated were {wanted[:2]}")


def priced(fixtures: Fixtures, item: Registered) -> None:
    """A price in seconds, finite and not negative; nothing costs nothing."""
    label, request, simulate = _set_up(fixtures, item)
    expect(label.price([]) == 0, f"price([]) is {label.price([])!r}, not 0")
    if request is None:
        return
    price = label.price(simulate(0.0))
    expect(np.isfinite(price) and price > 0, f"price of simulated answers is {price!r}")


def metered(fixtures: Fixtures, item: Registered) -> None:
    """A share is charged as a share, the same request twice as once; an answer of another volume is refused."""
    label, request, simulate = _set_up(fixtures, item)
    shape = discs(0)[1].shape
    expect(label.units([]) == 0, f"units([]) is {label.units([])!r}, not 0")
    if request is None:
        return
    key = label.key(request, shape)
    once, twice = label.charge([key], shape), label.charge([key, label.key(request, shape)], shape)
    expect(0 < once <= 1, f"charge of one request is {once!r}, expected a share in (0, 1]")
    expect(once == twice, f"charge: {once!r} for a request, {twice!r} for it twice")
    answers = simulate(0.0)
    expect(label.units(answers) > 0, f"units of simulated answers is {label.units(answers)!r}")
    label.check(answers, shape)
    try:
        label.check(answers, (0, 0, 0))
    except DataError:
        return
    raise Violation("check: answers of another volume are not refused")


def malformed_file(fixtures: Fixtures, item: Registered) -> None:
    """A missing file, nonsense, and a good file with a broken end are DataErrors that name the file."""
    label, request, simulate = _set_up(fixtures, item)
    folder = fixtures.new_folder(item.name)
    nonsense = folder / "nonsense.txt"
    nonsense.write_bytes(b"\x00\xff\xfe nothing that anybody wrote \x80\n")
    files = [folder / "missing.txt", nonsense]
    if request is not None:
        files.append(folder / "broken-end.txt")
        label.write(simulate(0.0), files[-1])
        for file in [files[-1]] if files[-1].is_file() else files[-1].glob("*.jsonl"):
            file.write_bytes(file.read_bytes() + b"???\n")
    for path in files:
        _expect_data_error(label, path)


def _expect_data_error(label: WeakLabel, path: Path) -> None:
    try:
        seen = label.read(path)
    except DataError as error:
        expect(path.name in str(error), f"the DataError for {path.name} does not name the file: {error}")
        return
    raise Violation(f"read({path.name}) gave {len(seen)} answers, expected a DataError")


def whole_slices(fixtures: Fixtures, item: Registered) -> None:
    """Points lie on their slice."""
    _, request, simulate = _set_up(fixtures, item)
    if not isinstance(request, PointRequest):
        return
    for answer in (answer for answer in simulate(0.0) + simulate(1.0) if hasattr(answer, "points")):
        inside = Window(0, 0, SIDE, SIDE).contains(answer.points)
        expect(inside.all(), f"slice {answer.z}: point {answer.points[~inside][:1].tolist()} lies outside")


CHECKS = (
    Check("repeatable", repeatable),
    Check("round trip", round_trip),
    Check("price", priced),
    Check("metering", metered),
    Check("malformed file", malformed_file),
    Check("points on the slice", whole_slices),
)
