"""The page on which people click the centres of objects: slices as pictures, clicks, and a model's outlines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from dabench.errors import ConfigError
from dabench.ops.pictures import jpeg
from dabench.types import Window
from dabench.volumes.annotating.clicks import Click
from dabench.volumes.annotating.server import Pictures, parsed
from dabench.volumes.viewer.downsampling import Downsampling, area_mean
from dabench.volumes.viewer.encode import measure_grey

if TYPE_CHECKING:
    from dabench.interfaces import Volume
    from dabench.types import Array
    from dabench.volumes.annotating.click_files import Clicks
    from dabench.volumes.annotating.clicks import RaterClicks
    from dabench.volumes.annotating.segmenter import Segmenter

#: Longest side of a picture; larger slices are shown at 1/2, 1/3, ...
_SIDE = 4096
#: Encoded slices that are kept.
_KEPT = 24
#: Slices that the model looks at to find an object that nobody clicked.
_AHEAD = 64
_HOME = "/api/points"
_Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]


class Added(Click):
    """A click as the page sends it."""

    seconds: _Seconds


class Removed(BaseModel):
    """A click that is taken away, by its number."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    seconds: _Seconds


class Undone(BaseModel):
    """The last step is taken back."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seconds: _Seconds


@dataclass
class Clicking:
    """A volume that is being clicked on.

    Args:
        title: of the page.
        images: the volume.
        clicks: on it, of all raters.
        segmenter: a model that follows the clicks; None without one.
        idle: seconds without a movement after which time stands still.
    """

    title: str
    images: Volume
    clicks: Clicks
    segmenter: Segmenter | None = None
    idle: float = 30.0

    def __post_init__(self) -> None:
        """Measure which grey values are black and white."""
        depth, height, width = self.images.shape
        whole = Downsampling(tuple(range(depth)), depth, Window(0, 0, height, width), -(-max(height, width) // _SIDE))
        self._cut, self._grey = whole, measure_grey(self.images, whole)
        self.pictures = Pictures()
        self._picture = lru_cache(maxsize=_KEPT)(self._draw)

    def about(self, rater: str) -> dict[str, Any]:
        """What the page says of the volume."""
        return {
            "title": self.title,
            "shape": list(self.images.shape),
            "rater": rater,
            "idle": self.idle,
            "model": self.segmenter is not None,
            "file": self.clicks.path.name,
        }

    def slice(self, rater: str, z: int) -> dict[str, Any]:
        """A slice and a rater's clicks on it. Raises ConfigError for one that there is not."""
        if not 0 <= z < self.images.shape[0]:
            raise ConfigError(f"slice {z}: the volume has slices 0 to {self.images.shape[0] - 1}.")
        clicks = self.clicks.of(rater)
        standing = clicks.standing()
        here = [{"number": n, **click.model_dump()} for n, click in standing.items() if click.z == z]
        clicked = sorted({click.z for click in standing.values()})
        return {"z": z, "picture": self._picture(z), "clicks": here, "clicked": clicked, **clicks.counts()}

    def change(self, rater: str, change: Callable[[RaterClicks], int]) -> dict[str, Any]:
        """Change a rater's clicks; the slice that it was on. All of it is on disk when this returns."""
        z = change(self.clicks.of(rater))
        self.clicks.save()
        return self.slice(rater, z)

    def _draw(self, z: int) -> str:
        """Digest of a slice's picture."""
        image = self._grey.levels(area_mean(self.images.read(z), self._cut.factor))
        return self.pictures.add(jpeg(image, quality=92), "jpeg")

    def outlines(self, rater: str, z: int, y: float, x: float) -> dict[str, Any]:
        """What the model finds around a place, given a rater's clicks. Raises ConfigError without a model."""
        return self._model.outlines(z, self._centres(rater, z), (y, x))

    def next_unclicked(self, rater: str, z: int, y: float, x: float) -> int | None:
        """The next slice on which the model finds an object around a place that is not clicked; None: none nearby.

        Raises:
            ConfigError: without a model.
        """
        model = self._model
        for later in range(z + 1, min(z + 1 + _AHEAD, self.images.shape[0])):
            if model.unclicked(later, self._centres(rater, later), (y, x)):
                return later
        return None

    @property
    def _model(self) -> Segmenter:
        if self.segmenter is None:
            raise ConfigError("no model was given.", "dabench annotate points --run RUN ...")
        return self.segmenter

    def _centres(self, rater: str, z: int) -> Array:
        clicks = self.clicks.of(rater).standing().values()
        centres = [(c.x, c.y) for c in clicks if c.z == z and c.kind == "object"]
        return np.asarray(centres, np.float32).reshape(-1, 2)


def point_routes(clicking: Clicking, rater: str = "") -> list[BaseRoute]:
    """What the page's script asks for; ``rater`` is proposed as a name."""

    def section(request: Request) -> Response:
        return JSONResponse(clicking.slice(_who(request), request.path_params["z"]))

    def outlines(request: Request) -> Response:
        place = (_number(request, axis) for axis in "yx")
        return JSONResponse(clicking.outlines(_who(request), request.path_params["z"], *place))

    def unclicked(request: Request) -> Response:
        place = (_number(request, axis) for axis in "yx")
        return JSONResponse({"z": clicking.next_unclicked(_who(request), request.path_params["z"], *place)})

    async def add(request: Request) -> Response:
        given = await parsed(request, Added)
        click = Click(**given.model_dump(exclude={"seconds"}))
        return await changed(request, lambda own: own.add(click, given.seconds))

    async def remove(request: Request) -> Response:
        given = await parsed(request, Removed)
        return await changed(request, lambda own: own.remove(given.number, given.seconds))

    async def undo(request: Request) -> Response:
        given = await parsed(request, Undone)
        return await changed(request, lambda own: own.undo(given.seconds))

    async def changed(request: Request, change: Callable[[RaterClicks], int]) -> Response:
        """The slice that a change was made on; files are waited for in a thread, so that other raters need not."""
        return JSONResponse(await run_in_threadpool(clicking.change, _who(request), change))

    return [
        Route(_HOME, lambda _: JSONResponse(clicking.about(rater))),
        Route(f"{_HOME}/{{rater}}/slices/{{z:int}}", section),
        Route(f"{_HOME}/{{rater}}/outlines/{{z:int}}", outlines),
        Route(f"{_HOME}/{{rater}}/unclicked/{{z:int}}", unclicked),
        Route(f"{_HOME}/{{rater}}/add", add, methods=["POST"]),
        Route(f"{_HOME}/{{rater}}/remove", remove, methods=["POST"]),
        Route(f"{_HOME}/{{rater}}/undo", undo, methods=["POST"]),
    ]


def _who(request: Request) -> str:
    name: str = request.path_params["rater"]
    return name


def _number(request: Request, name: str) -> float:
    try:
        return float(request.query_params[name])
    except (KeyError, ValueError):
        raise ConfigError(f"{name} is not a number.") from None
