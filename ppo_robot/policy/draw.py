"""From the network's answer to the action: its mean, or a draw from it. The policy node and a replay share it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array32 = NDArray[np.float32]

_HALF_LOG_TWO_PI = 0.5 * np.log(np.float32(2.0 * np.pi))


class ActionDraw:
    """Chooses the actions of one activation, one tick (1, A) after the other."""

    def __init__(self, action: str, seed: int, maximum_std: float | None) -> None:
        """Begin a stream of draws.

        Args:
            action: `deterministic`: the mean; `stochastic`: a draw.
            seed: of the draws.
            maximum_std: cap of their standard deviation, as hardware needs it; None: as the policy was trained.
        """
        self._generator = np.random.default_rng(seed) if action == "stochastic" else None
        self._maximum_std = None if maximum_std is None else np.float32(maximum_std)
        self._none = np.zeros((1, 0), dtype=np.float32)

    def std(self, log_std: Array32) -> Array32:
        """Return the standard deviation (1, A) of the draw after the cap; zero where the mean is taken."""
        if self._generator is None:
            if self._none.shape != log_std.shape:
                self._none = np.zeros_like(log_std)
            return self._none
        std: Array32 = np.exp(log_std)
        return std if self._maximum_std is None else np.minimum(std, self._maximum_std)

    def choose(self, mean: Array32, std: Array32) -> tuple[Array32, float]:
        """Return the action (1, A) of a mean and a `std`, (1, A) each, and its log-probability in nats.

        log N(action; mean, std) with action = mean + std * noise (Bishop 2006, equation 2.43, diagonal covariance);
        0 where the mean is taken.
        """
        if self._generator is None:
            return mean, 0.0
        noise = self._generator.standard_normal(mean.shape, dtype=np.float32)
        log_probability = -0.5 * np.square(noise) - np.log(std) - _HALF_LOG_TWO_PI
        return (mean + std * noise).astype(np.float32), float(log_probability.sum())

    def skip(self, ticks: int, size: int) -> None:
        """Advance the stream by ticks of actions of this size, as if they had been chosen."""
        if self._generator is not None:
            for _ in range(ticks):
                self._generator.standard_normal((1, size), dtype=np.float32)
