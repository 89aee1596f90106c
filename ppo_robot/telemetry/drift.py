"""Whether what a policy sees and does is like what its bundle was judged on, component by component, over a window."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

PARTS = 12
"""Of the window; what is older than it is forgotten a part at a time."""

EMPTY = 1e-4
"""Share that an empty bin counts as, or the logarithm would have no end."""


@dataclass(frozen=True)
class Reference:
    """The distribution of C components in training.

    Attributes:
        names: of the components.
        deciles: (C, 9) inner edges of ten bins with a tenth of the samples each.
        minimum, maximum: (C,).
    """

    names: tuple[str, ...]
    deciles: Array
    minimum: Array
    maximum: Array


@dataclass(frozen=True)
class DriftFigures:
    """What the window holds.

    Attributes:
        ticks: in the window.
        goals: that followed each other in it; a policy with one goal does not see what a thousand would show it.
        psi: (C,) population stability index of each component; zero without ticks.
        outside: (C,) share of ticks outside what training ever saw, NaN included; zero without ticks.
    """

    ticks: int
    goals: int
    psi: Array
    outside: Array


@dataclass
class _Part:
    turn: int
    counts: NDArray[np.int64]
    outside: NDArray[np.int64]
    ticks: int = 0
    changes: int = 0


class Drift:
    """Counts the last `window` s in the deciles of the reference: constant memory, one pass over a batch."""

    def __init__(self, reference: Reference, window: float) -> None:
        """Prepare; `window` in s."""
        self.names = reference.names
        self._edges = reference.deciles
        self._low, self._high = reference.minimum, reference.maximum
        self._expected = expected_shares(reference.deciles, reference.minimum)
        self._part = window / PARTS
        self._ring: deque[_Part] = deque(maxlen=PARTS)
        self._goal: Array | None = None
        self._offset = 10 * np.arange(len(self.names))

    def record(self, values: Array, goals: Array, now: float) -> None:
        """Take values (n, C) and goals (n, 3) of ticks, at a time `now` in s that never goes back."""
        if not len(values):
            return
        part = self._current(now)
        # A NaN is at or above no edge, and neither inside the range: it counts as outside, below all else.
        bins = (values[:, :, None] >= self._edges).sum(axis=2) + self._offset
        part.counts += np.bincount(bins.ravel(), minlength=part.counts.size).reshape(part.counts.shape)
        part.outside += (~((values >= self._low) & (values <= self._high))).sum(axis=0)
        part.ticks += len(values)
        before = goals[:1] if self._goal is None else self._goal
        part.changes += int(np.any(np.diff(np.vstack([before, goals]), axis=0) != 0.0, axis=1).sum())
        self._goal = goals[-1:].copy()

    def figures(self, now: float) -> DriftFigures:
        """Return what the window that ends at `now` shows."""
        parts = [part for part in self._ring if part.turn > int(now // self._part) - PARTS]
        ticks = sum(part.ticks for part in parts)
        if not ticks:
            return DriftFigures(0, 0, np.zeros(len(self.names)), np.zeros(len(self.names)))
        shares = np.sum([part.counts for part in parts], axis=0) / ticks
        outside = np.sum([part.outside for part in parts], axis=0) / ticks
        goals = 1 + sum(part.changes for part in parts)
        return DriftFigures(ticks, goals, stability_index(shares, self._expected), outside)

    def _current(self, now: float) -> _Part:
        turn = int(now // self._part)
        if not self._ring or self._ring[-1].turn != turn:
            size = len(self.names)
            self._ring.append(_Part(turn, np.zeros((size, 10), np.int64), np.zeros(size, np.int64)))
        return self._ring[-1]


def expected_shares(deciles: Array, minimum: Array) -> Array:
    """Return the share of training's samples in each bin (C, 10): a tenth, but for components with repeated values.

    A value falls into the bin whose number is how many deciles it reaches. Where several deciles are the same number,
    the tenths between them all fall into the last of their bins, and the others stay empty.
    """
    lower = np.column_stack([minimum, deciles])
    bins = (lower[:, :, None] >= deciles[:, None, :]).sum(axis=2)
    shares = np.zeros((len(deciles), 10))
    for place in range(10):
        shares[np.arange(len(deciles)), bins[:, place]] += 0.1
    return shares


def stability_index(shares: Array, expected: Array) -> Array:
    """Return the population stability index (...) of shares (..., bins) against the expected ones.

    sum((p - q) ln(p / q)), the symmetric Kullback-Leibler divergence of both (Siddiqi, Credit Risk Scorecards, 2006).
    """
    found, wanted = np.maximum(shares, EMPTY), np.maximum(expected, EMPTY)
    index: Array = ((found - wanted) * np.log(found / wanted)).sum(axis=-1)
    return index


def worst(names: Sequence[str], values: Array) -> tuple[str, float]:
    """Return the name and the value of the component with the largest value, the first of equals."""
    place = int(np.argmax(values))
    return names[place], float(values[place])
