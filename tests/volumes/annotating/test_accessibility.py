"""Both pages, in every state that a person sees, against the rules of axe-core: no violation."""

from __future__ import annotations

from typing import Any

import pytest
from made_up_choices import squares

from dabench.data.phantom import make_phantom
from dabench.data.volumes import ArrayVolume
from dabench.volumes.annotating.click_files import Clicks
from dabench.volumes.annotating.points import Clicking, point_routes
from dabench.volumes.annotating.preference_routes import preference_routes
from dabench.volumes.annotating.preferences import Session

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="the dev extra brings axe-core").Axe()
#: Rules of WCAG 2.2 to level AA, and axe-core's own good practice.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def violations(page: Any) -> list[str]:
    """Each with the first element that it concerns."""
    found = axe.run(page, options={"runOnly": RULES}).response
    assert len(found["passes"]) > 15, "rules were tried"
    return [f"{one['id']}: {one['help']}: {one['nodes'][0]['html']}" for one in found["violations"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_of_preferences(inside, come, tmp_path, scheme):
    session = Session(squares(tmp_path / "choices", 2))
    served = inside("preferences", preference_routes(session), session.pictures)
    page = come(served.next_link(), color_scheme=scheme)
    assert violations(page) == []
    for dialog in ("welcome", "keys"):
        page.evaluate(f"{dialog}.showModal()")
        assert violations(page) == [], dialog
        page.evaluate(f"{dialog}.close()")
    for keys in ("t", "1", "Escape", "v", "d", "v", "x"):
        page.keyboard.press(keys)
    page.get_by_text("All bad: saved.").wait_for()
    page.wait_for_selector("#main[data-ready]")
    page.keyboard.press("t")
    assert violations(page) == [], "marking several"
    page.keyboard.press("Escape")
    page.keyboard.press("1")
    page.get_by_text("Thank you").wait_for()
    assert violations(page) == [], "at the end"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_of_points(inside, come, tmp_path, scheme):
    images = ArrayVolume(make_phantom("phantom-human", "train", 0, (2, 128, 160)).images)
    clicking = Clicking("phantom", images, Clicks(tmp_path / "clicks.csv", images.shape))
    served = inside("points", point_routes(clicking), clicking.pictures)
    page = come(served.next_link(), ready="#stage[data-z]", color_scheme=scheme)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_selector('#stage[data-clicks="1"]')
    assert violations(page) == []
    for dialog in ("welcome", "keys"):
        page.evaluate(f"{dialog}.showModal()")
        assert violations(page) == [], dialog
        page.evaluate(f"{dialog}.close()")


def test_what_is_wrong_is_found(inside, come, tmp_path):
    session = Session(squares(tmp_path / "choices", 2))
    page = come(inside("preferences", preference_routes(session), session.pictures).next_link())
    page.evaluate("""document.documentElement.removeAttribute("lang"); zoomin.removeAttribute("aria-label");
      zoomin.textContent = ""; tie.style.color = "#aaa";""")
    assert {text.split(":")[0] for text in violations(page)} == {"html-has-lang", "button-name", "color-contrast"}
