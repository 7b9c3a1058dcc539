"""A server in the test's own process, spoken to as a browser does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from made_up_choices import squares
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
