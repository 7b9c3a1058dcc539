"""What a check is, how it says that something is wrong, and what comes out of it."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dabench.components.registry import Registered
from dabench.testing.fixtures import Fixtures


class Violation(AssertionError):
    """A component breaks its contract. The message is for its author: what, where, the value seen."""


@dataclass(frozen=True)
class Outcome:
    """One check of one component; ``problem`` is empty when it holds."""

    component: str
    check: str
    problem: str = ""


@dataclass(frozen=True)
class Check:
    """A rule that every component of a kind keeps; ``run`` raises `Violation` when one does not."""

    name: str
    run: Callable[[Fixtures, Registered], None]


@dataclass(frozen=True)
class Case:
    """One check, ready to run on one component."""

    fixtures: Fixtures = field(repr=False)
    item: Registered = field(repr=False)
    check: Check = field(repr=False)

    @property
    def component(self) -> str:
        """``kind:name`` of the component."""
        return f"{self.item.kind}:{self.item.name}"

    def __str__(self) -> str:
        return f"{self.component}-{self.check.name.replace(' ', '_')}"

    def run(self) -> None:
        """Raise `Violation`, or whatever the component raises."""
        self.check.run(self.fixtures, self.item)

    def outcome(self) -> Outcome:
        """Run, and put what went wrong into words."""
        try:
            self.run()
        except Violation as violation:
            return Outcome(self.component, self.check.name, str(violation))
        except Exception as error:
            return Outcome(self.component, self.check.name, _where(error))
        return Outcome(self.component, self.check.name)


def _where(error: Exception) -> str:
    """An exception with the place that raised it: the innermost frame outside dabench where there is one."""
    frames = traceback.extract_tb(error.__traceback__)
    core = str(Path(__file__).parents[1])
    own = [f for f in frames if not f.filename.startswith(core) and "site-packages" not in f.filename]
    frame = (own or frames)[-1]
    return f"raised {type(error).__name__}: {error} ({frame.filename}:{frame.lineno})"


def expect(holds: object, problem: str) -> None:
    """Raise a `Violation` with this message unless something holds."""
    if not holds:
        raise Violation(problem)


def expect_tensor(
    what: str, tensor: Any, shape: tuple[int, ...], low: float | None = None, high: float | None = None
) -> None:
    """A finite floating tensor of this shape, within a range where one is given."""
    expect(isinstance(tensor, Tensor), f"{what} is a {type(tensor).__name__}, not a torch.Tensor")
    expect(tuple(tensor.shape) == shape, f"{what} has shape {tuple(tensor.shape)}, expected {shape}")
    expect(tensor.is_floating_point(), f"{what} has type {tensor.dtype}, expected a floating one")
    expect(torch.isfinite(tensor).all(), f"{what} holds NaN or infinity")
    tensor = tensor.detach()
    if low is not None and tensor.numel():
        expect(
            float(tensor.min()) >= low, f"{what} goes down to {float(tensor.min()):g}, lowest legal value is {low:g}"
        )
    if high is not None and tensor.numel():
        expect(
            float(tensor.max()) <= high, f"{what} goes up to {float(tensor.max()):g}, highest legal value is {high:g}"
        )


def expect_same(what: str, first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    """Two sets of named tensors are equal bit for bit."""
    expect(set(first) == set(second), f"{what}: other tensors ({sorted(set(first) ^ set(second))[:4]})")
    other = [name for name in first if not torch.equal(first[name], second[name])]
    expect(not other, f"{what}: {len(other)} of {len(first)} tensors differ, first {other[:3]}")
