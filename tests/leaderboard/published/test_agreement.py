"""Agreement of preferences for images and for their patches, by hand-made answers."""

from __future__ import annotations

import numpy as np
import pytest

from dabench.annotation.set_answers import write_set
from dabench.errors import DataError
from dabench.leaderboard.published.agreement import Answer, agreeing_patches, answers_of, read_answers, thresholds_of
from dabench.ops.choice import candidate_digests, pack_question
from dabench.types import PreferenceAnswer, PreferenceQuestion, Window

FULL = 5


def image(choice, y=0, x=0, z=0, shown=FULL):
    return Answer(z, Window(y, x, 96, 96), shown, choice)


def patches(choices, y=0, x=0, z=0, shown=FULL):
    """Nine patches of a tile, row by row; "-" was not asked."""
    places = [(y + 32 * i, x + 32 * j) for i in range(3) for j in range(3)]
    return [
        Answer(z, Window(py, px, 32, 32), shown, int(choice))
        for (py, px), choice in zip(places, choices, strict=True)
        if choice != "-"
    ]


def test_patches_with_the_image_s_pick_are_counted():
    whole = [image(1), image(3, x=96), image(0, z=1)]
    parts = [*patches("111023444"), *patches("0000000--", x=96), *patches("000000000", z=1)]
    assert agreeing_patches(whole, parts) == [3, 0, 9]


def test_patches_of_another_slice_or_tile_say_nothing():
    assert agreeing_patches([image(1)], [*patches("111111111", z=1), *patches("111111111", x=96)]) == [0]


def test_a_pick_among_fewer_masks_cannot_be_named():
    """With equal masks left out, the second of four may be any threshold; the first is always the one nearest 0.5."""
    few = patches("111111111", shown=4)
    assert agreeing_patches([image(1), image(1, z=9)], few) == [0, 0]
    assert agreeing_patches([image(1, shown=4), image(2, z=9)], patches("111111111")) == [0], "the image takes no part"
    assert agreeing_patches([image(0, shown=3), image(2, z=9)], patches("000111111", shown=2)) == [3, 0]


def test_tiles_that_were_moved_inside_take_no_part():
    """A slice of 160 pixels has tiles at 0 and at 64, which overlap: the second has not all of its patches."""
    assert agreeing_patches([image(1), image(1, x=64)], patches("111111111")) == [9]


def test_a_rater_who_cannot_say_agrees_with_nobody():
    nobody = Answer(0, Window(0, 0, 96, 96), FULL, None)
    assert agreeing_patches([nobody], patches("111111111")) == []
    assert agreeing_patches([], []) == []


def test_files_of_a_run_are_read(tmp_path):
    path = tmp_path / "preferences.jsonl"
    path.write_text(
        '{"who": "a", "patch": [2, 0, 32, 96, 96], "candidates": ["x", "y"], "choice": 1, "seconds": 5}\n'
        '{"who": "a", "patch": [2, 0, 0, 32, 32], "candidates": ["x"], "choice": null, "seconds": 5}\n'
    )
    first, second = read_answers(path)
    assert first == Answer(2, Window(0, 32, 96, 96), 2, 1)
    assert second.choice is None


def test_a_run_keeps_a_data_set_where_older_ones_kept_lines(tmp_path):
    folder = tmp_path / "annotation"
    assert answers_of(tmp_path) is None
    folder.mkdir()
    (folder / "preferences.jsonl").write_text("")
    assert answers_of(tmp_path) == folder / "preferences.jsonl"
    masks = np.eye(8, dtype=bool).reshape(1, 8, 8).repeat(2, axis=0)
    masks[1, 0] = True
    window = Window(0, 32, 8, 8)
    asked = PreferenceQuestion(2, window, np.zeros((8, 8), np.float32), masks, thresholds=(0.5, 0.3))
    common = {"candidate_digests": candidate_digests(masks), "question": pack_question(asked)}
    answers = [PreferenceAnswer(2, window, chosen, 5.0, "a", **common) for chosen in ((1,), (0, 1))]
    write_set(folder / "preferences", answers, {})
    assert answers_of(tmp_path) == folder / "preferences"
    assert read_answers(folder / "preferences") == [
        Answer(2, window, 2, 1, frozenset({0.3})),
        Answer(2, window, 2, None),
    ]


def test_a_pick_stands_for_every_threshold_that_gives_its_mask():
    every = (0.3, 0.4, 0.5, 0.6, 0.7)
    assert thresholds_of(0.5, (0.5, 0.7), every) == {0.3, 0.4, 0.5, 0.6}
    assert thresholds_of(0.7, (0.5, 0.7), every) == {0.7}
    assert thresholds_of(0.4, (0.5, 0.4, 0.6), every) == {0.3, 0.4}
    assert thresholds_of(0.7, (0.7,), (0.6, 0.7)) == {0.6, 0.7}, "0.5 was no candidate"


def test_picks_with_thresholds_agree_where_they_share_one():
    """Of three masks in place of five the second is no longer unknown."""
    whole = [Answer(0, Window(0, 0, 96, 96), FULL, 3, frozenset({0.6}))]
    few = [Answer(0, Window(0, x, 32, 32), 3, 1, frozenset(t)) for x, t in ((0, {0.6, 0.7}), (32, {0.3}), (64, {0.6}))]
    assert agreeing_patches(whole, few) == [2]


@pytest.mark.parametrize("line", ["{", '{"patch": [1, 2]}', '{"patch": [0,0,0,1,1], "candidates": 3, "choice": 0}'])
def test_a_damaged_line_is_named(tmp_path, line):
    path = tmp_path / "preferences.jsonl"
    path.write_text(f'{{"patch": [0,0,0,1,1], "candidates": [], "choice": 0}}\n{line}\n')
    with pytest.raises(DataError, match=r"preferences\.jsonl, line 2"):
        read_answers(path)
    with pytest.raises(DataError, match="cannot read"):
        read_answers(tmp_path / "nowhere.jsonl")
