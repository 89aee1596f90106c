"""Counts setpoints that broke a limit. Shares nothing with what it judges: numpy, finite differences, closed forms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

TOLERANCE = 1e-6
"""Relative to each limit; for positions, to the limit's own size, at least 1 rad."""


@dataclass(frozen=True)
class Bounds:
    """Limits of J joints, each (J,): rad, rad/s, rad/s^2, rad/s^3."""

    lower: Array
    upper: Array
    velocity: Array
    acceleration: Array
    jerk: Array


@dataclass(frozen=True)
class Violations:
    """How many setpoints of how many joints broke which limit, and the largest share of each limit that was used."""

    position: int
    velocity: int
    acceleration: int
    jerk: int
    stop: int
    velocity_used: float
    acceleration_used: float
    jerk_used: float

    @property
    def total(self) -> int:
        """All of them."""
        return self.position + self.velocity + self.acceleration + self.jerk + self.stop


def judge_setpoints(position: Array, bounds: Bounds, period: float, velocity: Array, acceleration: Array) -> Violations:
    """Judge setpoints (T, J) that were sent one `period` in s after the other.

    Velocity, acceleration and jerk are the first, second and third differences of the positions; nothing that the
    sender says of itself enters them. Only "can still stop" starts from the sender's `velocity` and `acceleration`
    (T, J), and those are held against the differences first.
    """
    room = TOLERANCE * np.maximum(1.0, np.maximum(abs(bounds.lower), abs(bounds.upper)))
    outside = ~((position >= bounds.lower - room) & (position <= bounds.upper + room))
    used, broken = [], []
    for order, limit in enumerate((bounds.velocity, bounds.acceleration, bounds.jerk), start=1):
        share = np.abs(np.diff(position, n=order, axis=0)) / period**order / limit
        used.append(float(share.max(initial=0.0)))
        broken.append(int((~(share <= 1.0 + TOLERANCE)).sum()))
    low, high = stop_extrema(position, velocity, acceleration, bounds.acceleration, bounds.jerk)
    stuck = ~((low >= bounds.lower - room) & (high <= bounds.upper + room))
    stuck |= ~_consistent(position, velocity, acceleration, bounds, period)
    first, second, third = broken
    return Violations(int(outside.sum()), first, second, third, int(stuck.sum()), *used)


def stop_extrema(
    position: Array, velocity: Array, acceleration: Array, acceleration_limit: Array, jerk_limit: Array
) -> tuple[Array, Array]:
    """Return the lowest and highest positions of the fastest stop from each state; all arrays (…, J).

    The fastest way to velocity 0 and acceleration 0 under bounded acceleration and jerk is a ramp of the acceleration
    away from the rest velocity, a plateau where the limit is reached, and a ramp back to 0 (Kröger 2010, section 4).
    """
    # Seen in the direction in which the joint would come to rest too far if its acceleration just went to 0.
    rest = velocity + acceleration * np.abs(acceleration) / (2.0 * jerk_limit)
    sign = np.where(rest >= 0.0, 1.0, -1.0)
    v, a = sign * velocity, sign * acceleration
    peak = np.sqrt(np.maximum(0.0, v * jerk_limit + 0.5 * a * a))
    peak = np.minimum(peak, acceleration_limit)
    # Phase 1: acceleration from a down to -peak. Phase 2: stays there. Phase 3: back to 0.
    ramp_down = np.maximum(0.0, (a + peak) / jerk_limit)
    v_after = v + a * ramp_down - 0.5 * jerk_limit * ramp_down**2
    v_needed = 0.5 * peak**2 / jerk_limit
    safe_peak = np.where(peak > 0.0, peak, 1.0)
    plateau = np.where(peak > 0.0, np.maximum(0.0, (v_after - v_needed) / safe_peak), 0.0)
    low = high = p = np.zeros(np.broadcast(v, jerk_limit).shape)
    for duration, jerk in ((ramp_down, -jerk_limit), (plateau, 0.0 * jerk_limit), (peak / jerk_limit, jerk_limit)):
        root = _turning_time(v, a, jerk)
        time = np.where((root > 0.0) & (root < duration), root, 0.0)
        turning = p + v * time + a * time**2 / 2.0 + jerk * time**3 / 6.0
        low, high = np.minimum(low, turning), np.maximum(high, turning)
        p = p + v * duration + a * duration**2 / 2.0 + jerk * duration**3 / 6.0
        v, a = v + a * duration + jerk * duration**2 / 2.0, a + jerk * duration
        low, high = np.minimum(low, p), np.maximum(high, p)
    forward = sign > 0.0
    return position + np.where(forward, low, -high), position + np.where(forward, high, -low)


def _turning_time(v: Array, a: Array, jerk: Array) -> Array:
    """Return the time at which a joint that moves back turns: v + a t + jerk t^2 / 2 rises through 0.

    Not finite where it never does, nor where `jerk` is 0: on the plateau of a stop the velocity keeps its sign. Seen in
    the direction in which the joint comes to rest, it turns so once at most, and falls to 0 only at the end.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return (-a + np.sqrt(a * a - 2.0 * jerk * v)) / jerk


def _consistent(
    position: Array, velocity: Array, acceleration: Array, bounds: Bounds, period: float
) -> NDArray[np.bool_]:
    """Return whether what the sender says of its velocity and acceleration can be, given the positions around it.

    Within one period the acceleration changes by jerk x period at most, so a velocity differs from the mean velocity of
    the period before by at most jerk x period^2 / 3 beyond acceleration x period / 2.
    """
    good = np.isfinite(velocity) & np.isfinite(acceleration)
    mean = np.diff(position, axis=0) / period
    off = np.abs(velocity[1:] - mean - 0.5 * acceleration[1:] * period)
    good[1:] &= off <= bounds.jerk * period**2 / 3.0 + TOLERANCE * bounds.velocity
    step = np.abs(np.diff(acceleration, axis=0))
    good[1:] &= step <= bounds.jerk * period * (1.0 + TOLERANCE)
    return good
