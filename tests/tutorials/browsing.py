"""Somebody at the pages that ``dabench annotate`` serves: clicks on every object, and takes the first outline."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Sequence
from typing import Any

from tests.tutorials.following import Reader

#: Where a pixel of the slice is in the window.
_PLACE = "(picture, [x, y]) => new DOMPoint(x + 0.5, y + 0.5).matrixTransform(picture.getScreenCTM()).toJSON()"
#: By slice: x, y of what is clicked.
Clicks = Sequence[Sequence[tuple[float, float]]]


def at_pages(browser: Any, clicks: Clicks, answers: int) -> Callable[[Reader, list[str]], str]:
    """Serves the page of a command, uses it in a browser, ends it with Ctrl-C; gives what was printed."""

    def serve(reader: Reader, arguments: list[str]) -> str:
        command = [reader.environment / "bin" / "dabench", "annotate", *arguments, "--no-open"]
        pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        process = subprocess.Popen(command, cwd=reader.home, env=reader.variables(), **pipe)
        said, link = "", None
        while link is None:
            line = process.stdout.readline()
            assert line, said
            said, link = said + line, re.search(r"http://\S+", line)
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        page = context.new_page()
        page.goto(link[0])
        page.wait_for_selector("#welcome[open]")
        page.keyboard.type("anna")
        page.keyboard.press("Enter")
        click(page, clicks) if arguments[0] == "points" else choose(page, answers)
        context.close()
        process.send_signal(2)
        return said + process.communicate(timeout=60)[0]

    return serve


def click(page: Any, clicks: Clicks) -> None:
    """On these places of the first slices."""
    for z, places in enumerate(clicks):
        page.wait_for_selector(f'#stage[data-z="{z}"]')
        for n, place in enumerate(places, 1):
            at = page.locator("#picture").evaluate(_PLACE, list(place))
            page.mouse.click(at["x"], at["y"])
            page.wait_for_selector(f'#stage[data-clicks="{n}"]')
        page.keyboard.press("n")


def choose(page: Any, answers: int) -> None:
    """The first outline, time after time."""
    page.wait_for_selector("#main[data-ready]")
    for _ in range(answers):
        before = page.get_attribute("#main", "data-number")
        page.keyboard.press("1")
        page.wait_for_function(
            "before => main.dataset.number !== before && (main.dataset.number === 'done' || main.dataset.ready)",
            arg=before,
        )
        if page.get_attribute("#main", "data-number") == "done":
            return
