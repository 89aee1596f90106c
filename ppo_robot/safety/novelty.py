"""Watches whether what the policy sees is like what it was trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ppo_robot.safety.watch import Lasting

Array = NDArray[np.float64]


class Novelty:
    """Holds observations against the range of each component in training.

    Outside it a policy extrapolates, and nobody has seen what it does. One odd observation is nothing; the same for a
    while is another robot, another task, a broken sensor or a broken normaliser.
    """

    def __init__(self, names: Sequence[str], lower: ArrayLike, upper: ArrayLike, allowed: float) -> None:
        """Watch n components with these names and bounds, (n,); allow what is outside for `allowed` s."""
        self.names = tuple(names)
        self._lower, self._upper = np.array(lower, dtype=float), np.array(upper, dtype=float)
        self._allowed = allowed
        self._novel = Lasting(allowed)

    def forget(self) -> None:
        """Begin anew."""
        self._novel = Lasting(self._allowed)

    def check(self, observations: Array, now: float) -> tuple[int, str]:
        """Take the observations (m, n) since the last call; `now` in s.

        Returns:
            How many of them have a component out of bounds, and, once all have had one for too long, the name of the
            one that is furthest out, with its value and bounds; else nothing.
        """
        # Written so that NaN is outside.
        outside = ~((observations >= self._lower) & (observations <= self._upper))
        novel = outside.any(axis=1)
        count = int(novel.sum())
        if not self._novel.holds(count > 0 and count == len(observations), now):
            return count, ""
        newest = observations[-1]
        beyond = np.maximum(self._lower - newest, newest - self._upper) / np.maximum(1e-9, self._upper - self._lower)
        worst = int(np.argmax(beyond))  # NaN, if there is one
        low, high = self._lower[worst], self._upper[worst]
        return count, f"{self.names[worst]} is {newest[worst]:.3f}, outside {low:.3f} to {high:.3f}"
