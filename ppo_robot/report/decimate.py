"""Fewer points for the same picture: every point that is kept is a sample, and no peak is lost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Span = tuple[float, float]


def kept(time: Array, value: Array, buckets: int, whole: Sequence[Span] = ()) -> NDArray[np.intp]:
    """Return, in order, which samples of a curve to draw.

    Time is parted into buckets of the same length. Of each the first and the last sample are kept, the lowest, the
    highest, and the first that is not a number, which is where a drawn line breaks. On a screen of no more pixels than
    buckets the picture is that of all samples (Jugel et al. 2014, "M4").

    Args:
        time: (n,) s, never falling.
        value: (n,), NaN where there is none.
        buckets: at most five samples are kept of each; a curve with no more than twice as many samples is kept whole.
        whole: spans (s) of which every sample is kept.
    """
    count = len(time)
    if count <= 2 * buckets:
        return np.arange(count)
    length = float(time[-1] - time[0])
    place = np.zeros(count, dtype=np.intp)
    if length > 0.0:
        place = np.minimum((time - time[0]) * (buckets / length), buckets - 1).astype(np.intp)
    first = np.flatnonzero(np.diff(place, prepend=-1))
    last = np.append(first[1:], count) - 1
    broken = np.flatnonzero(np.isnan(value))
    breaks = broken[np.flatnonzero(np.diff(place[broken], prepend=-1))]
    lowest = np.lexsort((value, place))[first]  # NaN sorts last, both ways
    highest = np.lexsort((-value, place))[first]
    detail = [np.arange(*np.searchsorted(time, span)) for span in whole]
    return np.unique(np.concatenate([first, last, lowest, highest, breaks, *detail]))


def with_gaps(time: Array, value: Array, longest: float) -> tuple[Array, Array]:
    """Return a curve with NaN put into the middle of every silence longer than `longest` s, so that a line breaks."""
    after = np.flatnonzero(np.diff(time) > longest) + 1
    middle = 0.5 * (time[after - 1] + time[after])
    return np.insert(time, after, middle), np.insert(value, after, np.nan)


def spans_of(time: Array, on: NDArray[np.bool_], period: float, nearest: float) -> list[Span]:
    """Return when a sampled condition held, as spans from a sample to where the next one is due.

    Args:
        time: (n,) s, never falling.
        on: (n,) whether it held.
        period: s that the last sample of a span counts for, at most; less where the next one comes sooner.
        nearest: s; spans with no more between them are told as one.
    """
    edges = np.diff(on.astype(np.int8), prepend=0, append=0)
    begins, ends = np.flatnonzero(edges > 0), np.flatnonzero(edges < 0)
    if not len(begins):
        return []
    last = time[ends - 1]
    following = time[np.minimum(ends, len(time) - 1)]
    until = np.where(ends < len(time), np.minimum(following, last + period), last + period)
    start = time[begins]
    apart = np.append(True, start[1:] - until[:-1] > nearest)
    groups = np.flatnonzero(apart)
    closing = np.append(groups[1:], len(start)) - 1
    return list(zip(start[groups].tolist(), until[closing].tolist(), strict=True))
