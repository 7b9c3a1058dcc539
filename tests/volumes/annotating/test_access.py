"""Who may talk to the server: token, cookie, Host, Origin, kind and size of requests, content policy, files by name."""

from __future__ import annotations

import socket

import pytest

from dabench.errors import ConfigError
from dabench.volumes.annotating.access import Tokens
from dabench.volumes.annotating.server import Address, Pictures, listen

STATE, UNDO = "/api/preferences/anna", "/api/preferences/anna/undo"
ORIGIN = "http://127.0.0.1:8000"


# ---------------------------------------------------------------- token and cookie
def test_without_a_token_nothing_is_handed_out(ask):
    browser = ask(entered=False)
    for path in (
        "/",
        STATE,
        "/static/page.css",
        "/?token=",
        "/?token=guess",
        f"{STATE}?token={browser.tokens.current}",
    ):
        answer = browser.get(path)
        assert (answer.status_code, "set-cookie" in answer.headers) == (403, False), path
    assert "shows the next one" in browser.get("/").text


def test_a_token_opens_one_browser_which_keeps_a_cookie(ask):
    browser = ask(entered=False)
    token = browser.tokens.current
    cookie = browser.get(f"/?token={token}").headers["set-cookie"]
    name, *rules = cookie.split("; ")
    assert name == f"dabench-8000={browser.tokens.secret}"
    assert rules == ["Path=/", "HttpOnly", "SameSite=Strict"]
    assert browser.get(STATE).status_code == 200
    assert browser.get(f"/?token={token}").status_code == 200, "a page that is loaded again has the cookie"
    browser.cookies.clear()
    assert browser.get(f"/?token={token}").status_code == 403
    assert browser.get(f"/?token={browser.tokens.current}").status_code == 200, "the next token"


def test_the_next_token_is_told_when_one_is_used():
    told = []
    tokens = Tokens(told.append)
    first = tokens.current
    assert not tokens.use("another")
    assert told == []
    assert tokens.use(first)
    assert told == [tokens.current]
    assert tokens.current != first
    assert not tokens.use(first)


@pytest.mark.parametrize("cookie", ["dabench-8000=guess", "dabench-8000=", "dabench-8001=SECRET", "a\x00b", 'x="'])
def test_another_cookie_opens_nothing(ask, cookie):
    browser = ask(entered=False)
    sent = cookie.replace("SECRET", browser.tokens.secret)
    assert browser.get(STATE, headers={"Cookie": sent}).status_code == 403


# ---------------------------------------------------------------- host and origin
@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8000", 200),
        ("localhost:8000", 200),
        ("127.0.0.1", 421),
        ("127.0.0.1:8001", 421),
        ("evil.example:8000", 421),
        ("127.0.0.1:8000.evil.example", 421),
        ("", 421),
    ],
)
def test_the_host_is_this_machine(ask, host, status):
    assert ask().get(STATE, headers={"Host": host}).status_code == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (ORIGIN, 409),  # there is nothing to undo: the request came through
        ("http://localhost:8000", 403),  # not the host that it was sent to
        ("http://127.0.0.1:9000", 403),
        ("https://127.0.0.1:8000", 403),
        ("http://evil.example", 403),
        ("null", 403),
        (None, 403),
    ],
)
def test_only_the_own_page_changes_anything(ask, choices, origin, status):
    headers = {} if origin is None else {"Origin": origin}
    assert ask().post(UNDO, json={}, headers=headers).status_code == status
    assert choices.raters == []


def test_another_page_reads_nothing(ask):
    assert ask().get(STATE, headers={"Origin": "http://evil.example"}).status_code == 403


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"content": "{}", "headers": {"Content-Type": "text/plain"}}, 415),  # what a form can send
        ({"content": "{}"}, 415),
        ({"content": b"{}" * 2**15 + b" ", "headers": {"Content-Type": "application/json"}}, 413),
        ({"content": iter([b"{}"]), "headers": {"Content-Type": "application/json"}}, 411),
    ],
)
def test_requests_are_small_and_json(ask, sent, status):
    headers = {"Origin": ORIGIN, **sent.pop("headers", {})}
    assert ask().post(UNDO, headers=headers, **sent).status_code == status


# ---------------------------------------------------------------- answers
@pytest.mark.parametrize("path", ["/", STATE, "/static/page.css", "/static/none.css", "/pictures/none", "/none"])
def test_every_answer_has_the_policy(ask, path):
    for browser in (ask(), ask(entered=False)):
        headers = browser.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'self'; ")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"


def test_answers_are_not_kept_but_pictures(ask):
    browser = ask()
    assert browser.get(STATE).headers["cache-control"] == "no-store"
    picture = browser.get(f"/pictures/{browser.get(STATE).json()['item']['picture']}")
    assert (picture.headers["content-type"], picture.content[1:4]) == ("image/png", b"PNG")
    assert "immutable" in picture.headers["cache-control"]


@pytest.mark.parametrize(
    "path",
    ["/static/../access.py", "/static/..%2faccess.py", "/static/%2e%2e/access.py", "/static/__init__.py", "/static/",
     "/pictures/../../etc/passwd", "/pictures/%2fetc%2fpasswd", "/pictures/manifest.json", "/access.py"],
)  # fmt: skip
def test_files_are_reached_by_name_and_pictures_by_digest(ask, path):
    assert ask().get(path).status_code == 404


def test_the_page_asks_for_nothing_but_its_own_files(ask):
    browser = ask()
    seen, waiting = set(), ["/"]
    while waiting:
        path = waiting.pop()
        seen.add(path)
        text = browser.get(path).text
        assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
        assert "https://" not in text
        assert " style=" not in text, "the policy allows no style in an element"
        names = {part.split('"')[0] for part in text.split('"/static/')[1:]}
        names |= {part.split('"')[0] for part in text.split('from "./')[1:]}
        waiting += [f"/static/{name}" for name in names if f"/static/{name}" not in seen]
    assert {"/static/page.css", "/static/preferences.js", "/static/view.js", "/static/start.js"} <= seen


def test_old_pictures_are_let_go():
    pictures = Pictures()
    first = pictures.add(b"first", "png")
    for i in range(256):
        pictures.add(b"%d" % i, "png")
    assert first not in pictures._held
    assert len(pictures._held) == 256


# ---------------------------------------------------------------- where it is served
def test_it_listens_to_this_machine_alone():
    with listen() as listening:
        host, port = listening.getsockname()
        assert host == "127.0.0.1"
        assert listening.proto == socket.IPPROTO_TCP, "asyncio sends at once on such sockets alone"
        assert port > 1023
        with pytest.raises(ConfigError, match=f"port {port}"):
            listen(port)


def test_addresses():
    address = Address(8123)
    assert address.url("abc") == "http://127.0.0.1:8123/?token=abc"
    assert address.tunnel("microscope") == "ssh -N -L 8123:127.0.0.1:8123 microscope"
