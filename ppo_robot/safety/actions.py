"""From the policy's actions, at its rate and with any fault, to a smooth reference at the envelope's rate."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from ppo_robot.safety.curve import Reference, TargetCurve
from ppo_robot.safety.reasons import Refusal


class Action(NamedTuple):
    """Joint targets that a policy asks for: rad (m), and in s on the ROS clock the stamp of the state behind them."""

    joint_names: Sequence[str]
    position: Sequence[float]
    stamp: float


class ActionInput:
    """Checks actions and lays a curve through those it took."""

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
        self._curve = TargetCurve(control_period)

    def forget(self) -> None:
        """Drop every action; the next good one counts whatever its stamp."""
        self._curve.clear()
        self._stamp, self.received = 0.0, -math.inf

    def lead_from(self, position: Sequence[float]) -> None:
        """Let the curve begin at rest at a position (J,) rad, from which the next action leads away."""
        self._curve.lead_from(position)

    @property
    def newest(self) -> list[float]:
        """The target that came last, (J,) rad; before the first, what the curve begins from."""
        return self._curve.targets[-1]

    def accept(self, action: Action, ros_now: float, now: float) -> Refusal | None:
        """Take an action; return why it was refused, or None. `ros_now` is the stamps' clock, `now` the monotonic."""
        refusal = self._refusal(action, ros_now)
        self.counters["accepted" if refusal is None else refusal.name.lower()] += 1
        if refusal is not None:
            return refusal
        order = {name: place for place, name in enumerate(action.joint_names)}
        target = [float(action.position[order[name]]) for name in self.joint_names]
        self._stamp, self.received = action.stamp, now
        self._curve.add(target, now)
        return None

    def fresh(self, now: float) -> bool:
        """Return whether an action came within the timeout."""
        return 0.0 <= now - self.received <= self.timeout

    def reference(self, now: float) -> Reference | None:
        """Return where the curve is at the monotonic time `now`, or None before the first action."""
        return self._curve.at(now)

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
