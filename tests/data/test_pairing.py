"""Numbers in names of slices: what is strange about them, and whether images and labels are pairs."""

import pytest

from dabench.data.pairing import Numbering, mismatch, shift


def names(form: str, *numbers: int) -> list[str]:
    return [form.format(n) for n in numbers]


IM = names("im{:04d}.png", 0, 1, 2, 3, 4)


@pytest.mark.parametrize(
    ("files", "numbers"),
    [
        (names("im{:04d}.png", 0, 1, 3), (0, 1, 3)),
        (names("{}.png", 9, 10, 11), (9, 10, 11)),
        (names("scan2_x8nm_z{:03d}_v1.tif", 7, 8, 9), (7, 8, 9)),
        (["only12.png"], (12,)),
        (["a.png", "b.png"], (None, None)),
        (["s1_z1.png", "s1_z2.png", "s2_z3.png"], (1, 2, 3)),
        (["r0_c0.png", "r0_c1.png", "r1_c0.png", "r1_c1.png"], (None,) * 4),
        ([*names("im{}.png", 1, 2, 3), "im3 (1).png"], (1, 2, 3, None)),
        (["im-1.png", *names("im{}.png", 0, 1, 2)], (None, 0, 1, 2)),
    ],
)
def test_numbers(files, numbers):
    assert Numbering.of(files).numbers == numbers


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (IM, []),
        (names("im{}.png", 0, 1, 3, 4, 8), ["no slice bears the number 2, 5"]),
        (names("im{}.png", 0, 5, 10, 15), []),
        (names("im{}.png", 0, 5, 15, 20), ["no slice bears the number 10"]),
        ([*IM, "im0003 (1).png"], ["im0003 (1).png: named otherwise"]),
        ([*IM, "im0003 - Copy.png"], ["im0003 - Copy.png: named otherwise"]),
        (["im-2.png", "im-1.png", *IM], ["im-2.png, im-1.png: named otherwise"]),
        (["im01.png", "im1.png", "im2.png", "im3.png"], ["several slices bear the number 1"]),
        (["a.png", "b.png"], []),
        ([], []),
    ],
)
def test_doubts(files, words):
    found = Numbering.of(files).doubts()
    assert len(found) == len(words)
    assert all(word in text for word, text in zip(words, found, strict=True))


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (IM, names("seg{}.tif", 0, 1, 2, 3, 4), ""),
        (IM, names("seg{}.tif", 1, 2, 3, 4, 5), ""),
        (names("im{}.png", 400, 401, 402), names("seg{:04d}.tif", 0, 1, 2), ""),
        (IM, ["a.png", "b.png", "c.png", "d.png", "e.png"], ""),
        (IM, (), ""),
        (names("im{}.png", 0, 1, 3, 4, 5), names("seg{}.png", 0, 1, 2, 3, 4), "slice 2 is im3.png and seg2.png"),
        (names("im{}.png", 0, 1, 3, 4, 5), names("seg{}.png", 0, 1, 2, 3, 4), "no label has the number 5, no image"),
        (IM, names("seg{}.png", 0, 1, 3, 4), "no label has the number 2"),
        (names("im{}.png", 0, 5, 10), names("seg{}.png", 0, 1, 2), "no label has the number 5, 10"),
        ([*IM, "im0003 (1).png"], names("seg{}.png", 0, 1, 2, 3, 4, 5), "slice 5 is im0003 (1).png and seg5.png"),
    ],
)
def test_pairs(images, labels, words):
    found = mismatch(images, labels)
    assert words in found
    assert bool(found) == bool(words)


def test_numbers_that_are_shifted_are_pairs_and_are_said():
    assert shift(IM, names("seg{}.png", 1, 2, 3, 4, 5)) == 1
    assert shift(IM, IM) == shift(IM, ()) == 0
