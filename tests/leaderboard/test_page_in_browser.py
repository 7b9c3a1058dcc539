"""The page in a real browser: it sorts, filters, switches, compares, runs nobody else's script and fetches nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_up_boards import ATTACK, METRICS, SETTING, TASKS, board, large, standing, with_panels
from made_up_cells import DICE

from dabench.leaderboard.board import Board, BoardKey
from dabench.leaderboard.html import render_html
from dabench.statistics.intervals import Interval

Open = Callable[..., Any]
NAMES = ["alpha (slpo)", "alpha (gpo)", "beta", f"gamma {ATTACK}", "lower"]


@pytest.fixture
def show(visit: Open, tmp_path: Path) -> Open:
    """Open boards from a file."""

    def open_boards(*boards: Board) -> Any:
        file = tmp_path / "leaderboard.html"
        file.write_text(render_html(boards), encoding="utf-8")
        return visit(file)

    return open_boards


def entries(page: Any, kind: str = "ranked") -> list[str]:
    return page.locator(f'#table tbody[data-kind="{kind}"] .name').all_inner_texts()


def column(page: Any, name: str) -> Any:
    return page.locator("#table thead th").filter(has_text=name)


# ---------------------------------------------------------------- the table
def test_rows_stand_in_their_groups_and_only_ranked_ones_have_ranks(show):
    page = show(board())
    assert entries(page) == NAMES
    assert (entries(page, "bracket"), entries(page, "incomplete")) == (["upper"], ["delta"])
    assert entries(page, "published") == ["alpha (slpo)"]
    assert page.locator("#table tbody").evaluate_all("all => all.map(one => one.dataset.kind)") == [
        "ranked",
        "bracket",
        "incomplete",
        "published",
    ]
    assert page.locator("#table .rank").count() == page.locator('[data-kind="ranked"] .rank').count() == 5
    published, ours = (page.locator(f'[data-kind="{kind}"] .name').first for kind in ("published", "ranked"))
    colour = "element => getComputedStyle(element).color"
    assert published.evaluate(colour) != ours.evaluate(colour)
    assert "chosen with target labels" in page.locator('[data-kind="published"]').inner_text()


def test_a_score_says_its_interval_in_words(show):
    page = show(board())
    first = page.locator('#table tbody[data-kind="ranked"] tr').first.locator(".score")
    words = "Dice on vnc2lucchi 72.0 %, 95 % interval 68.0 to 76.0, ± 1.2 sd over seeds, 3 seeds"
    assert first.nth(1).get_attribute("title") == words
    assert words in first.nth(1).inner_text()
    assert first.nth(1).locator(".bar.few").count() == 0
    assert page.locator("#table tr").filter(has_text="gamma").locator(".bar.few").count() == 4


def test_a_missing_seed_is_said_and_costs_no_rank(show):
    rows = (standing("a", 0.6, missing=("human2rat seed 2: killed",)), standing("b", 0.5))
    page = show(Board(SETTING, DICE, METRICS, TASKS, rows))
    assert (entries(page), entries(page, "incomplete")) == (["a", "b"], [])
    assert page.get_by_text("human2rat seed 2: killed").is_visible()


def test_an_interval_that_knows_nothing_does_not_flatten_the_others(show):
    rows = (standing("a", 0.6, overall=Interval(0.6, 0.0, 1.0)), standing("b", 0.5))
    page = show(Board(SETTING, DICE, METRICS, TASKS, rows))
    assert "Bars run from 35 to 80 %" in page.locator(".legend").inner_text()


def test_click_and_key_sort_within_each_group(show):
    page = show(board())
    heading = column(page, "lucchi2vnc")
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    assert entries(page) == NAMES
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "ascending"
    assert entries(page) == NAMES[::-1]
    assert page.locator("#table tbody").first.get_attribute("data-kind") == "ranked"


def test_rows_without_a_value_stay_last_both_ways(show):
    page = show(board())
    heading = column(page, "Training").locator("button")
    heading.click()
    assert entries(page) == ["beta", "alpha (gpo)", "alpha (slpo)", *NAMES[3:]]
    heading.click()
    assert entries(page) == ["alpha (slpo)", "alpha (gpo)", "beta", *NAMES[3:]]


def test_text_and_facets_filter(show):
    page = show(board())
    page.get_by_label("Filter").fill("alpha GPO")
    assert entries(page) == ["alpha (gpo)"]
    assert page.locator("#count").inner_text() == "1 of 8 rows"
    page.get_by_label("Filter").fill("nothing like it")
    assert page.get_by_text("No entry passes the filters.").is_visible()
    page.get_by_role("button", name="Reset").click()
    page.locator('[data-facet="method"] summary').click()
    page.locator('[data-facet="method"]').get_by_label("beta").check()
    assert (entries(page), entries(page, "bracket"), entries(page, "published")) == (["beta"], [], ["alpha (slpo)"])
    page.locator('[data-facet="rows"] summary').click()
    assert not page.locator('[data-facet="method"] > div').is_visible()
    page.locator('[data-facet="rows"]').get_by_label("ranked").check()
    assert entries(page, "published") == []


def test_a_row_below_its_start_says_so(show):
    page = show(board())
    row = page.locator("#table tr").filter(has_text="below lower")
    assert row.locator("button.name").inner_text() == NAMES[3]
    assert "(−2.1)" in row.inner_text()
    assert column(page, "vs lower").count() == 1


def test_task_columns_hide(show):
    page = show(board())
    page.locator('[data-facet="task columns"] summary').click()
    page.locator('[data-facet="task columns"]').get_by_label("human2rat").uncheck()
    assert column(page, "human2rat").count() == 0
    assert column(page, "lucchi2vnc").count() == 1


def test_a_metric_with_its_own_board_brings_its_ranks(show):
    page = show(board(), board("aji"))
    page.get_by_role("button", name="AJI").click()
    assert page.locator("#table .rank").count() == 5
    assert page.locator("#table .overall b").all_inner_texts()[-1] == "70.0"
    page.get_by_role("button", name="PQ").click()
    assert page.locator("#table .rank").count() == 0
    assert page.locator("#table .overall b").first.inner_text() == "44.0"
    assert "known for Dice, AJI only" in page.locator("#board").inner_text()


def test_a_table_for_each_task(show):
    page = show(board())
    page.get_by_role("group", name="Table").get_by_role("button", name="human2rat").click()
    heads = page.locator("#table thead th.score-cell button span:first-child").all_inner_texts()
    assert heads == ["Dice", "AJI", "PQ"]
    assert page.locator("#table td.score-cell b").first.inner_text() == "76.0"
    assert column(page, "Dice").get_attribute("aria-sort") == "descending"


def test_tabs_keep_settings_apart(show):
    other = Board(BoardKey("phantom", "tiny", "das-2d@1", "fast"), DICE, METRICS, TASKS, (standing("other", 0.5),))
    page = show(board(), other)
    assert page.get_by_role("tab").count() == 2
    page.get_by_role("tab").first.focus()
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("tab", selected=True).inner_text() == "phantom · tiny · das-2d@1 · fast"
    assert entries(page) == ["other"]


# ---------------------------------------------------------------- what stands behind
def test_details_tell_every_cell_and_strangers_stay_text(show):
    page = show(board())
    assert page.locator("main img").count() == 1, "the diagram, and no picture that a name brought in"
    page.get_by_role("button", name="delta", exact=True).click()
    dialog = page.get_by_role("dialog")
    assert f"loss is NaN at step 12 {ATTACK}" in dialog.inner_text()
    assert dialog.locator("tbody tr").filter(has_text="delta-").count() == 7
    assert dialog.locator(".status").first.inner_text() == "failed"
    assert "dabench verify delta-vnc2lucchi-s0" in dialog.inner_text()
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    page.get_by_role("button", name="alpha (slpo)", exact=True).click()
    assert dialog.locator("tr.published").first.locator("td").all_inner_texts()[:2] == ["86.0", "70.0"]


def test_the_same_slice_of_chosen_entries_side_by_side(show, tmp_path):
    page = show(with_panels(board(), tmp_path))
    assert page.locator(".card").evaluate_all("all => all.map(one => one.dataset.entry)") == ["", *NAMES[:3]]
    page.get_by_label("Compare beta").check()
    page.get_by_label("Compare upper").check()
    gallery = page.locator("#gallery")
    gallery.get_by_role("button", name="lucchi2vnc", exact=True).click()
    gallery.get_by_role("button", name="4", exact=True).click()
    cards = page.locator("#gallery .card")
    assert cards.evaluate_all("all => all.map(one => one.dataset.entry)") == ["", "beta", "upper"]
    assert "Dice 52.4 · seed 0" in cards.nth(1).inner_text()
    alts = cards.locator("img").evaluate_all("all => all.map(one => one.alt)")
    assert all("lucchi2vnc, slice 4" in alt for alt in alts)
    assert cards.locator("img").evaluate_all("all => all.every(one => one.complete && one.naturalWidth === 200)")
    cards.nth(1).get_by_role("button").click()
    large = page.get_by_role("dialog").locator("img")
    assert large.get_attribute("alt") == alts[1]
    page.keyboard.press("ArrowRight")
    assert large.get_attribute("alt") == alts[2]
    page.keyboard.press("ArrowRight")
    assert large.get_attribute("alt") == alts[0]
    assert large.is_visible()


def test_pairs_of_chosen_entries(show):
    page = show(board())
    assert page.locator("#pairs tbody tr").count() == 6
    page.get_by_label("Compare alpha (slpo)").check()
    page.get_by_label("Compare beta").check()
    assert page.locator("#pairs tbody tr").count() == 1
    assert "0.150" in page.locator("#pairs tbody").inner_text()
    assert "cannot be told apart" in page.locator("#pairs tbody").inner_text()


def test_diagrams_are_drawn_without_their_scripts(show):
    page = show(board())
    figure = page.locator(".diagram img")
    assert figure.evaluate("one => one.complete && one.naturalWidth > 0")
    assert "Critical differences" in page.locator(".diagram").inner_text()


# ---------------------------------------------------------------- sizes
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_is_no_wider_than_the_window(show, tmp_path, width):
    page = show(with_panels(board(), tmp_path))
    page.set_viewport_size({"width": width, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_many_rows_sort_and_filter_at_once(show):
    page = show(large(entries=500, cells=20))
    assert page.locator('#table tbody[data-kind="ranked"] tr').count() == 100
    started = time.perf_counter()
    column(page, "All tasks").locator("button").click()
    assert entries(page)[0] != "entry 0"
    page.get_by_label("Filter").fill("entry 499")
    assert entries(page) == ["entry 499"]
    assert time.perf_counter() - started < 5, "on one busy core; a second on an idle one"
    page.get_by_label("Filter").fill("")
    page.get_by_role("button", name="Show all 500 rows").click()
    assert len(entries(page)) == 500


def test_no_boards(show):
    assert "No results yet" in show().locator("main").inner_text()
