"""The page, written slice by slice: one HTML file that needs nothing else, and never more than a slice in memory."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any

from dabench.files.atomic import atomic
from dabench.files.html import END, inline_json, own_head, start
from dabench.interfaces.observer import Progress
from dabench.volumes.viewer.encode import Grey, encode_slice, measure_grey

if TYPE_CHECKING:
    from pathlib import Path

    from dabench.volumes.viewer.downsampling import Downsampling
    from dabench.volumes.viewer.view_data import ViewData

_PAGE = files("dabench.volumes.viewer") / "page"
#: In the order in which they are read: each may use what stands before it.
_SCRIPTS = ("slices.js", "paint.js", "stage.js", "controls.js", "page.js")
#: What a slice's record says in words and numbers, for the page's overview.
_SPOKEN = ("z", "objects", "true_objects", "dice")


@dataclass(frozen=True)
class Written:
    """What lies in a page: its file and size, and what of the volume it shows."""

    path: Path
    bytes: int
    seconds: float
    slices: int
    of: int
    factor: int
    layers: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """For a program."""
        return {**asdict(self), "path": str(self.path)}


def write_page(view_data: ViewData, cut: Downsampling, path: Path, progress: Progress | None = None) -> Written:
    """Write the page for a part of a view, atomically.

    Every slice is a block of JSON that the page decodes when it is looked at. Names and notes are text there, never
    markup; a content security policy lets no script run but the page's own and nothing be fetched.

    Args:
        view_data: what to show.
        cut: which part of it.
        path: the HTML file.
        progress: called with (slices done, slices in all).

    Raises:
        DataError: a file is damaged; the page that was there before stays.
    """
    started = time.perf_counter()
    grey = measure_grey(view_data.images, cut)
    head, between, tail = _template(view_data.title)
    spoken: list[dict[str, Any]] = []
    with atomic(path) as part, part.open("w", encoding="utf-8") as page:
        page.write(head + inline_json(about(view_data, cut, grey)) + between)
        for number, z in enumerate(cut.slices):
            record = encode_slice(view_data, cut, grey, z)
            page.write(f'<script type="application/json" id="slice-{number}">{inline_json(record)}</script>\n')
            spoken.append({name: record[name] for name in _SPOKEN if name in record})
            if progress is not None:
                progress(number + 1, len(cut.slices))
        page.write(f'<script type="application/json" id="overview">{inline_json(spoken)}</script>' + tail)
    seconds = round(time.perf_counter() - started, 2)
    layers = tuple(_layers(view_data))
    return Written(path, path.stat().st_size, seconds, len(cut.slices), cut.of, cut.factor, layers)


def about(view_data: ViewData, cut: Downsampling, grey: Grey) -> dict[str, Any]:
    """What the page knows of the whole: sizes, voxel, layers, and in words what is left out or reduced."""
    window = cut.window
    return {
        "window": [window.y, window.x, window.height, window.width],
        "shown": [-(-length // cut.factor) for length in (window.height, window.width)],
        "factor": cut.factor,
        "depth": view_data.images.shape[0],
        "slices": cut.slices,
        "voxel": view_data.voxel,
        "layers": _layers(view_data),
        "facts": _facts(view_data, grey),
        "notes": [*view_data.notes, *_reductions(view_data, cut)],
    }


def _facts(view_data: ViewData, grey: Grey) -> list[str]:
    """One line about the volume."""
    voxel = (
        " × ".join(f"{length:g}" for length in view_data.voxel) + " nm per voxel"
        if view_data.voxel
        else "voxel size unknown"
    )
    return [
        " × ".join(f"{length:,}" for length in view_data.images.shape) + " (slices, rows, columns)",
        voxel,
        f"grey {grey.low:g} shown black, {grey.high:g} white",
    ]


def _reductions(view_data: ViewData, cut: Downsampling) -> list[str]:
    """What is not shown, or smaller than it is; empty where everything is."""
    said, window, count = [], cut.window, len(cut.slices)
    if count < cut.of:
        said.append(f"{count:,} of {cut.of:,} slices are shown, evenly spread.")
    if cut.of < view_data.images.shape[0]:
        said.append(
            f"Slices {cut.slices[0]:,} to {cut.slices[-1]:,} of the {view_data.images.shape[0]:,} of the volume."
        )
    if (window.height, window.width) != view_data.images.shape[1:]:
        said.append(
            f"A window of each slice is shown: {window.height:,} rows from {window.y:,}, {window.width:,} columns from "
            f"{window.x:,}; numbers are of this window."
        )
    if cut.factor > 1:
        said.append(
            f"Shown at 1/{cut.factor}: {cut.factor} × {cut.factor} pixels are one, of images and probabilities the "
            "mean, of labels the most frequent. Numbers of objects and Dice are of the full size."
        )
    return said


def _layers(view_data: ViewData) -> list[str]:
    names = list(view_data.layers())
    if "prediction" not in names and {"instances", "probability"} & {*names}:
        names.insert(0, "prediction")
    return names + (["points"] if view_data.points else [])


def _template(title: str) -> tuple[str, str, str]:
    """The page before its description, between that and its slices, and after them."""
    css = (_PAGE / "view.css").read_text("utf-8")
    js = "\n".join((_PAGE / name).read_text("utf-8") for name in _SCRIPTS)
    head, _, rest = (_PAGE / "view.html").read_text("utf-8").partition("$about")
    between, _, tail = rest.partition("$slices")
    head = start(title, own_head(css, js)) + Template(head).substitute(title=escape(title))
    return head, between, Template(tail).substitute(js=js) + END
