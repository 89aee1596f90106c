"""The curve through the policy's targets: smooth, however unevenly the targets arrive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ppo_robot.safety.by_joint import by_joint

KEPT = 5
"""Targets that the curve is made of: four of its newest piece, and the one before them."""

FOLLOWED = 0.1
"""Share of a deviation of arrival that the curve's own beat follows: enough for a clock that is off, too little for
jitter, which would shake the robot."""

TOLERATED = 0.5
"""Periods that a target may come early or late and still find its place in the beat."""


class Reference(NamedTuple):
    """Where the policy wants the joints at one moment: (J,) rad, rad/s, rad/s^2."""

    position: Sequence[float]
    velocity: Sequence[float]
    acceleration: Sequence[float]


class TargetCurve:
    """The uniform cubic B-spline of the targets (de Boor 1978), which moves on by one target a control period.

    Position, velocity and acceleration are continuous, its jerk is the targets' third difference, so that targets which
    keep to the limits make a curve that does. No target is overshot, and once they stand still it ends at them. It lags
    behind the newest target by two periods.

    The curve has a beat of its own, one piece a period. A target that comes somewhat early or late takes its place in
    that beat, as a packet does in a jitter buffer: a curve that began anew at each arrival would jump by the velocity
    times the jitter, 2 mrad for a millisecond. Where a target did not come, the one before it is repeated.
    """

    def __init__(self, period: float) -> None:
        """Begin without targets; `period` is the policy's, s."""
        self.period = period
        self.targets: list[list[float]] = []
        self._began: float | None = None  # the newest target's piece; none: with the next target

    def clear(self) -> None:
        """Forget all targets."""
        self.targets, self._began = [], None

    def lead_from(self, position: Sequence[float]) -> None:
        """Begin at rest at a position (J,) rad, from which the next target leads away."""
        self.targets, self._began = [list(position)] * KEPT, None

    def add(self, target: list[float], now: float) -> None:
        """Take a target (J,) rad that came at the monotonic time `now`, s."""
        targets, period = self.targets or [target] * KEPT, self.period
        if self._began is None:
            self._began = now
        else:
            late = (now - self._began) / period - 1.0
            missed = max(0, round(late))
            targets = [*targets, *[targets[-1]] * min(missed, KEPT)]
            off = max(-TOLERATED, late - missed)
            self._began = now - (1.0 - FOLLOWED) * off * period
        self.targets = [*targets, target][-KEPT:]

    def at(self, now: float) -> Reference | None:
        """Return where the curve is at the monotonic time `now`, or None before the first target."""
        if not self.targets:
            return None
        period, points = self.period, self.targets[1:]
        along = (now - self._began) / period if self._began is not None else 0.0
        if along < 0.0:
            points, along = self.targets[:-1], along + 1.0
        while along > 1.0 and points[0] != points[-1]:  # no newer target came in time: the newest one stays
            points, along = [*points[1:], points[-1]], along - 1.0
        u = min(max(along, 0.0), 1.0)
        v = 1.0 - u
        uu, vv, rate, rates = u * u, v * v, 1.0 / period, 1.0 / (period * period)
        # The weights of the four targets in the position, the velocity and the acceleration.
        p, s = v * vv / 6.0, u * uu / 6.0
        q, r = (3.0 * u * uu - 6.0 * uu + 4.0) / 6.0, (3.0 * v * vv - 6.0 * vv + 4.0) / 6.0
        i, j, k, m = -0.5 * vv * rate, (1.5 * uu - 2.0 * u) * rate, (2.0 * v - 1.5 * vv) * rate, 0.5 * uu * rate
        e, f, g, h = v * rates, (3.0 * u - 2.0) * rates, (3.0 * v - 2.0) * rates, u * rates
        rows = [
            (p * a + q * b + r * c + s * d, i * a + j * b + k * c + m * d, e * a + f * b + g * c + h * d)
            for a, b, c, d in by_joint(*points)
        ]
        return Reference(*by_joint(*rows))
