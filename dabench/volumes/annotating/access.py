"""Who may talk to a page's server: this machine's browser, after it has shown a token, and no other web page."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Nothing from elsewhere is loaded, sent to, or shown around these pages.
CONTENT_POLICY = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
#: Bytes of the largest request that a page sends.
_LARGEST = 2**16


class Tokens:
    """One-time tokens, of which one is open at a time, and the secret that a browser keeps in exchange.

    Args:
        renewed: called with each further token, after one was used.
    """

    def __init__(self, renewed: Callable[[str], None] | None = None) -> None:
        """Make the first token."""
        self.secret = secrets.token_urlsafe(32)
        self.current = secrets.token_urlsafe(24)
        self._renewed, self._lock = renewed, threading.Lock()

    def use(self, token: str) -> bool:
        """Whether this is the open token; it is closed and the next one opened."""
        with self._lock:
            if not secrets.compare_digest(token.encode(), self.current.encode()):
                return False
            self.current = secrets.token_urlsafe(24)
        if self._renewed:
            self._renewed(self.current)
        return True

    def knows(self, secret: str) -> bool:
        """Whether a browser shows the secret that it was given for a token."""
        return secrets.compare_digest(secret.encode(), self.secret.encode())


class Guard:
    """Refuses what does not come from a page of this server.

    - The ``Host`` is this machine's name with this port: no other name leads here (DNS rebinding).
    - The ``Origin``, which a browser sends with all that changes something, is this server's.
    - A cookie holds the secret; ``/?token=...`` gives it, once a token. Cookies know no ports, so its name holds it.
    - A request that changes something is JSON, which no form of another page can send, and small.

    Args:
        app: what is guarded.
        tokens: of this server.
        port: that it listens on.
    """

    def __init__(self, app: ASGIApp, tokens: Tokens, port: int) -> None:
        """Wrap an application."""
        self._app, self._tokens, self._cookie = app, tokens, f"dabench-{port}"
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, hand on, or refuse."""
        if scope["type"] != "http":
            return
        headers, entering = Headers(scope=scope), False
        problem = self._foreign(scope, headers)
        if not problem and not self._tokens.knows(self._shown(headers)):
            entering = scope["path"] == "/" and self._tokens.use(_token(scope))
            problem = None if entering else (403, _CLOSED)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = MutableHeaders(scope=message)
                given.update(_HEADERS)
                given.setdefault("Cache-Control", "no-store")
                if entering:
                    given["Set-Cookie"] = f"{self._cookie}={self._tokens.secret}; Path=/; HttpOnly; SameSite=Strict"
            await send(message)

        app = PlainTextResponse(problem[1], problem[0]) if problem else self._app
        await app(scope, receive, guarded)

    def _foreign(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        """Status and reason for a request that no page of this server sends."""
        host = headers.get("host", "")
        if host not in self._hosts:
            return 421, "This server only answers to 127.0.0.1 and localhost, on its own port.\n"
        changes, origin = scope["method"] not in ("GET", "HEAD"), headers.get("origin")
        if (changes or origin is not None) and origin != f"http://{host}":
            return 403, "This request comes from another page.\n"
        if changes and headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return 415, "Requests are JSON.\n"
        if changes and not headers.get("content-length", "").isdigit():
            return 411, "A request says how long it is.\n"
        if changes and int(headers["content-length"]) > _LARGEST:
            return 413, "This request is too long.\n"
        return None

    def _shown(self, headers: Headers) -> str:
        """The secret that a browser sends; "" without one."""
        try:
            cookies: SimpleCookie = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return ""
        morsel = cookies.get(self._cookie)
        return str(morsel.value) if morsel is not None else ""


def _token(scope: Scope) -> str:
    query: bytes = scope["query_string"]
    return parse_qs(query.decode("latin-1")).get("token", [""])[0]


_CLOSED = (
    "This link was already used, or it is incomplete.\n\n"
    "Each link opens the page in one browser. The terminal that runs dabench annotate shows the next one.\n"
)
