"""From a matplotlib figure to SVG that belongs to the page: colours, light or dark, and font are the page's."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter

# Colours that nothing else has: they stand for the page's own, and are replaced by them in the finished SVG.
_NAMES = ("ink", "muted", "line", "blue", "orange", "green", "red", "violet", "surface", "band")
INK, MUTED, LINE, BLUE, ORANGE, GREEN, RED, VIOLET, SURFACE, BAND = (
    f"#0102{number:02x}" for number in range(0x10, 0x10 + len(_NAMES))
)
_PAGE_COLOURS = {
    sentinel: f"var(--{name})"
    for sentinel, name in zip((INK, MUTED, LINE, BLUE, ORANGE, GREEN, RED, VIOLET, SURFACE, BAND), _NAMES, strict=True)
}

_STYLE: Any = {
    "svg.fonttype": "none",
    "font.size": 9.0,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.labelsize": 9.0,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "xtick.major.size": 3.0,
    "ytick.major.size": 0.0,
    "xtick.minor.size": 0.0,
    "ytick.minor.size": 0.0,
    "text.color": MUTED,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.handlelength": 1.4,
    "legend.borderpad": 0.0,
    "legend.labelcolor": MUTED,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "path.simplify_threshold": 0.3,
}


@contextmanager
def drawing(width: float, height: float) -> Iterator[tuple[Figure, Axes]]:
    """Yield a figure of so many inches and its axes, in the page's style."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.03))
        yield figure, figure.add_subplot()


def to_svg(figure: Figure, name: str, label: str) -> str:
    """Return the figure as an `<svg>` element; `name` is unique on the page, `label` is for those who hear it."""
    out = io.StringIO()
    with matplotlib.rc_context(_STYLE | {"svg.hashsalt": name}):
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(out, format="svg", transparent=True, dpi=160, metadata=nothing)
    text = out.getvalue()
    text = text[text.index("<svg") :]
    box = re.search(r'viewBox="([^"]+)"', text)
    body = text[text.index(">") + 1 :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r"<!--.*?-->", "", body, flags=re.DOTALL)
    body = body.replace("xlink:href", "href")
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', body))
    body = re.sub(r' id="([^"]+)"', lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", body)
    body = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", body)
    body = re.sub(r"(font: [\d.]+px) [^;\"]+", r"\1 var(--font)", body)
    for sentinel, colour in _PAGE_COLOURS.items():
        body = body.replace(sentinel, colour)
    body = re.sub(r"\n\s*", "\n", body)
    shape = box[1] if box else "0 0 100 100"
    return f'<svg viewBox="{shape}" role="img" aria-label="{html.escape(label, quote=True)}">{body}'


def in_two_widths(name: str, draw: Callable[[str, float, float], str]) -> str:
    """Return two drawings of a wide figure, of which the page shows the one that fits: wide screen or telephone.

    `draw` takes a name, width and height (inches) and returns the SVG.
    """
    wide, narrow = draw(f"{name}-wide", 12.6, 3.5), draw(f"{name}-narrow", 4.7, 2.9)
    return f'<div class="for-wide">{wide}</div><div class="for-narrow">{narrow}</div>'


def legend_above(axes: Axes, columns: int) -> None:
    """Put the legend over the plot, where it covers nothing."""
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=columns, borderaxespad=0.3, columnspacing=1.4)


def steps_axis(axes: Axes) -> None:
    """Label the horizontal axis as environment steps, in thousands or millions."""
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_count(value)))
    axes.locator_params(axis="x", nbins=5)
    axes.margins(x=0.01)


def short_count(value: float) -> str:
    """Return a count the way a person says it: 1.5M, 250k, 40."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"
