"""Parameters that several entries draw, or one that is not for all joints or links: their values, combined."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ppo_robot.sim.draws import Entry
from ppo_robot.spec.randomization import PARAMETERS

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

_MEET = {"factor": np.multiply, "offset": np.add}


class Joined:
    """Values of such parameters side by side, for B robots; all are combined in a few array operations.

    Parameter by parameter, that would cost a period of many flying robots more than the drawing itself.

    Attributes:
        values: parameter to its values (B, w), parts of one array.
    """

    def __init__(self, parts: Sequence[tuple[str, int, Sequence[tuple[Entry, slice]]]], batch: int) -> None:
        """Lay out parameters: each with its width, and its entries with their places in `drawn`.

        Those that change within an episode stand first.
        """
        ordered = sorted(parts, key=lambda part: not _moves(part[2]))
        self._moving = sum(width for _, width, entries in ordered if _moves(entries))
        widths = [width for _, width, _ in ordered]
        ends = np.cumsum([0, *widths])
        first = [entries[0][0].nominal for _, _, entries in ordered]
        self._nominal = np.repeat(np.array(first, dtype=float), widths)
        facts = [PARAMETERS[name] for name, _, _ in ordered]
        self._low = np.repeat(np.array([each.low for each in facts], dtype=float), widths)
        self._high = np.repeat(np.array([each.high for each in facts], dtype=float), widths)
        self._joined = np.tile(self._nominal, (batch, 1))
        self.values = {name: self._joined[:, ends[i] : ends[i + 1]] for i, (name, _, _) in enumerate(ordered)}
        # The first entries of all columns meet what is nominal, then the second ones what came of that, and so on.
        layers: dict[tuple[int, str], list[tuple[int, int]]] = {}
        for begin, (name, width, entries) in zip(ends, ordered, strict=False):
            depth = np.zeros(width, dtype=int)
            for entry, place in entries:
                for column, source in zip(entry.columns, range(place.start, place.stop), strict=True):
                    key = int(depth[column]), PARAMETERS[name].meets
                    layers.setdefault(key, []).append((int(begin + column), source))
                    depth[column] += 1
        self._layers = [(meets, *np.array(layers[depth, meets]).T) for depth, meets in sorted(layers)]
        self._early = [
            (meets, to[to < self._moving], source[to < self._moving])
            for meets, to, source in self._layers
            if (to < self._moving).any()
        ]

    def join(self, drawn: Array, rows: Rows) -> None:
        """Combine what is drawn (B, n) for `rows` (k,), whose episodes begin."""
        self._combine(drawn[rows], rows, self._layers, len(self._nominal))

    def join_moving(self, drawn: Array, rows: Rows) -> None:
        """Combine for `rows` (k,) what changes within an episode."""
        if self._moving:
            self._combine(drawn[rows], rows, self._early, self._moving)

    def _combine(self, drawn: Array, rows: Rows, layers: list[tuple[str, Rows, Rows]], width: int) -> None:
        value = np.tile(self._nominal[:width], (len(rows), 1))
        for meets, to, source in layers:
            new = drawn[:, source]
            value[:, to] = _MEET[meets](value[:, to], new) if meets in _MEET else new
        self._joined[rows, :width] = np.minimum(np.maximum(value, self._low[:width]), self._high[:width])


def _moves(entries: Sequence[tuple[Entry, slice]]) -> bool:
    """Return whether some entry draws anew while an episode runs."""
    return any(entry.spec.when in ("interval", "step") for entry, _ in entries)
