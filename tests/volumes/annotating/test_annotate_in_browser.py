"""Both pages in a real browser: a person's whole way by keyboard, by mouse and by touch, through reloads and kills."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import tifffile
from made_up_choices import phantom_choices, squares

from dabench.annotation.preference_set import PreferenceSet
from dabench.data.phantom import make_phantom
from dabench.data.volumes import ArrayVolume
from dabench.volumes.annotating.click_files import Clicks
from dabench.volumes.annotating.outlines import outline
from dabench.volumes.annotating.points import Clicking, point_routes
from dabench.volumes.annotating.preference_routes import preference_routes
from dabench.volumes.annotating.preferences import Session

GONE = "dabench does not answer"
#: How far to the right anything that can be seen reaches.
WIDEST = """Math.max(...[...document.querySelectorAll("button, p, li, dialog svg, input")]
  .filter((one) => one.checkVisibility()).map((one) => one.getBoundingClientRect().right))"""


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def number(page: Any) -> str:
    return str(page.get_attribute("#main", "data-number"))


def press(page: Any, *keys: str) -> None:
    """Press keys that answer, and wait for the next question."""
    before = number(page)
    for key in keys:
        page.keyboard.press(key)
    page.wait_for_function(
        """before => main.dataset.number === "done" || (main.dataset.number !== before && main.dataset.ready)""",
        arg=before,
    )


# ---------------------------------------------------------------- preferences
def test_the_whole_way_of_preferences_by_keyboard(serve, come, tmp_path):
    """Twenty questions; a reload, a kill -9 and a second rater in the middle; each answer is what was seen."""
    choices = phantom_choices(tmp_path / "choices", 20)
    command = ("preferences", "--output", str(choices.path), "--repeats", "0.1")
    served = serve(*command)
    page, seen = come(served.link), []

    def choose(place: int) -> None:
        seen.append(page.locator(f".candidate:nth-child({place}) .line").get_attribute("d"))
        press(page, str(place))

    for i in range(12):
        choose(1 + i % 2)
    press(page, "t", "1", "2", *(["Enter"] if page.locator(".candidate").count() > 2 else []))
    press(page, "x")
    press(page, "s")
    for _ in range(4):
        press(page, "u")
    press(page, "Control+z")
    assert "10 of 22" in page.locator("#progress").inner_text()
    del seen[10:]
    place = number(page)
    page.reload()
    page.wait_for_selector("#main[data-ready]")
    assert number(page) == place, "it goes on where it was"
    choose(2)

    served.kill()
    page.keyboard.press("1")
    page.get_by_text(GONE).wait_for()
    served = serve(*command)
    page.goto(f"{served.link}#rater=anna")
    page.wait_for_selector("#main[data-ready]")
    assert "11 of 22" in page.locator("#progress").inner_text()
    ben = come(served.next_link(), "ben")
    while number(page) != "done":
        choose(1 + len(seen) % 2)
        if len(seen) < 15:
            press(ben, "ArrowRight", "Enter")
    assert "Thank you" in page.locator("#panels").inner_text()
    check(choices, seen)
    said = served.stop()
    assert "anna.jsonl: 22 answers" in said
    assert "ben.jsonl: 3 answers" in said


def check(choices: PreferenceSet, seen: list[str]) -> None:
    """What stands on disk is what was chosen on the page; what was taken back stands there as well."""
    answers = choices.answers("anna")
    assert len(answers) == len(seen) == 22
    assert sum(a.repeat for a in answers) == 2
    for answer, path in zip(answers, seen, strict=True):
        question = choices.question(answer.question)
        y, x = question.window.y - question.context.y, question.window.x - question.context.x
        assert outline(choices.masks(question)[answer.chosen[0]], y, x) == path
    written = lines(choices.path / "anna.jsonl")
    assert [line["answer"] for line in written[12:15]] == ["tie", "bad", "skip"]
    assert len(written[12]["chosen"]) == 2
    assert [line["undo"] for line in written if "undo" in line] == [15, 14, 13, 12, 11]
    assert all(0.1 < a.seconds < 30 for a in answers)


def of_squares(folder: Path) -> tuple[Any, ...]:
    session = Session(squares(folder / "choices"))
    return "preferences", preference_routes(session), session.pictures


def test_looking_by_keyboard(inside, come, tmp_path):
    page = come(inside(*of_squares(tmp_path)).next_link())
    drawn = page.locator(".outlines").first
    box = page.locator(".candidate svg").first
    view, source = box.get_attribute("viewBox"), page.locator("image").first.get_attribute("href")

    page.keyboard.down("Space")
    assert not drawn.is_visible()
    page.keyboard.up("Space")
    assert drawn.is_visible()
    page.keyboard.press("d")
    assert page.locator(".differing").first.is_visible()
    page.keyboard.press("-")
    assert box.get_attribute("viewBox") == "0 0 24 24", "all of the surroundings"
    page.keyboard.press("0")
    assert box.get_attribute("viewBox") == view
    boxes = page.locator(".candidate svg").evaluate_all("all => all.map((one) => one.getAttribute('viewBox'))")
    assert boxes == [view] * 3, "all at one zoom"
    page.keyboard.press("n")
    page.get_by_text("slice +1").first.wait_for()
    assert page.locator("image").first.get_attribute("href") != source
    assert not drawn.is_visible(), "outlines belong to the slice in question"
    page.keyboard.press("p")
    page.wait_for_function("source => document.querySelector('image').getAttribute('href') === source", arg=source)
    page.keyboard.press("v")
    assert page.locator(".candidate:visible").count() == 1
    page.keyboard.press("ArrowRight")
    assert page.locator(".candidate:visible .number").inner_text().endswith("2")
    page.keyboard.press("?")
    assert page.get_by_role("heading", name="How it works").is_visible()
    page.keyboard.press("1")
    page.keyboard.press("Escape")
    page.keyboard.press("t")
    page.keyboard.press("Enter")
    page.get_by_text("Mark two or more").wait_for()
    page.keyboard.press("Escape")
    assert not (tmp_path / "choices" / "anna.jsonl").exists(), "none of this was an answer"


def test_mouse_touch_and_a_second_window(inside, come, tmp_path):
    served = inside(*of_squares(tmp_path))
    choices = PreferenceSet.open(tmp_path / "choices")
    page = come(served.next_link())
    second = page.context.new_page()
    second.goto(page.url)
    second.wait_for_selector("#main[data-ready]")
    page.locator(".candidate").nth(1).click()
    page.get_by_text("Candidate 2: saved.").wait_for()
    second.get_by_role("button", name="All bad").click()
    second.get_by_text("in another window").wait_for()
    assert number(second) == number(page)
    page.wait_for_selector("#main[data-ready]")
    page.get_by_role("button", name="Equally good").click()
    page.locator(".candidate").nth(0).click()
    page.locator(".candidate").nth(2).click()
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Equally good: saved.").wait_for()

    phone = come(served.next_link(), "Ben Lee", has_touch=True, viewport={"width": 390, "height": 780})
    assert phone.evaluate(WIDEST) <= 390, "nothing lies beyond the edge of a phone"
    phone.evaluate("welcome.showModal()")
    assert phone.evaluate(WIDEST) <= 390
    for name in ("../x", "..", "Müller"):
        phone.fill("#name", name)
        phone.keyboard.press("Enter")
        assert "begins with a letter" in phone.inner_text("#name-problem")
    phone.evaluate("welcome.close()")
    phone.locator(".candidate").first.tap()
    phone.get_by_text("Candidate 1: saved.").wait_for()
    assert [(a.answer, len(a.chosen)) for a in choices.answers("anna")] == [("choose", 1), ("tie", 2)]
    assert len(choices.answers("ben-lee")) == 1


# ---------------------------------------------------------------- points
def test_the_whole_way_of_points_by_keyboard(serve, come, tmp_path, registry):
    """Fifteen points on three slices; undo, removal, a place without an object, a kill -9 in the middle."""
    images = make_phantom("phantom-human", "train", 0, (3, 128, 160)).images
    tifffile.imwrite(tmp_path / "scan.tif", images, photometric="minisblack")
    command = ("points", "--images", str(tmp_path / "scan.tif"), "--output", str(tmp_path / "clicks.csv"))
    served = serve(*command)
    page = come(served.link, ready="#stage[data-z]")

    def step(count: int, *keys: str) -> None:
        for key in keys:
            page.keyboard.press(key)
        page.wait_for_selector(f'#stage[data-clicks="{count}"]')

    for z in range(3):
        for i in range(5):
            if (z, i) == (1, 2):
                served.kill()
                page.keyboard.press("u")
                page.get_by_text(GONE).wait_for()
                served = serve(*command)
                page.goto(f"{served.link}#rater=anna")
                page.wait_for_selector('#stage[data-z="0"]')
                page.keyboard.press("n")
                page.wait_for_selector('#stage[data-z="1"][data-clicks="2"]')
            step(i + 1, *["ArrowRight", "ArrowDown"][i % 2 :], "Enter")
        if z < 2:
            page.keyboard.press("n")
            page.wait_for_selector(f'#stage[data-z="{z + 1}"][data-clicks="0"]')
    step(4, "Delete")
    step(5, "u")
    step(4, "u")
    step(5, "Enter")
    page.keyboard.press("b")
    step(6, *["ArrowUp"] * 3, "Shift+ArrowLeft", "Enter")
    assert "15 clicks on 3 slices · 1 “not one”" in page.locator("#progress").inner_text()
    ben = come(served.next_link(), "ben", ready='#stage[data-clicks="0"]')
    ben.keyboard.press("ArrowRight")
    ben.keyboard.press("Enter")
    ben.wait_for_selector('#stage[data-clicks="1"]')
    said = served.stop()
    assert "anna.csv: 15 points on 3 slices, 1 negative" in said
    assert "ben.csv: 1 points on 1 slices, 0 negative" in said

    rows = list(csv.DictReader((tmp_path / "clicks" / "anna.csv").open()))
    assert [row["kind"] for row in rows].count("negative") == 1
    everyone = list(csv.DictReader((tmp_path / "clicks.csv").open()))
    assert {row["who"] for row in everyone} == {"anna", "anna+ben"}, "both clicked the same place"
    component = registry.get("weak_label", "points").component
    points = component.factory(component.config()).read(tmp_path / "clicks" / "anna.csv")
    assert [(answer.z, len(answer.points)) for answer in points] == [(0, 5), (1, 5), (2, 5)]
    assert len({tuple(xy) for xy in points[0].points.tolist()}) == 5


def test_points_by_mouse_lie_where_the_mouse_was(inside, come, tmp_path):
    images = ArrayVolume(make_phantom("phantom-human", "train", 0, (2, 128, 160)).images)
    clicking = Clicking("phantom", images, Clicks(tmp_path / "clicks.csv", images.shape))
    served = inside("points", point_routes(clicking), clicking.pictures)
    page = come(served.next_link(), ready="#stage[data-z]")
    phone = come(served.next_link(), ready="#stage[data-z]", viewport={"width": 390, "height": 780})
    assert phone.evaluate(WIDEST) <= 390
    box = page.locator("#picture").bounding_box()
    scale = box["width"] / 160

    def click(x: float, y: float, count: int, **how: Any) -> None:
        page.mouse.move(box["x"] + x * scale, box["y"] + y * scale)
        page.locator("#picture").click(position={"x": x * scale, "y": y * scale}, **how)
        page.wait_for_selector(f'#stage[data-clicks="{count}"]')

    click(40.5, 30.5, 1)
    click(100.5, 90.5, 2, modifiers=["Shift"])
    click(41, 31, 1)  # on the mark: it goes
    page.get_by_role("button", name="Undo").click()
    page.wait_for_selector('#stage[data-clicks="2"]')
    rows = list(csv.DictReader((tmp_path / "clicks.csv").open()))
    found = [(float(row["x"]), float(row["y"]), row["kind"]) for row in rows]
    assert found == [
        (pytest.approx(40, abs=0.5), pytest.approx(30, abs=0.5), "object"),
        (pytest.approx(100, abs=0.5), pytest.approx(90, abs=0.5), "negative"),
    ]
    page.mouse.move(box["x"] + 80 * scale, box["y"] + 60 * scale)
    page.mouse.wheel(0, -400)
    page.mouse.down()
    page.mouse.move(box["x"] + 40 * scale, box["y"] + 30 * scale, steps=4)
    page.mouse.up()
    assert page.locator("#picture").get_attribute("viewBox") != "0 0 160 128"
    page.keyboard.press("n")
    page.wait_for_selector('#stage[data-z="1"][data-clicks="0"]')
    assert len(list(csv.DictReader((tmp_path / "clicks.csv").open()))) == 2, "a drag is no click"
