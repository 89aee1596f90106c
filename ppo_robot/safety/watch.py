"""Watches what must not last: a robot that does not follow, is too fast, or pushes against something."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ppo_robot.joint_input import JointReading
from ppo_robot.safety.by_joint import by_joint
from ppo_robot.safety.limits import SafetyLimits
from ppo_robot.safety.reasons import Cause
from ppo_robot.spec.safety import SafetySpec


class Lasting:
    """Says when a condition has lasted longer than a time; one new observation at a time may end it."""

    def __init__(self, allowed: float) -> None:
        """Allow the condition for `allowed` s."""
        self.allowed = allowed
        self._since: float | None = None

    def holds(self, condition: bool, now: float) -> bool:
        """Take the condition of `now` in s; return whether it has lasted too long."""
        if not condition:
            self._since = None
            return False
        if self._since is None:
            self._since = now
        return now - self._since >= self.allowed


class BodyWatch:
    """Holds the measured state against the setpoint and the limits.

    Plain numbers: for the few joints of a robot, a call of numpy costs more than all of its arithmetic.
    """

    def __init__(self, limits: SafetyLimits, spec: SafetySpec) -> None:
        """Watch for these limits."""
        self._limits = limits
        self._velocity = [spec.overspeed * limit for limit in limits.velocity]
        self._names = limits.joint_names
        self._inside = [0.0] * limits.joints
        self._spec = spec
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        spec = self._spec
        self._tracking = Lasting(spec.tracking_time)
        self._overspeed = Lasting(spec.overspeed_time)
        self._pushing = Lasting(spec.effort_time)
        self._outside = Lasting(spec.tracking_time)
        self._least = [math.inf] * self._limits.joints

    def check(self, reading: JointReading, setpoint: Sequence[float], now: float) -> tuple[Cause | None, str]:
        """Return why the robot must be stopped, or None, and the joint that is furthest off."""
        position, velocity, effort = reading.position.tolist(), reading.velocity.tolist(), reading.effort.tolist()
        if self._well(position, velocity, effort, setpoint):
            for lasting in (self._tracking, self._overspeed, self._pushing, self._outside):
                lasting.holds(False, now)
            self._least = self._inside
            return None, ""
        spec = self._spec
        error = [abs(at - sent) for at, sent in by_joint(position, setpoint)]
        if self._tracking.holds(max(error) > spec.tracking_error, now):
            return Cause.TRACKING, f"{self._worst(error)} is {max(error):.3f} off"
        speed = [abs(rate) / limit for rate, limit in by_joint(velocity, self._velocity)]
        if self._overspeed.holds(max(speed) > 1.0, now):
            return Cause.OVERSPEED, f"{self._worst(speed)} at {max(speed):.2f} of what is tolerated"
        load = [abs(torque) / limit for torque, limit in by_joint(effort, self._limits.effort)]
        if self._pushing.holds(max(load) >= 1.0, now):
            return Cause.EFFORT, self._worst(load)
        strayed = self._strayed(position)
        if self._outside.holds(max(strayed) > spec.stray, now):
            return Cause.OUTSIDE, f"{self._worst(strayed)} went {max(strayed):.3f} further out"
        return None, ""

    def _well(
        self, position: Sequence[float], velocity: Sequence[float], effort: Sequence[float], setpoint: Sequence[float]
    ) -> bool:
        """Return whether nothing at all is wrong, which is mostly so and told by one pass over the joints."""
        limits, allowed = self._limits, self._spec.tracking_error
        for at, sent, rate, fastest, torque, strongest, low, high in by_joint(
            position, setpoint, velocity, self._velocity, effort, limits.effort, limits.lower, limits.upper
        ):
            near = -allowed <= at - sent <= allowed and low <= at <= high
            if not (near and -fastest <= rate <= fastest and -strongest < torque < strongest):
                return False
        return True

    def _worst(self, values: Sequence[float]) -> str:
        return self._names[values.index(max(values))]

    def _strayed(self, position: Sequence[float]) -> list[float]:
        """Return how much further each joint is outside its limits than it was when it was least so, since the start.

        A robot may be armed outside; from there it may only come back.
        """
        rows = by_joint(position, self._limits.lower, self._limits.upper)
        outside = [low - at if at < low else at - high if at > high else 0.0 for at, low, high in rows]
        if not any(outside):
            self._least = outside
            return outside
        self._least = list(map(min, self._least, outside))
        return [out - least for out, least in by_joint(outside, self._least)]

    def pushing(self, reading: JointReading) -> list[float]:
        """Return of each joint at its effort limit the direction (-1 or 1) in which it pushes, of the others 0."""
        rows = by_joint(reading.effort.tolist(), self._limits.effort)
        return [math.copysign(1.0, effort) if abs(effort) >= limit else 0.0 for effort, limit in rows]
