"""From the policy's actions, at its rate and with any fault, to a smooth reference at the envelope's rate."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ppo_robot.safety.reasons import Refusal


@dataclass(frozen=True)
class Action:
    """Joint targets that a policy asks for: rad (m), and in s on the ROS clock the stamp of the state behind them."""

    joint_names: Sequence[str]
    position: Sequence[float]
    stamp: float


@dataclass(frozen=True)
class Reference:
    """Where the policy wants the joints at one moment: (J,) rad, rad/s, rad/s^2."""

    position: list[float]
    velocity: list[float]
    acceleration: list[float]


class ActionInput:
    """Checks actions and lays a curve through those it took.

    The curve is the uniform quadratic B-spline of the targets, which moves on by one target a control period: position
    and velocity are continuous, no target is overshot, and once targets stand still it ends at them. It lags behind the
    newest target by one and a half periods at most.
    """

    def __init__(
        self, joint_names: Sequence[str], control_period: float, timeout: float, future_tolerance: float
    ) -> None:
        """Take actions for `joint_names`; times in s."""
        self.joint_names = tuple(joint_names)
        self.control_period = control_period
        self.timeout = timeout
        self.future_tolerance = future_tolerance
        self.counters: Counter[str] = Counter()
        self.received = -math.inf
        self._stamp = 0.0
        self._targets: list[list[float]] = []

    def forget(self) -> None:
        """Drop every action; the next good one counts whatever its stamp."""
        self._targets, self._stamp, self.received = [], 0.0, -math.inf

    def accept(self, action: Action, ros_now: float, now: float) -> Refusal | None:
        """Take an action; return why it was refused, or None. `ros_now` is the stamps' clock, `now` the monotonic."""
        refusal = self._refusal(action, ros_now)
        self.counters["accepted" if refusal is None else refusal.name.lower()] += 1
        if refusal is not None:
            return refusal
        order = {name: place for place, name in enumerate(action.joint_names)}
        target = [float(action.position[order[name]]) for name in self.joint_names]
        self._stamp, self.received = action.stamp, now
        self._targets = [*self._targets[-2:], target] if self._targets else [target] * 3
        return None

    def fresh(self, now: float) -> bool:
        """Return whether an action came within the timeout."""
        return 0.0 <= now - self.received <= self.timeout

    def reference(self, now: float) -> Reference | None:
        """Return where the curve is at the monotonic time `now`, or None before the first action."""
        if not self._targets:
            return None
        period = self.control_period
        along = (now - self.received) / period
        first, second, third = self._targets
        while along > 1.0 and not first == second == third:  # no newer target came in time: the newest one stays
            first, second, along = second, third, along - 1.0
        along = min(max(along, 0.0), 1.0)
        before, both = (1.0 - along) ** 2 / 2.0, along * along / 2.0
        middle = 1.0 - before - both
        rows = list(zip(first, second, third, strict=True))
        return Reference(
            [before * a + middle * b + both * c for a, b, c in rows],
            [((b - a) * (1.0 - along) + (c - b) * along) / period for a, b, c in rows],
            [(a - 2.0 * b + c) / period**2 for a, b, c in rows],
        )

    def _refusal(self, action: Action, ros_now: float) -> Refusal | None:
        names = tuple(action.joint_names)
        if len(names) != len(action.position):
            return Refusal.WRONG_LENGTH
        if len(set(names)) != len(names):
            return Refusal.JOINT_DUPLICATED
        if not set(names) <= set(self.joint_names):
            return Refusal.JOINT_UNKNOWN
        if len(names) != len(self.joint_names):
            return Refusal.JOINT_MISSING
        if not all(map(math.isfinite, action.position)):
            return Refusal.NOT_FINITE
        return self._stamp_refusal(action.stamp, ros_now)

    def _stamp_refusal(self, stamp: float, ros_now: float) -> Refusal | None:
        if not math.isfinite(stamp) or stamp <= 0.0:
            return Refusal.STAMP_ZERO
        if stamp > ros_now + self.future_tolerance:
            return Refusal.STAMP_FUTURE
        if ros_now - stamp > self.timeout:
            return Refusal.STALE
        if stamp == self._stamp:
            return Refusal.STAMP_REPEATED
        return Refusal.STAMP_BACKWARD if stamp < self._stamp else None
