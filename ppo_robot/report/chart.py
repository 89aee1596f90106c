"""What a chart is before it is drawn, and how it travels inside the page."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ppo_robot.report.decimate import Span, kept

Array = NDArray[np.float64]

MOST_BYTES = 6_500_000
"""What the curves of a page may weigh, about."""

MOST_BUCKETS, LEAST_BUCKETS = 6000, 400
"""Parts of a recording of which each curve keeps first, last, lowest and highest sample: at most, and at least."""

_BUCKET_BYTES = 43
"""Of those samples, as text: four of a time and a value, 4 bytes each, in base64."""

_COUNTS = 2**32 - 1


@dataclass(frozen=True)
class Series:
    """One curve.

    Attributes:
        name: what it is; the same in every chart of a group, which are switched on and off together.
        colour: a colour of the page's style, such as `blue`, or `c0` to `c9`.
        time: (n,) s since the recording began, never falling.
        value: (n,) in the chart's unit, NaN where there is none.
        look: a line through the samples, a value that stands until the next one, or single points.
        hidden: whether a reader has to switch it on.
    """

    name: str
    colour: str
    time: Array
    value: Array
    look: Literal["line", "dashed", "step", "dots"] = "line"
    hidden: bool = False
    hold: float = 0.0
    """s; a step between samples further apart than this is drawn as a line, for samples between were left out."""


@dataclass(frozen=True)
class Mark:
    """A value that does not change, as a thin line across the chart; beyond it lies what is not allowed, if `beyond`.

    `beyond` is 1 for above, -1 for below, 0 for neither.
    """

    value: float
    label: str
    colour: str = "red"
    beyond: int = 0


@dataclass(frozen=True)
class Shade:
    """When something held, as tinted spans with a name."""

    name: str
    colour: str
    spans: list[Span]
    note: str = ""


@dataclass(frozen=True)
class Chart:
    """One chart over the time of the recording.

    Attributes:
        name: unique on the page.
        group: the section that it stands in.
        unit: of values and marks; "rad" can be read in degrees, too.
        least: in `unit`, the least height that the vertical axis spans, so that noise does not look like motion.
        digits: decimals of a value that is read off.
        log: whether the vertical axis is logarithmic.
        height: pixels.
    """

    name: str
    group: str
    title: str
    unit: str
    series: Sequence[Series]
    marks: Sequence[Mark] = ()
    shades: Sequence[Shade] = ()
    least: float = 0.0
    digits: int = 3
    log: bool = False
    height: int = 150
    note: str = ""


@dataclass
class Packer:
    """Turns times and values into text for the page: whole counts of `unit` s, and 32-bit floats.

    Attributes:
        duration: s, of the recording.
        buckets: parts of the recording of which a curve keeps the extremes.
        whole: spans of which every sample travels, whatever the recording's length.
    """

    duration: float
    buckets: int
    whole: Sequence[Span] = field(default_factory=list)

    @property
    def unit(self) -> float:
        """Seconds of a count: a microsecond, or more where the recording is longer than an hour."""
        unit = 1e-6
        while self.duration / unit > _COUNTS:
            unit *= 10.0
        return unit

    def times(self, time: Array) -> str:
        """Return times (n,) s as base64 of little-endian uint32 counts."""
        counts = np.clip(np.rint(time / self.unit), 0, _COUNTS)
        return base64.b64encode(counts.astype("<u4").tobytes()).decode("ascii")

    def values(self, value: Array) -> str:
        """Return numbers as base64 of little-endian float32."""
        return base64.b64encode(value.astype("<f4").tobytes()).decode("ascii")

    def series(self, series: Series) -> dict[str, Any]:
        """Return a curve as a tree for JSON, decimated."""
        index = kept(series.time, series.value, self.buckets, self.whole)
        return {
            "name": series.name,
            "colour": series.colour,
            "look": series.look,
            "hidden": series.hidden,
            "hold": series.hold,
            "samples": len(series.time),
            "t": self.times(series.time[index]),
            "v": self.values(series.value[index]),
        }

    def chart(self, chart: Chart) -> dict[str, Any]:
        """Return a chart as a tree for JSON."""
        keys = ("name", "group", "title", "unit", "least", "digits", "log", "height", "note")
        return {
            **{key: getattr(chart, key) for key in keys},
            "series": [self.series(series) for series in chart.series],
            "marks": [vars(mark) for mark in chart.marks],
            "shades": [{**vars(shade), "spans": rounded(shade.spans)} for shade in chart.shades],
        }


def buckets_for(curves: int) -> int:
    """Return into how many parts a recording may be cut whose page draws so many curves."""
    return max(LEAST_BUCKETS, min(MOST_BUCKETS, MOST_BYTES // (_BUCKET_BYTES * max(1, curves))))


def rounded(spans: Sequence[Span]) -> list[list[float]]:
    """Return spans with times to a tenth of a millisecond, which no screen can show finer."""
    return [[round(start, 4), round(end, 4)] for start, end in spans]
