"""The measures on one page: sizes, lengths, elongation, and how many there are along z."""

from __future__ import annotations

import html
import io
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dabench.errors import ConfigError
from dabench.files.atomic import write_text, write_with
from dabench.files.html import END, own_head, start
from dabench.types import Array
from dabench.volumes.measuring.table import Measures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BINS = 40
_STYLE = """body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; color: #222 }
td, th { padding: .15rem 1.2rem .15rem 0; text-align: left } td + td { font-variant-numeric: tabular-nums }
img { width: 100% }"""
_PNG = "data:image/png;base64,"


def write_summary(measures: Measures, path: Path, title: str) -> list[Path]:
    """Write a summary: a ``.png``, a ``.html`` that needs nothing beside it, or both into a folder; each atomically.

    Raises:
        ConfigError: another ending.
    """
    check_summary(path)
    picture = _png(draw(measures, title))
    targets = [path] if path.suffix else [path / "summary.png", path / "summary.html"]
    for target in targets:
        if target.suffix == ".png":
            write_with(target, lambda part: _write(part, picture))
        else:
            write_text(target, _page(measures, title, picture))
    return targets


def check_summary(path: Path) -> None:
    """Raises ConfigError for the name of a file that no summary can be."""
    if path.suffix not in ("", ".png", ".html"):
        raise ConfigError(f"--summary {path}: give a folder, or a name that ends in .png or .html.")


def lines(measures: Measures) -> list[tuple[str, str]]:
    """The numbers in words: (what, value with its unit)."""
    said = measures.summary()
    solid = measures.dims == 3
    size, unit = ("volume", "µm³") if solid else ("area", "µm²")
    kept = measures.objects["volume_nm3"] * 1e-9 if solid else measures.objects["area_nm2"] * 1e-6
    rows = [
        ("objects" if solid else "profiles", f"{said['objects']} ({said['touching_border']} touch the border)"),
        ("share of the volume", f"{said['volume_fraction']:.2%}"),
        (size, _spread(kept, unit)),
        ("length", _spread(measures.objects["length_nm"], "nm")),
        ("elongation", _spread(measures.objects["elongation"], "")),
        ("objects per slice, mean", f"{said['objects_per_slice_mean']:.1f}"),
    ]
    return [*rows, ("objects per µm³", f"{said['objects_per_um3']:.3g}")] if solid else rows


def draw(measures: Measures, title: str) -> Figure:
    """Four panels: size, length, elongation, and density along z."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6.4), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"{title}: {measures.count} {'objects' if measures.dims == 3 else 'profiles'}", fontsize=11)
    (size, length), (shape, along) = figure.subplots(2, 2)
    found = measures.objects
    if measures.dims == 3:
        _histogram(size, found["volume_nm3"] * 1e-9, "volume, µm³", log=True)
    else:
        _histogram(size, found["area_nm2"] * 1e-6, "area, µm²", log=True)
    _histogram(length, found["length_nm"], "length, nm", log=False)
    _histogram(shape, found["elongation"], "elongation (longest axis / shortest)", log=False)
    _along(along, measures)
    return figure


def _histogram(panel: Axes, values: Array, label: str, *, log: bool) -> None:
    if values.size:
        low, high = float(values.min()), float(values.max())
        if log:
            edges = np.geomspace(low * 0.95, high * 1.05, _BINS)
            panel.set_xscale("log")
        else:
            edges = np.linspace(low, high if high > low else low + 1, _BINS)
        panel.hist(values, edges.tolist(), color="#3b6ea5")
        panel.axvline(float(np.median(values)), color="#c44", linewidth=1.2, label=f"median {np.median(values):.3g}")
        panel.legend(fontsize=8, frameon=False)
    _dress(panel, label, "number")


def _along(panel: Axes, measures: Measures) -> None:
    slices = measures.slices
    z = slices["z_nm"] * 1e-3
    panel.plot(z, slices["objects_per_um2"], color="#3b6ea5", linewidth=1.2, marker="." if z.size < 60 else "")
    panel.set_ylim(bottom=0)
    _dress(panel, "z, µm", "objects per µm² of slice")
    share = panel.twinx()
    share.plot(z, slices["area_fraction"] * 100, color="#999", linewidth=1)
    share.set_ylim(bottom=0)
    share.set_ylabel("area, %", fontsize=8, color="#777")
    share.tick_params(labelsize=8)


def _dress(panel: Axes, across: str, up: str) -> None:
    panel.set_xlabel(across, fontsize=9)
    panel.set_ylabel(up, fontsize=9)
    panel.tick_params(labelsize=8)
    panel.spines[["top"]].set_visible(False)


def _spread(values: Array, unit: str) -> str:
    if not values.size:
        return "-"
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    return f"median {_short(middle)} {unit}".rstrip() + f" (quartiles {_short(low)} to {_short(high)})"


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _page(measures: Measures, title: str, picture: bytes) -> str:
    import base64

    voxel = " x ".join(f"{side:g}" for side in measures.voxel)
    size = " x ".join(map(str, measures.shape))
    extent = " x ".join(f"{n * side / 1000:.3g}" for n, side in zip(measures.shape, measures.voxel, strict=True))
    about = (
        "volume",
        f"{size} voxels of {voxel} nm ({extent} µm, {math.prod(measures.shape) / 1e6:.3g} million voxels)",
    )
    cells = [
        f"<tr><th>{html.escape(what)}</th><td>{html.escape(value)}</td></tr>"
        for what, value in [about, *lines(measures)]
    ]
    image = base64.b64encode(picture).decode()
    body = f'<h1>{html.escape(title)}</h1><table>{"".join(cells)}</table><img alt="distributions" src="{_PNG}{image}">'
    return start(title, own_head(_STYLE)) + body + END
