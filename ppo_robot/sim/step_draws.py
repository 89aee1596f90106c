"""The draws of every control period, all entries of all robots at once: they are most of what randomization costs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ppo_robot.sim.draws import Entry
from ppo_robot.sim.randomness import EpisodeStreams, NumberBlocks

Array = NDArray[np.float64]
Rows = NDArray[np.intp]


class StepDraws:
    """The entries with `when: step` of B robots, and one uniform number more for each period.

    What an episode makes of a raw number, its share of the range and whether the entry acts in it, is one offset and
    one scale, worked out when it begins.
    """

    def __init__(self, entries: Sequence[Entry], places: Sequence[slice], streams: EpisodeStreams, batch: int) -> None:
        """Draw `entries`, each into its place of `drawn`, from the streams."""
        self._entries = list(entries)
        self._columns = np.concatenate([np.r_[place] for place in places]) if places else np.zeros(0, dtype=np.intp)
        self._slices = list(places)
        width = len(self._columns)
        uniform = 1 + sum(entry.numbers for entry in entries if not entry.is_normal)
        normal = sum(entry.numbers for entry in entries if entry.is_normal)
        self._blocks = NumberBlocks(streams, batch, uniform, normal)
        # Where each column finds its raw number: uniform ones first, and before them the lot of the period.
        self._source = np.zeros(width, dtype=np.intp)
        self._low, self._high = np.zeros(width), np.zeros(width)
        self._offset, self._scale = np.zeros((batch, width)), np.zeros((batch, width))
        self._span: list[slice] = []
        used, begin = {False: 1, True: uniform}, 0
        for entry in entries:
            span = slice(begin, begin + len(entry.columns))
            first = used[entry.is_normal]
            self._source[span] = first if entry.spec.shared else np.arange(first, first + len(entry.columns))
            self._low[span], self._high[span] = entry.clip
            self._span.append(span)
            used[entry.is_normal] += entry.numbers
            begin = span.stop
        self._logarithmic = self._spans_of("log_uniform")
        self._chosen = self._spans_of("choice")
        self._share = np.ones((batch, len(self._entries), 2))
        self._acting = np.ones((batch, len(self._entries)), dtype=bool)
        self.lot = np.zeros(batch)

    def begin(self, rows: Rows, share: Array, acting: NDArray[np.bool_]) -> None:
        """Begin an episode in `rows` (k,) with shares (k, entries, 2), in which only some entries act (k, entries)."""
        self._blocks.begin(rows)
        self._share[rows], self._acting[rows] = share, acting
        for index, (entry, span) in enumerate(zip(self._entries, self._span, strict=True)):
            if entry.spec.distribution == "choice":
                continue
            offset, scale = entry.affine(share[:, index])
            acts = acting[:, index, None]
            resting = np.log(entry.nominal) if index in self._logarithmic else entry.nominal
            self._offset[rows, span] = np.where(acts, offset, resting)
            self._scale[rows, span] = np.where(acts, scale, 0.0)

    def draw(self, drawn: Array, rows: Rows) -> None:
        """Put the values of the next control period of `rows` (k,) into their columns of `drawn` (B, n)."""
        uniform, normal = self._blocks.take(rows)
        self.lot[rows] = uniform[:, 0]
        if not self._entries:
            return
        raw = np.concatenate([uniform, normal], axis=1)[:, self._source]
        value = self._offset[rows] + self._scale[rows] * raw
        for index in self._logarithmic:
            span = self._span[index]
            value[:, span] = np.exp(value[:, span])
        np.minimum(np.maximum(value, self._low, out=value), self._high, out=value)
        for index in self._chosen:
            entry, span = self._entries[index], self._span[index]
            chosen = entry.values(raw[:, span], self._share[rows, index])
            value[:, span] = np.where(self._acting[rows, index, None], chosen, entry.nominal)
        drawn[rows[:, None], self._columns] = value

    def _spans_of(self, distribution: str) -> list[int]:
        return [index for index, entry in enumerate(self._entries) if entry.spec.distribution == distribution]
