"""What makes a malformed file, by the words of its error; the cases are kept in one table."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

STACK = np.random.default_rng(0).integers(0, 255, (6, 20, 24), np.uint8)
CASES: dict[str, tuple[Callable[[Path], Path], str]] = {}


def case(words: str) -> Callable[[Callable[[Path], Path]], Callable[[Path], Path]]:
    """Register what makes a malformed file, and the words of its error."""

    def keep(make: Callable[[Path], Path]) -> Callable[[Path], Path]:
        CASES[make.__name__] = make, words
        return make

    return keep


def halved(path: Path, share: float = 0.5) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path
