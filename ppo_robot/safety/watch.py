"""Watches what must not last: a robot that does not follow, is too fast, or pushes against something."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ppo_robot.safety.limits import SafetyLimits
from ppo_robot.safety.reasons import Cause
from ppo_robot.spec.safety import SafetySpec
from ppo_robot.state import RobotState

Array = NDArray[np.float64]


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
    """Holds the measured state against the setpoint and the limits."""

    def __init__(self, limits: SafetyLimits, spec: SafetySpec) -> None:
        """Watch for these limits."""
        self._velocity = spec.overspeed * np.array(limits.velocity)
        self._effort = np.array(limits.effort)
        self._lower, self._upper = np.array(limits.lower), np.array(limits.upper)
        self._names = limits.joint_names
        self._spec = spec
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        spec = self._spec
        self._tracking = Lasting(spec.tracking_time)
        self._overspeed = Lasting(spec.overspeed_time)
        self._pushing = Lasting(spec.effort_time)
        self._outside = Lasting(spec.tracking_time)
        self._least: Array | None = None

    def check(self, state: RobotState, setpoint: Sequence[float], now: float) -> tuple[Cause | None, str]:
        """Return why the robot must be stopped, or None, and the joint that is furthest off."""
        error = np.abs(state.joint_position[0] - setpoint)
        if self._tracking.holds(bool((error > self._spec.tracking_error).any()), now):
            return Cause.TRACKING, f"{self._names[error.argmax()]} is {error.max():.3f} off"
        with np.errstate(over="ignore"):  # of velocities that no joint can have
            speed = np.abs(state.joint_velocity[0]) / self._velocity
        if self._overspeed.holds(bool((speed > 1.0).any()), now):
            return Cause.OVERSPEED, f"{self._names[speed.argmax()]} at {speed.max():.2f} of what is tolerated"
        if self._pushing.holds(bool(self.at_effort_limit(state).any()), now):
            return Cause.EFFORT, self._names[(np.abs(state.joint_effort[0]) / self._effort).argmax()]
        strayed = self._strayed(state.joint_position[0])
        if self._outside.holds(bool((strayed > self._spec.stray).any()), now):
            return Cause.OUTSIDE, f"{self._names[strayed.argmax()]} went {strayed.max():.3f} further out"
        return None, ""

    def _strayed(self, position: Array) -> Array:
        """Return how much further each joint is outside its limits than it was when it was least so, since the start.

        A robot may be armed outside; from there it may only come back.
        """
        outside = np.maximum(0.0, np.maximum(self._lower - position, position - self._upper))
        self._least = outside if self._least is None else np.minimum(self._least, outside)
        strayed: Array = outside - self._least
        return strayed

    def at_effort_limit(self, state: RobotState) -> NDArray[np.bool_]:
        """Return of each joint whether its motor gives all that it may."""
        at: NDArray[np.bool_] = np.abs(state.joint_effort[0]) >= self._effort
        return at

    def pushing(self, state: RobotState) -> list[float]:
        """Return of each joint at its effort limit the direction (-1 or 1) in which it pushes, of the others 0."""
        directions: list[float] = (np.sign(state.joint_effort[0]) * self.at_effort_limit(state)).tolist()
        return directions
