"""The jobs that chunks are shared among, and the files by which they are told and answer. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from dabench.execution.jobs import Job, Resources

#: What all jobs are told, in the folder of the output in the making.
ASSIGNMENT = "assignment.pickle"


def share_jobs(numbers: Sequence[int], shares: int, asked: Resources, sent: bool = False) -> Iterator[Job]:
    """Jobs that predict these chunks, the first every so-manieth from the first, and so on; ``sent``: with pixels.

    >>> [job.arguments["numbers"] for job in share_jobs([2, 3, 5, 7, 8], 2, Resources())]
    [[2, 5, 8], [3, 7]]
    """
    for share in range(min(shares, len(numbers))):
        own = list(numbers[share::shares])
        yield Job(
            f"chunks-{own[0]}",
            "dabench.volumes.prediction.processes:predict_chunks",
            {"numbers": own, "threads": asked.cores},
            f"{len(own)} chunks from {own[0]}",
            asked,
            reads=(ASSIGNMENT, *(str(pixels(Path(), n)) for n in own)) if sent else (),
            makes=tuple(str(result(Path(), n)) for n in own),
        )


def pixels(root: Path, number: int) -> Path:
    """What a job reads of a chunk where machines share no files."""
    return root / "pixels" / f"{number}.npy"


def result(root: Path, number: int) -> Path:
    """What a job leaves of a chunk."""
    return root / "results" / f"{number}.npz"
