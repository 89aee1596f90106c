"""Whether ticks came and ended when they were due: period, jitter, deadline misses and the longest run of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

SETTLED = 20
"""Ticks after which the grid of deadlines is known: its first tick may itself have begun late."""


@dataclass
class MissCounters:
    """Periods by whose end no action had been published.

    Attributes:
        periods: that went by, missed or not.
        missed: of these.
        longest_run: of misses that followed each other.
    """

    periods: int = 0
    missed: int = 0
    longest_run: int = 0


class Schedule:
    """The absolute deadlines of a control loop, found from when its ticks began.

    The loop wakes at `anchor + n * period`, or later where the machine is late, or the tick before took too long; never
    earlier. So the earliest start of all, modulo the period, is the grid. The tick of slot n is to have published by
    `anchor + (n + 1) * period`; one that has not, and a slot without a tick, is a miss.
    """

    def __init__(self, period: float) -> None:
        """Prepare for a period in s."""
        self.period = period
        self.counters = MissCounters()
        self._anchor = 0.0
        self._slot = 0
        self._seen = 0
        self._run = 0
        self._last: float | None = None

    def begin(self) -> None:
        """Forget the grid: the loop was started anew."""
        self._last = None
        self._seen = 0
        self._run = 0

    def tick(self, began: float, published: float, follows: bool) -> float | None:
        """Take a tick that began and published at these monotonic times, s; ticks come in their order.

        `follows` says that the tick acted directly after the one before: neither paused, nor was any lost on the way.
        Returns the time since that one, s, or None where there is none.
        """
        if self._last is None:
            self._anchor, self._slot, self._seen = began, 0, 1
            self._last = began
            self._judge(published)
            return None
        slot = self._slot_of(began)
        if follows:
            self._miss(slot - self._slot - 1)
        else:
            self._run = 0
        gap = began - self._last if follows else None
        self._slot, self._last, self._seen = slot, began, self._seen + 1
        self._judge(published)
        return gap

    def _slot_of(self, began: float) -> int:
        place = (began - self._anchor) / self.period
        slot = max(math.floor(place + (0.5 if self._seen < SETTLED else 0.05)), self._slot + 1)
        if place < slot and slot - place < 0.5:  # nobody wakes early: the grid lies earlier
            self._anchor -= (slot - place) * self.period
        return slot

    def _judge(self, published: float) -> None:
        deadline = self._anchor + (self._slot + 1) * self.period
        if published > deadline:
            self._miss(1)
        else:
            self._run = 0
            self.counters.periods += 1

    def _miss(self, count: int) -> None:
        if count > 0:
            self._run += count
            self.counters.periods += count
            self.counters.missed += count
            self.counters.longest_run = max(self.counters.longest_run, self._run)
