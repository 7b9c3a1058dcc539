"""Blank slices, and shares that are too large."""

import numpy as np
import pytest

from dabench.data.origin import Blank, absent_of, blank_slices, need_seen, need_stored, spread
from dabench.data.volumes import ArrayVolume, SliceRange
from dabench.errors import DataError


class Sparse(ArrayVolume):
    """One chunk a slice, of which the first two are not stored."""

    def absent(self, slices: range) -> tuple[int, int]:
        """As a reader's volume."""
        return sum(z < 2 for z in slices), len(slices)


def stack() -> np.ndarray:
    values = np.arange(5 * 6 * 7, dtype=np.uint8).reshape(5, 6, 7)
    values[1], values[3] = 0, 200
    values[4, :5] = 9  # not blank: its last row differs
    return values


def test_blank_slices():
    assert blank_slices(ArrayVolume(stack()), range(5)) == [1, 3]
    assert blank_slices(ArrayVolume(stack() == 200), range(5)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("rows", [1, 4, 6])
def test_blank_slices_are_the_same_read_box_by_box(rows):
    blank = Blank(5)
    for first in range(0, 6, rows):
        blank.see(stack()[:2, first : first + rows], 0)
        blank.see(stack()[2:, first : first + rows], 2)
    assert blank.count() == 2
    assert Blank(5).count() == 0, "what was not read is not blank"


def test_too_much_that_is_not_stored():
    volume = Sparse(stack())
    assert need_stored(volume, "x", 0.5, "--blank").missing == 2
    with pytest.raises(DataError, match=r"x: 2 of 5 chunks \(40%\) .*at most 30% may") as caught:
        need_stored(volume, "x", 0.3, "--blank")
    assert caught.value.mend.endswith("--blank 0.4")
    assert need_stored(SliceRange(volume, 2, 5, "x"), "x", 0, "--blank").missing == 0
    assert absent_of(SliceRange(SliceRange(volume, 1, 5, "x"), 0, 2, "x")).missing == 1
    assert absent_of(ArrayVolume(stack())).missing == 0


def test_too_many_blank_slices():
    need_seen(0, 5, "x", 0, "--blank")
    need_seen(2, 5, "x", 0.4, "--blank")
    with pytest.raises(DataError, match="x: 2 of 6 slices that were looked at hold one value") as caught:
        need_seen(2, 6, "x", 0.3, "--blank")
    assert caught.value.mend.endswith("--blank 0.34"), "rounded up, so that it is enough"


def test_spread():
    assert spread(3) == [0, 1, 2]
    assert (spread(1000)[0], spread(1000)[-1], len(spread(1000))) == (0, 999, 16)
