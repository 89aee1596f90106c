"""One page of small multiples: success against each parameter, those first that cost most."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ppo_robot.training.sensitivity.measure import Figures, Lost, by_importance

INK, MUTED, BAND, PAPER = "#1f2933", "#6b7780", "#eaf1f6", "#ffffff"
MATTERS, BEYOND, HARMLESS = "#c8501e", "#2f6f9f", "#9aa5ad"
COLUMNS = 5
DOTS = 150
"""Per inch."""


def draw_sweeps(nominal: Figures, lost: Sequence[Lost], title: str) -> bytes:
    """Return a PNG with a panel for each sweep."""
    ordered = by_importance(lost)
    columns = min(COLUMNS, max(1, len(ordered)))
    rows = max(1, math.ceil(len(ordered) / columns))
    size = (max(2.5 * columns, 7.5), 1.2 + 1.75 * rows)
    figure = Figure(figsize=size, layout="constrained", facecolor=PAPER)
    figure.suptitle(title, fontsize=11, color=INK, x=0.01, ha="left")
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for axes, one in zip(grid.flat, ordered, strict=False):
        _panel(axes, one, nominal)
    for axes in list(grid.flat)[len(ordered) :]:
        axes.set_visible(False)
    figure.supylabel("success rate", fontsize=9, color=MUTED)
    figure.supxlabel(
        "shaded: the range; dotted: nominal, and success there; bars: 95 % intervals.\nOrange loses success inside its"
        " range, blue only beyond it.",
        fontsize=8.5,
        color=MUTED,
    )
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=DOTS, metadata={"Software": None})
    return out.getvalue()


def _panel(axes: Axes, one: Lost, nominal: Figures) -> None:
    sweep = one.sweep
    colour = MATTERS if one.matters else BEYOND if one.matters_beyond else HARMLESS
    axes.axvspan(*sweep.range, color=BAND, zorder=0)
    axes.axvline(sweep.nominal, color=MUTED, linewidth=0.8, linestyle=":")
    axes.axhline(nominal["success_rate"], color=MUTED, linewidth=0.8, linestyle=":")
    x = [point.x for point in sweep.points]
    y = [figures["success_rate"] for figures in one.figures]
    axes.plot(x, y, color=colour, linewidth=1.4, marker="o", markersize=2.6)
    low, high = zip(*(figures["success_ci95"] for figures in one.figures), strict=True)
    axes.vlines(x, low, high, color=colour, linewidth=0.9, alpha=0.6)
    axes.set_ylim(-0.03, 1.03)
    axes.set_title(f"{sweep.name}   loses {100 * max(one.fall, 0.0):.0f} %", fontsize=8.5, color=INK, loc="left", pad=3)
    axes.set_xlabel(_label(one), fontsize=7.5, color=MUTED, labelpad=1)
    axes.tick_params(labelsize=7, labelcolor=MUTED, color="#c5ccd1", length=2)
    axes.locator_params(axis="x", nbins=4)
    for name, spine in axes.spines.items():
        spine.set_visible(name in ("left", "bottom"))
        spine.set_color("#c5ccd1")


def _label(one: Lost) -> str:
    if one.sweep.kind == "scale":
        return "times its range"
    return "" if one.sweep.unit == "1" else one.sweep.unit
