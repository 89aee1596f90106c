"""Histograms of times that never grow: logarithmic buckets for quantiles, given bounds for counters of a monitor."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

LOWEST = 1e-7
"""s, lower edge of the first bucket: less than any two moments that a machine can tell apart."""

HIGHEST = 100.0
"""s, upper edge of the last bucket."""

RATIO = 1.02
"""Of the edges of a bucket. A quantile is the geometric mean of both, so it is at most sqrt(1.02) - 1 = 1 % off."""

RELATIVE_ERROR = RATIO**0.5 - 1.0

_BUCKETS = int(np.ceil(np.log(HIGHEST / LOWEST) / np.log(RATIO)))
_EDGES = LOWEST * RATIO ** np.arange(_BUCKETS + 1)
_MIDDLES = _EDGES[:-1] * np.sqrt(RATIO)
_TICKS_PER_SECOND = 1e9
"""The sum is kept in whole nanoseconds: whole numbers add up to the same in every order."""

_LONGEST = 1e9
"""s (32 years), as which any longer value enters the sum."""

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}
"""What is told of every distribution, beside its maximum and its count; never only a mean."""


@dataclass(frozen=True)
class Summary:
    """What a histogram says, in its own unit (s).

    Attributes:
        count: values that it holds.
        quantiles: by the names of `QUANTILES`; each within `RELATIVE_ERROR` of the sample of that rank. NaN if empty.
        maximum: exact; NaN if empty.
        mean: NaN if empty.
        refused: values that were negative or not finite, which are in none of the others.
    """

    count: int
    quantiles: dict[str, float]
    maximum: float
    mean: float
    refused: int


class Histogram:
    """Counts of times in s, in fixed buckets: constant memory, and two of them add up to one.

    Values below `LOWEST` or from `HIGHEST` on count in two buckets of their own, where a quantile is the exact minimum
    or maximum of all. Values that are negative, infinite or NaN are counted apart: `negative`, `not_finite`.
    """

    __slots__ = ("_counts", "_nanoseconds", "maximum", "minimum", "negative", "not_finite")

    def __init__(self) -> None:
        """Begin empty."""
        self._counts: NDArray[np.int64] = np.zeros(_BUCKETS + 2, dtype=np.int64)
        self._nanoseconds = 0
        self.minimum = np.inf
        self.maximum = -np.inf
        self.negative = 0
        self.not_finite = 0

    @property
    def count(self) -> int:
        """How many values were recorded, without the refused ones."""
        return int(self._counts.sum())

    @property
    def total(self) -> float:
        """Sum of the recorded values, s, to the nanosecond each."""
        return self._nanoseconds / _TICKS_PER_SECOND

    def record(self, values: ArrayLike) -> None:
        """Take values (n,) or one value, s."""
        given = np.atleast_1d(np.asarray(values, dtype=float))
        good = (given >= 0.0) & (given < np.inf)
        if not good.all():
            self.negative += int(np.count_nonzero((given < 0.0) & (given > -np.inf)))
            self.not_finite += int(np.count_nonzero(~np.isfinite(given)))
            given = given[good]
        if not given.size:
            return
        places = np.searchsorted(_EDGES, given, side="right")
        self._counts += np.bincount(places, minlength=len(self._counts))
        self.minimum = min(self.minimum, float(given.min()))
        self.maximum = max(self.maximum, float(given.max()))
        fitting = given[given < HIGHEST]
        self._nanoseconds += int(np.rint(fitting * _TICKS_PER_SECOND).astype(np.int64).sum())
        if fitting.size != given.size:  # many of these are beyond what 64 bits hold
            beyond = np.minimum(given[given >= HIGHEST], _LONGEST).tolist()
            self._nanoseconds += sum(round(value * _TICKS_PER_SECOND) for value in beyond)

    def merge(self, other: Histogram) -> None:
        """Add what another one holds; the order in which many are merged makes no difference, to the bit."""
        self._counts += other._counts
        self._nanoseconds += other._nanoseconds
        self.minimum = min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)
        self.negative += other.negative
        self.not_finite += other.not_finite

    def quantiles(self, shares: Sequence[float]) -> list[float]:
        """Return for each share in [0, 1] the value that this share of the values does not exceed; NaN if empty.

        It is the sample of rank ceil(share * count), at least 1, within `RELATIVE_ERROR`; never outside minimum and
        maximum.
        """
        cumulative = np.cumsum(self._counts)
        count = int(cumulative[-1])
        if count == 0:
            return [np.nan] * len(shares)
        found = []
        for share in shares:
            # 0.999 * 1000 is 999.0000000000001 in binary; that much must not move the rank.
            rank = max(1, int(np.ceil(share * count * (1.0 - 1e-12))))
            place = int(np.searchsorted(cumulative, rank))
            if place == 0:
                value = self.minimum
            elif place == len(self._counts) - 1:
                value = self.maximum
            else:
                value = float(_MIDDLES[place - 1])
            found.append(min(max(value, self.minimum), self.maximum))
        return found

    def summary(self) -> Summary:
        """Return count, quantiles, maximum and mean."""
        count = self.count
        quantiles = dict(zip(QUANTILES, self.quantiles(list(QUANTILES.values())), strict=True))
        maximum, mean = (self.maximum, self.total / count) if count else (np.nan, np.nan)
        return Summary(count, quantiles, maximum, mean, self.negative + self.not_finite)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Histogram):
            return NotImplemented
        return bool((self._counts == other._counts).all()) and self._rest() == other._rest()

    __hash__ = None  # type: ignore[assignment]  # it changes

    def _rest(self) -> tuple[float, ...]:
        return (self._nanoseconds, self.minimum, self.maximum, self.negative, self.not_finite)


class BoundedCounts:
    """How many values lie at or below each of some bounds, exactly: the buckets of a Prometheus histogram."""

    def __init__(self, bounds: Sequence[float]) -> None:
        """Prepare for ascending bounds, s; one without end is added.

        Raises:
            ValueError: if they do not ascend.
        """
        self.bounds = tuple(bounds)
        if any(low >= high for low, high in zip(self.bounds, self.bounds[1:], strict=False)):
            raise ValueError(f"bounds: given {list(bounds)}; expected them to ascend")
        self._bounds = np.array(self.bounds)
        self._counts: NDArray[np.int64] = np.zeros(len(self.bounds) + 1, dtype=np.int64)
        self.total = 0.0

    def record(self, values: ArrayLike) -> None:
        """Take values (n,), s; those that are negative or not finite are left out, as `Histogram` counts them."""
        given = np.atleast_1d(np.asarray(values, dtype=float))
        given = given[(given >= 0.0) & (given < np.inf)]
        places = np.searchsorted(self._bounds, given, side="left")
        self._counts += np.bincount(places, minlength=len(self._counts))
        self.total += float(given.sum())

    def cumulative(self) -> list[int]:
        """Return how many values were at most each bound, and how many there were."""
        return [int(count) for count in np.cumsum(self._counts)]


class Recent:
    """A distribution since the start, and the same over the last seconds: some histograms that take turns."""

    def __init__(self, window: float, parts: int = 10) -> None:
        """Keep the last `window` s, to a precision of `window / parts`."""
        self._past = Histogram()
        self._part = window / parts
        self._ring: deque[tuple[int, Histogram]] = deque()
        self._parts = parts

    @property
    def all(self) -> Histogram:
        """A copy of what was recorded since the start."""
        merged = Histogram()
        for histogram in (self._past, *(part for _, part in self._ring)):
            merged.merge(histogram)
        return merged

    def record(self, values: ArrayLike, now: float) -> None:
        """Take values (n,), s, at a time `now` that never goes back."""
        turn = int(now // self._part)
        if not self._ring or self._ring[-1][0] != turn:
            self._ring.append((turn, Histogram()))
            if len(self._ring) > self._parts:
                self._past.merge(self._ring.popleft()[1])
        self._ring[-1][1].record(values)

    def recent(self, now: float) -> Histogram:
        """Return what was recorded in the window that ends at `now`."""
        merged = Histogram()
        for turn, part in self._ring:
            if turn > int(now // self._part) - self._parts:
                merged.merge(part)
        return merged
