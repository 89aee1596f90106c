"""Dead time: what was sent comes out some physics steps later, as many for every robot or for each its own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Rows = NDArray[np.intp]


class FixedDelay:
    """The same number of steps for all B robots."""

    def __init__(self, steps: int, batch: int, joints: int) -> None:
        """Prepare `batch` robots; call `reset` before the first `push`."""
        self._steps = steps
        self._pipeline = np.zeros((steps, batch, joints))

    def reset(self, value: Array, rows: Rows) -> None:
        """Fill the line of `rows` (k,) with values (k, J)."""
        self._pipeline[:, rows] = value

    def push(self, value: Array, moving: NDArray[np.bool_] | None = None) -> Array:
        """Put in values (B, J) and return those that come out; every robot must move."""
        if not self._steps:
            return value
        out = self._pipeline[0].copy()
        self._pipeline[:-1] = self._pipeline[1:]
        self._pipeline[-1] = value
        return out


class VariableDelay:
    """Each robot has its own number of steps, which may change while it runs, and its own pace.

    Where a delay grows, what came out last comes out again; where it shrinks, what lies between is passed over.
    """

    def __init__(self, steps: int, longest: int, batch: int, joints: int) -> None:
        """Prepare `batch` robots with a delay of `steps`, and room for up to `longest`."""
        self.steps = np.full(batch, steps, dtype=np.int64)
        self._line = np.zeros((longest + 1, batch, joints))
        self._head = np.zeros(batch, dtype=np.int64)
        self._rows = np.arange(batch)

    def reset(self, value: Array, rows: Rows) -> None:
        """Fill the line of `rows` (k,) with values (k, J)."""
        self._line[:, rows] = value

    def push(self, value: Array, moving: NDArray[np.bool_] | None = None) -> Array:
        """Put in values (B, J) and return those that come out; robots that do not move (B,) put in nothing."""
        length, rows = len(self._line), self._rows
        head = self._head + 1
        if moving is not None:
            head = np.where(moving, head, self._head)
            value = np.where(moving[:, None], value, self._line[self._head % length, rows])
        self._head = head
        self._line[head % length, rows] = value
        return self._line[(head - np.minimum(self.steps, length - 1)) % length, rows]
