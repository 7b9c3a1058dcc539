"""A small picture of a run's loss curves, one panel per stage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dabench.files.atomic import write_with
from dabench.tracking.journal import Curve, read_curve
from dabench.tracking.translate import thin

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_curves(run_dir: Path) -> Path | None:
    """Write ``curves/curves.png`` from the run's curves and return its path; None when there are none."""
    folder = Path(run_dir) / "curves"
    curves = {p.stem: read_curve(p) for p in sorted(folder.glob("*.jsonl"), key=lambda p: p.stat().st_mtime_ns)}
    curves = {stage: curve for stage, curve in curves.items() if curve}
    if not curves:
        return None
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    inches = 4.2 * len(curves)
    figure = Figure(figsize=(inches, 3.0))
    FigureCanvasAgg(figure)
    # Fixed margins: a layout engine takes as long as all the drawing.
    margins = {"left": 0.55 / inches, "right": 1 - 0.1 / inches, "bottom": 0.15, "top": 0.9, "wspace": 0.2}
    panels = figure.subplots(1, len(curves), squeeze=False, gridspec_kw=margins)[0]
    for panel, (stage, curve) in zip(panels, curves.items(), strict=True):
        _panel(panel, stage, curve)
    path = folder / "curves.png"
    write_with(path, lambda part: figure.savefig(part, dpi=90, format="png"))
    return path


def _panel(panel: Axes, stage: str, curve: Curve) -> None:
    losses = {name: term for name, term in curve.terms.items() if name != "lr"}
    for name, (steps, values) in losses.items():
        kept = thin(len(steps))
        width = 1.6 if name == "loss" else 0.9
        panel.plot([steps[i] for i in kept], [values[i] for i in kept], label=name, linewidth=width)
    smallest = min((value for _, values in losses.values() for value in values), default=0.0)
    if smallest > 0:
        panel.set_yscale("log")
    panel.set_title(stage, fontsize=10)
    panel.set_xlabel("update", fontsize=8)
    panel.tick_params(labelsize=7, which="both")
    panel.legend(fontsize=7, frameon=False)
    panel.spines[["top", "right"]].set_visible(False)
