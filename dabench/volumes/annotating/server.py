"""Serve a page on this machine: a socket, the page's own files, pictures by digest."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, TypeVar

import uvicorn
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from dabench.errors import ConfigError, DabenchError
from dabench.files.html import END, start
from dabench.volumes.annotating.access import Guard, Tokens

_Model = TypeVar("_Model", bound=BaseModel)
_PAGE = files("dabench.volumes.annotating") / "page"
_TITLES = {"points": "Click the mitochondria", "preferences": "Which outline is best?"}
_HEAD = """<link rel="icon" href="/static/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/static/page.css">
<script type="module" src="/static/{page}.js"></script>"""
_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
#: Encoded pictures that are kept for a browser that asks for them.
_KEPT = 256


class Pictures:
    """Encoded pictures by the SHA-256 of their bytes; the last few hundred are kept."""

    def __init__(self) -> None:
        """Hold none."""
        self._held: OrderedDict[str, tuple[str, bytes]] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, data: bytes, kind: str) -> str:
        """The digest under which the page gets a picture of this kind ("png", "jpeg")."""
        digest = hashlib.sha256(data).hexdigest()
        with self._lock:
            self._held[digest] = (f"image/{kind}", data)
            self._held.move_to_end(digest)
            while len(self._held) > _KEPT:
                self._held.popitem(last=False)
        return digest

    def answer(self, request: Request) -> Response:
        """The picture whose digest a request names."""
        with self._lock:
            kind, data = self._held.get(request.path_params["digest"], ("", b""))
        if not data:
            return JSONResponse({"error": "This picture is no longer available; reload the page."}, 404)
        return Response(data, media_type=kind, headers={"Cache-Control": "private, max-age=31536000, immutable"})


def make_app(page: str, routes: Sequence[BaseRoute], pictures: Pictures, tokens: Tokens, port: int) -> ASGIApp:
    """The guarded application of one page.

    Args:
        page: ``points`` or ``preferences``.
        routes: what its script asks for, below ``/api/``.
        pictures: that it shows.
        tokens: that open it.
        port: that it is served on.
    """
    own: list[BaseRoute] = [
        Route("/", lambda _: _whole(page)),
        Route("/static/{name}", lambda request: _file(request.path_params["name"])),
        Route("/pictures/{digest}", pictures.answer),
    ]
    handlers: dict[Any, Any] = {DabenchError: _refuse}
    return Guard(Starlette(routes=[*own, *routes], exception_handlers=handlers), tokens, port)


def _whole(page: str) -> Response:
    """A page: its head, and the body that lies in its file."""
    head = start(f"{_TITLES[page]} · dabench", _HEAD.format(page=page))
    text = head + _files()[f"{page}.html"].decode() + END
    return Response(text, media_type="text/html", headers={"Cache-Control": "no-cache"})


def _file(name: str) -> Response:
    """A file of the page, by its name alone."""
    known = _files()
    if name not in known:
        return JSONResponse({"error": "There is no such file."}, 404)
    return Response(known[name], media_type=_TYPES[name.rpartition(".")[2]], headers={"Cache-Control": "no-cache"})


@cache
def _files() -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in _PAGE.iterdir() if file.name.rpartition(".")[2] in _TYPES}


def _refuse(request: Request, error: Exception) -> Response:
    """What a person can mend, in words."""
    del request
    return JSONResponse({"error": str(error)}, 409 if isinstance(error, StaleError) else 400)


class StaleError(DabenchError):
    """What a page sends does not follow from what it was shown: it was answered in another window."""


async def parsed(request: Request, model: type[_Model]) -> _Model:
    """The JSON that a page sends. Raises ConfigError that names key and value."""
    try:
        return model.model_validate_json(await request.body())
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"])
        raise ConfigError(f"{key} = {problem['input']!r}: {problem['msg']}") from None


# ---------------------------------------------------------------------------------------------------------- serving
@dataclass(frozen=True)
class Address:
    """Where a page is reached from this machine, and from the one that a person sits at."""

    port: int

    def url(self, token: str) -> str:
        """The link that opens the page once."""
        return f"http://127.0.0.1:{self.port}/?token={token}"

    def tunnel(self, host: str = "") -> str:
        """The line to type on a person's own machine when this one is reached by SSH."""
        return f"ssh -N -L {self.port}:127.0.0.1:{self.port} {host or socket.gethostname()}"


def listen(port: int = 0) -> socket.socket:
    """A socket on 127.0.0.1; port 0 is any free one. Raises ConfigError where a port is in use."""
    # With the protocol named, asyncio turns Nagle's algorithm off; else every answer waits 40 ms for the one before.
    listening = socket.socket(proto=socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", port))
        listening.listen()
    except OSError as error:
        listening.close()
        raise ConfigError(f"port {port}: {error.strerror}.", "Leave out --port to use a free one.") from None
    return listening


def serve(
    page: str,
    routes: Sequence[BaseRoute],
    pictures: Pictures,
    *,
    port: int = 0,
    opened: Callable[[Address, str], None],
) -> None:
    """Serve a page until Ctrl-C.

    Args:
        page: see `make_app`, as the next two.
        routes: of its script.
        pictures: that it shows.
        port: 0 takes a free one.
        opened: called with the address and a token: at the start, and after each browser that used one.
    """
    with closing(listen(port)) as listening:
        address = Address(listening.getsockname()[1])
        tokens = Tokens(lambda token: opened(address, token))
        app = make_app(page, routes, pictures, tokens, address.port)
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, lifespan="off", ws="none", server_header=False
        )
        serving = uvicorn.Server(config).serve(sockets=[listening])
        # Ctrl-C is raised again once the server has stopped; one that comes before it runs leaves `serving` unawaited.
        with closing(serving), suppress(KeyboardInterrupt):
            opened(address, tokens.current)
            asyncio.run(serving)
