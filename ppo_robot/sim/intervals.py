"""The entries with `when: interval`: draws that come again and again while an episode runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ppo_robot.sim.draw_table import pinned
from ppo_robot.sim.draws import Entry
from ppo_robot.sim.randomness import EpisodeStreams

Array = NDArray[np.float64]
Rows = NDArray[np.intp]


class Intervals:
    """When B robots draw their entries next, and when a draw that lasts for a while ends."""

    def __init__(
        self, entries: Sequence[Entry], places: Sequence[slice], streams: EpisodeStreams, period: float, batch: int
    ) -> None:
        """Draw `entries` from the streams into their places of `drawn`; `period` is the control period, s."""
        self._entries, self._places, self._streams, self._period = list(entries), list(places), streams, period
        shape = (batch, len(self._entries))
        self._due = np.zeros(shape, dtype=np.int64)  # control periods until the next draw,
        self._ends = np.zeros(shape, dtype=np.int64)  # and until the present one ends
        self._acting = np.ones(shape, dtype=bool)
        self._share = np.ones((*shape, 2))
        self._pin = np.full(shape, np.nan)

    def begin(self, drawn: Array, rows: Rows, share: Array, acting: NDArray[np.bool_], pin: Array) -> None:
        """Begin an episode in `rows` (k,), with shares (E, 2); only some entries act (k, E), some are pinned (k, E)."""
        if not self._entries:
            return
        self._acting[rows], self._share[rows], self._pin[rows] = acting, share, pin
        self._ends[rows] = 0
        for index, entry in enumerate(self._entries):
            if entry.spec.duration is None:
                self._draw(drawn, index, rows)
            else:
                drawn[rows, self._places[index]] = entry.nominal
            self._schedule(index, rows)

    def advance(self, drawn: Array) -> Rows:
        """Draw what has become due in `drawn` (B, n) and end what is over; return the rows where either happened."""
        if not self._entries:
            return np.zeros(0, dtype=np.intp)
        self._due -= 1
        self._ends -= 1
        changed = (self._due <= 0) | (self._ends == 0)
        for index in np.flatnonzero(changed.any(axis=0)).tolist():
            entry = self._entries[index]
            if entry.spec.duration is not None:
                drawn[np.flatnonzero(self._ends[:, index] == 0), self._places[index]] = entry.nominal
            rows = np.flatnonzero(self._due[:, index] <= 0)
            if len(rows):
                self._draw(drawn, index, rows)
                self._schedule(index, rows)
                if entry.spec.duration is not None:
                    self._ends[rows, index] = max(1, round(entry.spec.duration / self._period))
        return np.flatnonzero(changed.any(axis=1))

    def _draw(self, drawn: Array, index: int, rows: Rows) -> None:
        entry = self._entries[index]
        draw = self._streams.normal if entry.is_normal else self._streams.uniform
        raw = pinned(draw(rows, entry.numbers), self._pin[rows, index, None])
        value = entry.values(raw, self._share[rows, index])
        drawn[rows, self._places[index]] = np.where(self._acting[rows, index, None], value, entry.nominal)

    def _schedule(self, index: int, rows: Rows) -> None:
        """Draw when an entry is drawn next."""
        low, high = self._entries[index].spec.interval or (0.0, 0.0)
        wait = low + (high - low) * self._streams.uniform(rows, 1)[:, 0]
        self._due[rows, index] = np.maximum(1, np.rint(wait / self._period))
