"""The page as text: nothing to fetch, nothing a stranger wrote as markup, numbers and pictures as given."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
import re
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st
from made_up_boards import ATTACK, METRICS, SETTING, TASKS, board, standing, with_panels
from made_up_cells import DICE
from PIL import Image

from dabench.leaderboard.board import Board, BoardKey, CellLink
from dabench.leaderboard.html import render_html
from dabench.leaderboard.pictures import make_album
from dabench.statistics.intervals import Interval


class Reader(HTMLParser):
    """Tags, addresses, and the text of scripts, as a browser's parser sees them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.scripts: list[str] = []
        self.policy = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        values = dict(attrs)
        self.addresses += [values[name] for name in ("src", "href", "action", "data") if values.get(name)]
        if values.get("http-equiv") == "Content-Security-Policy":
            self.policy = values["content"]

    def handle_data(self, data):
        if self.tags and self.tags[-1] == "script":
            self.scripts.append(data)


def data_of(page: str) -> list[dict]:
    return json.loads(Reader(page).scripts[0])


def test_the_page_fetches_nothing():
    page = render_html([board()])
    read = Reader(page)
    assert all(address.startswith("data:") for address in read.addresses)
    assert not re.search(
        r"@import|url\(|fetch\(|XMLHttpRequest|sendBeacon|innerHTML|outerHTML|insertAdjacent|eval\(", page
    )
    assert "default-src 'none'" in read.policy
    assert "unsafe" not in read.policy


def test_the_policy_knows_the_script_and_the_style():
    page = render_html([board()])
    policy = Reader(page).policy
    for tag in ("style", "script"):
        text = page.rpartition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
        assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in policy


def test_names_of_strangers_are_no_markup():
    page = render_html([board(notes=(ATTACK,), suite="a")], title=ATTACK)
    read = Reader(page)
    assert "img" not in read.tags
    assert read.tags.count("script") == 2
    assert data_of(page)[0]["boards"][0]["notes"] == [ATTACK]


@given(st.text())
def test_any_text_survives(text):
    page = render_html([Board(SETTING, DICE, METRICS, (), (), notes=(text,))])
    assert data_of(page)[0]["boards"][0]["notes"] == [text]


def test_boards_of_a_setting_share_a_tab_and_settings_never():
    phantom = Board(BoardKey("phantom", "tiny", "das-2d@1", "fast"), DICE, METRICS, TASKS, ())
    tabs = data_of(render_html([board(), phantom, board("aji"), board(suite="table-2")]))
    assert [(t["setting"]["data"], t["suite"], [b["metric"] for b in t["boards"]]) for t in tabs] == [
        ("real", "", ["dice", "aji"]),
        ("phantom", "", ["dice"]),
        ("real", "table-2", ["dice"]),
    ]
    assert len(tabs[0]["cells"]["alpha (slpo)"]) == 9
    assert "cells" not in tabs[0]["boards"][0]["standings"][0]


def test_metrics_bring_their_titles_so_that_the_page_reads_no_names():
    prompted = DICE._replace(test_points=0.15)
    found = data_of(render_html([Board(SETTING, prompted, (*METRICS, prompted), TASKS, ())]))[0]["boards"][0]
    assert found["metric"] == "points_15/dice"
    assert found["titles"] == {
        "dice": "Dice",
        "aji": "AJI",
        "pq": "PQ",
        "points_15/dice": "Dice with 15% test points",
    }


def test_numbers_are_short_and_nan_is_no_value():
    row = standing("a", 0.5, overall=Interval(1 / 3, math.nan, math.inf), train_seconds=None)
    shown = data_of(render_html([Board(SETTING, DICE, METRICS, TASKS, (row,))]))[0]["boards"][0]["standings"][0]
    assert shown["overall"] == {"mean": 0.333333, "low": None, "high": None, "sd": None, "n": 1}
    assert shown["train_seconds"] is None


def test_no_path_of_the_machine_is_on_the_page(tmp_path):
    cell = CellLink("c", TASKS[0], 0, "ok", path=str(tmp_path))
    made = with_panels(Board(SETTING, DICE, METRICS, TASKS, (standing("a", 0.5, cells=(cell,)),)), tmp_path)
    page = render_html([made])
    assert len(data_of(page)[0]["album"]["pictures"]) == 4
    assert str(tmp_path) not in page


def test_no_boards_is_a_page_too():
    assert data_of(render_html([])) == []


# ---------------------------------------------------------------- pictures
def test_pictures_of_the_first_seed_truth_first_then_slice_by_slice(tmp_path):
    album = make_album(with_panels(board(), tmp_path).standings[:2])
    told = [(p.entry, p.task, p.z, p.seed) for p in album.pictures]
    assert told[:6] == [("", task, z, 0) for task in sorted(TASKS) for z in (1, 4)]
    assert [t[0] for t in told[6:12]] == ["alpha (slpo)"] * 3 + ["alpha (gpo)"] * 3
    assert {t[2] for t in told[6:12]} == {1}
    assert album.pictures[6].note == "Dice 50.1"
    image = Image.open(io.BytesIO(base64.b64decode(album.pictures[6].src.partition(",")[2])))
    assert (image.format, image.size) == ("JPEG", (200, 150))


def test_a_crowded_page_says_what_it_left_out(tmp_path):
    rows = with_panels(board(), tmp_path).standings[:2]
    whole = make_album(rows)
    album = make_album(rows, room=whole.size - 1)
    assert (len(album.pictures), album.no_room) == (len(whole.pictures) - 1, 1)
    assert album.size < whole.size
    assert make_album(rows, room=0).no_room == len(whole.pictures)


def test_strips_stand_in_where_a_run_has_no_fixed_slices(tmp_path):
    panels = tmp_path / "run" / "panels"
    panels.mkdir(parents=True)
    Image.new("RGB", (3000, 500)).save(panels / "slice-0007-best.png")
    (panels / "notes.png").write_text("no slice")
    (panels / "slice-0008-worst.png").write_text("no picture")
    names = tuple(f"panels/{p.name}" for p in sorted(panels.iterdir()))
    cell = CellLink("c", "t", 3, "ok", path=str(tmp_path / "run"), panels=(*names, "panels/slice-0009.png"))
    album = make_album([standing("a", 0.5, cells=(cell,))])
    (strip,) = album.pictures
    assert (strip.z, strip.strip, strip.note, strip.seed) == (7, True, "its best slice", 3)
    assert Image.open(io.BytesIO(base64.b64decode(strip.src.partition(",")[2]))).size == (1280, 213)
    assert album.unreadable == 2


def test_unfinished_cells_show_nothing():
    cell = CellLink("c", "t", 0, "failed", panels=("slice-0001.png",))
    assert make_album([standing("a", 0.5, cells=(cell,))]).pictures == ()
