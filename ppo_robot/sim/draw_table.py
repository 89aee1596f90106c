"""Many entries drawn at once: each makes of a raw number an offset and a scale, so that all are two array operations.

Entry by entry, drawing would cost as much as all other terms of a task together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ppo_robot.sim.draws import Entry
from ppo_robot.sim.randomness import EpisodeStreams, NumberBlocks

Array = NDArray[np.float64]
Rows = NDArray[np.intp]


class DrawTable:
    """Some entries side by side, under the shares of their ranges that are in force.

    Attributes:
        columns: (w,) places of their values in `drawn`.
        owner: (w,) which of the entries each column is of.
        uniform: uniform raw numbers that one draw takes.
        normal: normal ones.
        nominal: (w,) what holds without the entries.
    """

    def __init__(self, entries: Sequence[Entry], places: Sequence[slice]) -> None:
        """Lay out `entries`, whose values belong at `places` of `drawn`; all of every range is in force."""
        self.entries = list(entries)
        none = [np.zeros(0, dtype=np.intp)]
        self.columns = np.concatenate([np.arange(place.start, place.stop) for place in places] or none)
        self.owner = np.concatenate([np.full(len(e.columns), index) for index, e in enumerate(entries)] or none)
        self.uniform = sum(entry.numbers for entry in entries if not entry.is_normal)
        self.normal = sum(entry.numbers for entry in entries if entry.is_normal)
        self.nominal = np.array([entries[index].nominal for index in self.owner])
        self._low, self._high = np.array([entries[index].clip for index in self.owner]).reshape(-1, 2).T
        self._source = np.zeros(len(self.columns), dtype=np.intp)
        used = {False: 0, True: self.uniform}
        for index, entry in enumerate(entries):
            first = used[entry.is_normal]
            self._source[self.owner == index] = first if entry.spec.shared else first + np.arange(entry.numbers)
            used[entry.is_normal] += entry.numbers
        self.logarithmic = self._columns_of("log_uniform")
        self._choices = [index for index, entry in enumerate(entries) if entry.spec.distribution == "choice"]
        self.share = np.ones((len(self.entries), 2))
        self.offset, self.scale = np.zeros(len(self.columns)), np.zeros(len(self.columns))
        self.set_share(self.share)

    def set_share(self, share: Array) -> None:
        """Put shares (E, 2) of the ranges in force; see `Entry.values`."""
        self.share = share.copy()
        for index, entry in enumerate(self.entries):
            if index not in self._choices:
                offset, scale = entry.affine(share[index : index + 1])
                own = self.owner == index
                self.offset[own], self.scale[own] = np.ravel(offset)[0], np.ravel(scale)[0]

    def spread(self, uniform: Array, normal: Array) -> Array:
        """Return the raw number (k, w) of each column out of those (k, uniform) and (k, normal) of one draw."""
        return np.concatenate([uniform, normal], axis=1)[:, self._source]

    def finish(self, value: Array, raw: Array, share: Array) -> Array:
        """Turn offset + scale * raw number (k, w) into values, in place, and return them; `share` is (k, E, 2)."""
        if len(self.logarithmic):
            value[:, self.logarithmic] = np.exp(value[:, self.logarithmic])
        np.minimum(np.maximum(value, self._low, out=value), self._high, out=value)
        for index in self._choices:
            own = self.owner == index
            value[:, own] = self.entries[index].values(raw[:, own], share[:, index])
        return value

    def draw(self, uniform: Array, normal: Array, pin: Array) -> Array:
        """Return values (k, w) from the raw numbers of one draw, or from `pin` (k, E) where that is a number."""
        raw = self.spread(uniform, normal)
        if len(self.columns):
            raw = pinned(raw, pin[:, self.owner])
        share = np.broadcast_to(self.share, (len(raw), *self.share.shape))
        return self.finish(self.offset + self.scale * raw, raw, share)

    def _columns_of(self, distribution: str) -> NDArray[np.intp]:
        kinds = np.array([self.entries[index].spec.distribution for index in self.owner], dtype=object)
        return np.flatnonzero(kinds == distribution)


class StepDraws:
    """The entries with `when: step` of B robots, and one uniform number more for each control period: its `lot`.

    Shares and whether an entry acts are those of the moment at which an episode began.
    """

    def __init__(self, table: DrawTable, streams: EpisodeStreams, batch: int) -> None:
        """Draw the entries of `table` from the streams."""
        self._table = table
        self._blocks = NumberBlocks(streams, batch, 1 + table.uniform, table.normal)
        self._offset = np.zeros((batch, len(table.columns)))
        self._scale = np.zeros((batch, len(table.columns)))
        self._acting = np.ones((batch, len(table.columns)), dtype=bool)
        self._share = np.ones((batch, len(table.entries), 2))
        self._rests = False  # whether some entry may not act
        self.lot = np.zeros(batch)

    def begin(self, rows: Rows, acting: NDArray[np.bool_], pin: Array) -> None:
        """Begin an episode in `rows` (k,), in which only some entries act (k, E) and some are pinned (k, E)."""
        self._blocks.begin(rows)
        self._offset[rows], self._scale[rows] = self._table.offset, self._table.scale
        self._share[rows] = self._table.share
        if len(self._table.columns):
            at = pin[:, self._table.owner]
            fixed = ~np.isnan(at)
            self._offset[rows] += np.where(fixed, self._table.scale * np.nan_to_num(at), 0.0)
            self._scale[rows] = np.where(fixed, 0.0, self._table.scale)
            self._acting[rows] = acting[:, self._table.owner]
            self._rests = self._rests or not acting.all()

    def draw(self, drawn: Array, rows: Rows) -> None:
        """Put the values of the next control period of `rows` (k,) into their columns of `drawn` (B, n)."""
        table = self._table
        uniform, normal = self._blocks.take(rows)
        self.lot[rows] = uniform[:, 0]
        if not len(table.columns):
            return
        raw = table.spread(uniform[:, 1:], normal)
        value = table.finish(self._offset[rows] + self._scale[rows] * raw, raw, self._share[rows])
        if self._rests:
            value = np.where(self._acting[rows], value, table.nominal)
        drawn[rows[:, None], table.columns] = value


def pinned(raw: Array, pin: Array) -> Array:
    """Return raw numbers with those in place that are pinned: 0 at the low end of a range, 1 at the high end."""
    return np.where(np.isnan(pin), raw, pin)
