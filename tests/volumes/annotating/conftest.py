"""Servers of pages: in the test's own process, spoken to as a browser does, or behind a socket for a real one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from made_up_choices import squares
from served_pages import Inside, Served
from starlette.testclient import TestClient

from dabench.annotation.preference_set import PreferenceSet
from dabench.volumes.annotating.access import Tokens
from dabench.volumes.annotating.preference_routes import preference_routes
from dabench.volumes.annotating.preferences import Asking, Session
from dabench.volumes.annotating.server import Pictures, make_app

ORIGIN = "http://127.0.0.1:8000"


class Browser(TestClient):
    """Sends what the page's script sends."""

    def say(self, path: str, content: Any = None) -> Any:
        """POST of JSON from the page's own origin."""
        return self.post(path, json=content or {}, headers={"Origin": ORIGIN})


@pytest.fixture
def browse() -> Callable[..., Browser]:
    """A browser at an application of these routes; ``entered`` when it has the cookie."""

    def at(page: str, routes: Sequence[Any], pictures: Pictures, *, entered: bool = True) -> Browser:
        tokens = Tokens()
        browser = Browser(make_app(page, routes, pictures, tokens, 8000), base_url=ORIGIN)
        browser.tokens = tokens
        if entered:
            assert browser.get(f"/?token={tokens.current}").status_code == 200
        return browser

    return at


@pytest.fixture
def choices(tmp_path: Path) -> PreferenceSet:
    return squares(tmp_path / "choices")


@pytest.fixture
def ask(choices: PreferenceSet, browse: Callable[..., Browser]) -> Callable[..., Browser]:
    """A browser at the page of preferences."""

    def page(*, entered: bool = True, **asking: Any) -> Browser:
        session = Session(choices, Asking(**asking))
        return browse("preferences", preference_routes(session, "anna"), session.pictures, entered=entered)

    return page


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    started: list[Served] = []

    def start(*arguments: str) -> Served:
        started.append(Served(*arguments))
        return started[-1]

    yield start
    for served in started:
        served.kill()


@pytest.fixture
def inside() -> Iterator[Callable[..., Inside]]:
    started: list[Inside] = []

    def start(*page: Any) -> Inside:
        started.append(Inside(*page))
        return started[-1]

    yield start
    for served in started:
        served.kill()


@pytest.fixture
def come(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open a link in a browser of its own and begin under a name. It may speak to its server alone, without a fault."""
    contexts: list[Any] = []
    requests: list[str] = []
    said: list[str] = []

    def open_link(link: str, name: str = "anna", ready: str = "#main[data-ready]", **how: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1100, "height": 750}, **how})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(link)
        page.wait_for_selector("#welcome[open]")
        page.keyboard.type(name)
        page.keyboard.press("Enter")
        page.wait_for_selector(ready)
        assert "token" not in page.url
        return page

    yield open_link
    for context in contexts:
        context.close()
    assert all(url.startswith("http://127.0.0.1:") for url in requests)
    assert [text for text in said if "ERR_CONNECTION_REFUSED" not in text] == []
