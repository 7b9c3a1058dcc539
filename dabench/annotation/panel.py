"""Several simulated raters who answer the same questions, each with their own error rate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dabench.annotation.raters import Rater, TruthRater
from dabench.interfaces import RaterErrors, Truth, WeakLabel


class RaterPanel(Rater):
    """Asks every one of several simulated raters; the weak label makes one answer of theirs (`WeakLabel.combine`).

    They err on different questions and overlook different objects; the first is who would answer alone.

    Args:
        truth: dense labels of the training split, or what opens them; None where it has none.
        seed: of the draw.
        errors: of each rater; two or more.
        label_digest: names the content of the labels.
        seen: the same labels on the pixels that a model sees.
    """

    def __init__(
        self,
        truth: Truth | Callable[[], Truth] | None,
        seed: int,
        errors: Sequence[RaterErrors],
        label_digest: str,
        seen: Truth | Callable[[], Truth] | None = None,
    ) -> None:
        self._raters = [TruthRater(truth, seed, one, label_digest, seen, n) for n, one in enumerate(errors)]
        self.label = " + ".join(rater.label for rater in self._raters)

    def answer(self, kind: str, request: Any, weak: WeakLabel) -> list[Any]:
        return weak.combine([rater.answer(kind, request, weak) for rater in self._raters])

    def identity(self, kind: str, weak: WeakLabel) -> dict[str, Any]:
        return {"rater": "panel", "raters": [rater.identity(kind, weak) for rater in self._raters]}
