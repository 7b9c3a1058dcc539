"""Published weights that a component may start from, and what must be known about them to rank a result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    #: What is kept of a file: checked keys and shapes, under the names that the component has them by.
    Check = Callable[[Mapping[str, torch.Tensor]], Mapping[str, torch.Tensor]]


@dataclass(frozen=True)
class PublishedWeights:
    """A set of published weights.

    Args:
        name: what settings ask for them by (``pretrained``), and what `dabench weights add` calls them.
        file: the file's own name.
        where: the page on which people get it.
        trained_on: the data that they were trained on, in words.
        licences: terms of the code, of the weights and of the data, apart: they often differ.
        saw: domains of dabench that are among these data; None where that is not known.
        check: makes the stored tensors of a file's; raises WeightsError for those of another model.
        hub: whether the component itself asks a hub for them where they were not added.
    """

    name: str
    file: str
    where: str
    trained_on: str
    licences: Mapping[str, str]
    saw: tuple[str, ...] | None = None
    check: Check | None = field(default=None, repr=False)
    hub: bool = False

    @property
    def told(self) -> str:
        """What is missing and how it is got, in one sentence."""
        return f"weights {self.name!r} were not added: get {self.file} ({self.where}), then: {self.command}"

    @property
    def command(self) -> str:
        """The command that adds them."""
        return f"dabench weights add {self.name} {self.file}"
