"""What the page of preferences asks its server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from dabench.errors import ConfigError
from dabench.volumes.annotating.preferences import Given
from dabench.volumes.annotating.server import parsed

if TYPE_CHECKING:
    from collections.abc import Callable

    from dabench.volumes.annotating.preferences import Session

_HOME = "/api/preferences"


def preference_routes(session: Session, rater: str = "") -> list[BaseRoute]:
    """Routes of a session; ``rater`` is proposed as a name."""
    manifest, count = session.choices.manifest, len(session.choices.questions)
    about = {
        "question": manifest.question,
        "title": f"{manifest.domain}, {count} questions",
        "rater": rater,
        "idle": session.asking.idle,
    }

    def state(request: Request) -> Response:
        return JSONResponse(session.state(request.path_params["rater"]))

    def upcoming(request: Request) -> Response:
        return JSONResponse({"picture": session.upcoming(request.path_params["rater"])})

    def section(request: Request) -> Response:
        path = request.path_params
        try:
            dz = int(path["dz"])
        except ValueError:
            raise ConfigError(f"{path['dz']!r} is not a number of slices.") from None
        return JSONResponse({"picture": session.section(path["rater"], path["item"], dz)})

    async def answer(request: Request) -> Response:
        return await changed(session.answer, request, await parsed(request, Given))

    async def undo(request: Request) -> Response:
        return await changed(session.undo, request)

    async def changed(change: Callable[..., None], request: Request, *what: Any) -> Response:
        """The state after a change; files are waited for in a thread, so that other raters need not."""
        name = request.path_params["rater"]
        await run_in_threadpool(change, name, *what)
        return JSONResponse(await run_in_threadpool(session.state, name))

    return [
        Route(_HOME, lambda _: JSONResponse(about)),
        Route(f"{_HOME}/{{rater}}", state),
        Route(f"{_HOME}/{{rater}}/upcoming", upcoming),
        Route(f"{_HOME}/{{rater}}/slices/{{item:int}}/{{dz}}", section),
        Route(f"{_HOME}/{{rater}}/answers", answer, methods=["POST"]),
        Route(f"{_HOME}/{{rater}}/undo", undo, methods=["POST"]),
    ]
