"""A transfer matrix as a picture: success by row and column, darker where more fails."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from ppo_robot.training.transfer.pool import Pooled, Table

INK, PAPER, MUTED = "#1f2933", "#ffffff", "#6b7780"
DOTS = 160
"""Per inch."""


def draw_heat_map(table: Table, rows: Mapping[str, str], columns: Mapping[str, str], title: str) -> bytes:
    """Return a PNG of the success rates of `rows` and `columns` (name to title), with intervals; gaps stay empty."""
    names = list(rows), list(columns)
    values = np.full((len(names[0]), len(names[1])), np.nan)
    for place, row in enumerate(names[0]):
        for other, column in enumerate(names[1]):
            if column in table.get(row, {}):
                values[place, other] = table[row][column].success_rate
    figure = Figure(figsize=(2.6 + 1.45 * len(columns), 1.5 + 0.62 * len(rows)), layout="constrained", facecolor=PAPER)
    axes = figure.add_subplot()
    colours = colormaps["YlGnBu_r"]
    axes.set_facecolor("#f2f3f4")  # of what is not measured yet
    image = axes.imshow(np.ma.masked_invalid(values), cmap=colours, vmin=0.0, vmax=1.0, aspect="auto")
    axes.set_xticks(range(len(columns)), [_wrapped(text) for text in columns.values()], fontsize=9, color=INK)
    axes.set_yticks(range(len(rows)), list(rows.values()), fontsize=9, color=INK)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.set_title(title, fontsize=10.5, color=INK, loc="left", pad=10)
    for spine in axes.spines.values():
        spine.set_visible(False)
    for place, row in enumerate(names[0]):
        for other, column in enumerate(names[1]):
            _write(axes, place, other, table.get(row, {}).get(column))
    bar = figure.colorbar(image, ax=axes, fraction=0.025, pad=0.015, format=lambda value, _: f"{100 * value:.0f} %")
    bar.outline.set_visible(False)
    bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.ax.tick_params(length=0, labelsize=8, labelcolor=MUTED)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=DOTS, metadata={"Software": None})
    return out.getvalue()


def _write(axes: Axes, place: int, other: int, cell: Pooled | None) -> None:
    if cell is None:
        return
    ink = PAPER if cell.success_rate < 0.55 else INK
    low, high = cell.interval
    axes.text(other, place - 0.12, f"{100 * cell.success_rate:.1f}", ha="center", va="center", color=ink, fontsize=10.5)
    axes.text(
        other, place + 0.24, f"{100 * low:.1f} to {100 * high:.1f}", ha="center", va="center", color=ink, fontsize=7
    )


def _wrapped(text: str, width: int = 17) -> str:
    lines: list[str] = []
    for word in text.split():
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return "\n".join(lines)
