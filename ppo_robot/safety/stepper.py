"""One jerk-limited step after the other, from each of which a full stop inside the limits remains possible."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass

from ruckig import ControlInterface, InputParameter, OutputParameter, Result, Ruckig, Synchronization, Trajectory

from ppo_robot.safety.limits import SafetyLimits

ROUNDING = 1e-9
"""rad (m): how far arithmetic alone may put the extremum of a stop beyond a limit; it does not add up over steps."""

PLANNED = (Result.Working, Result.Finished)
"""What ruckig answers when it found a trajectory."""

TARGET_SHARE = 0.999
"""Of the velocity limit, what a target may move at: ruckig refuses a target that moves at the limit itself."""


@dataclass(frozen=True)
class Setpoint:
    """What a step sends: position (J,) rad, velocity (J,) rad/s and acceleration (J,) rad/s^2, of each joint."""

    position: tuple[float, ...]
    velocity: tuple[float, ...]
    acceleration: tuple[float, ...]


class Stepper:
    """Moves the setpoint of J joints period by period, always from the setpoint before, never from a measurement.

    Position, velocity, acceleration and jerk limits hold by construction: each step is either one of a time-optimal
    jerk-limited trajectory (Berscheid and Kröger 2021, ruckig) or one of the stop that was computed, and found to end
    inside the position limits, when the setpoint before was sent. A step towards the target is taken by a joint only if
    a stop that begins `latency` later still ends inside.

    Not thread-safe.
    """

    def __init__(self, limits: SafetyLimits, period: float, latency: float) -> None:
        """Prepare; call `begin` before the first step. `period` and `latency` in s."""
        self.limits = limits
        self.period = period
        self.latency = latency
        joints = limits.joints
        self._towards = Ruckig(joints, period)
        self._target = _input(limits, ControlInterface.Position, Synchronization.No)
        self._next = OutputParameter(joints)
        self._stop = _Brake(limits, Synchronization.No)
        self._stop_age = 0.0
        self._trial = _Brake(limits, Synchronization.No)
        self._together = _Brake(limits, Synchronization.Time)
        self._followed: Setpoint | None = None
        self.lower = limits.lower
        self.upper = limits.upper
        self.setpoint = Setpoint((0.0,) * joints, (0.0,) * joints, (0.0,) * joints)

    @property
    def at_rest(self) -> bool:
        """Whether the setpoint stands still."""
        return not any(self.setpoint.velocity) and not any(self.setpoint.acceleration)

    def begin(self, position: Sequence[float]) -> None:
        """Start at rest at a position (J,) rad.

        A joint outside its limits may stay where it is and move inward; as it does, its limit follows it.
        """
        limits = self.limits
        at = tuple(map(float, position))
        self.lower = tuple(map(min, limits.lower, at))
        self.upper = tuple(map(max, limits.upper, at))
        still = (0.0,) * limits.joints
        self._accept(Setpoint(at, still, still))

    def advance(
        self,
        position: Sequence[float],
        velocity: Sequence[float],
        acceleration: Sequence[float],
        speed: float | Sequence[float] = 1.0,
    ) -> tuple[bool, ...]:
        """Step towards where a moving target will be when the step ends. Everything given must be finite.

        Args:
            position: (J,) rad; clipped to the limits.
            velocity: (J,) rad/s; clipped to the limits.
            acceleration: (J,) rad/s^2; clipped to what the velocity leaves room for.
            speed: share of the velocity limits that is used, above 0 and at most 1; one for all joints or for each.

        Returns:
            Of each joint, whether it stops instead, because behind that step no stop would remain inside the limits.
        """
        limits, now, joints = self.limits, self.setpoint, self.limits.joints
        shares = [speed] * joints if isinstance(speed, float) else list(speed)
        target, fastest = self._target, [share * most for share, most in zip(shares, limits.velocity, strict=True)]
        acceleration = list(acceleration)
        target.current_position = list(now.position)
        target.current_velocity = list(now.velocity)
        target.current_acceleration = list(now.acceleration)
        target.max_velocity = fastest
        target.target_position = _clip(position, limits.lower, limits.upper)
        most = [TARGET_SHARE * value for value in fastest]
        moving = _clip(velocity, [-value for value in most], most)
        for joint, (low, high) in enumerate(zip(limits.lower, limits.upper, strict=True)):
            if not low < position[joint] < high:  # clipped: a target does not move on beyond its limit
                moving[joint], acceleration[joint] = 0.0, 0.0
        target.target_velocity = moving
        target.target_acceleration = [
            _reachable(a, v, top, largest, jerk)
            for a, v, top, largest, jerk in zip(
                acceleration, moving, fastest, limits.acceleration, limits.jerk, strict=True
            )
        ]
        result = self._towards.update(target, self._next)
        stopping = self._stop_step()
        if result not in PLANNED:
            self._accept(stopping)
            return (True,) * joints
        ahead = self._next
        wanted = Setpoint(tuple(ahead.new_position), tuple(ahead.new_velocity), tuple(ahead.new_acceleration))
        refused = self._no_stop_behind(wanted)
        if self._accept(_mixed(refused, stopping, wanted) if any(refused) else wanted):
            return refused
        self._accept(stopping)
        return (True,) * joints

    def stop(self) -> None:
        """Take one step of a stop: all joints come to rest together where the limits leave room for that."""
        brake = self._together
        possible = brake.plan(self.setpoint) and not any(self._leaves(brake))
        if not (possible and self._accept(brake.at(self.period))):
            self._accept(self._stop_step())

    def _stop_step(self) -> Setpoint:
        """Return where each joint is one period along the stop that belongs to the setpoint."""
        self._followed = self._stop.at(self._stop_age + self.period)
        return self._followed

    def _no_stop_behind(self, wanted: Setpoint) -> tuple[bool, ...]:
        """Return of each joint whether a stop that begins `latency` after `wanted` would leave the limits.

        So would one whose velocity peaks beyond its limit before it falls: a setpoint where the target's own
        acceleration was reached within the period goes on with it to the period's end.
        """
        peaks = _peak_velocity(wanted, self.limits)
        late = self.latency
        if late > 0.0:  # the acceleration of now goes on meanwhile
            motion = list(zip(wanted.position, wanted.velocity, wanted.acceleration, strict=True))
            position = tuple(p + v * late + 0.5 * a * late * late for p, v, a in motion)
            velocity = tuple(v + a * late for _, v, a in motion)
            wanted = Setpoint(position, velocity, wanted.acceleration)
        if not self._trial.plan(wanted):
            return (True,) * self.limits.joints
        return tuple(map(operator.or_, peaks, self._leaves(self._trial)))

    def _leaves(self, brake: _Brake) -> tuple[bool, ...]:
        """Return of each joint whether a stop leaves its limits."""
        return tuple(
            lowest < lower - ROUNDING or highest > upper + ROUNDING
            for (lowest, highest), lower, upper in zip(brake.extrema(), self.lower, self.upper, strict=True)
        )

    def _accept(self, setpoint: Setpoint) -> bool:
        """Make this the setpoint and let widened limits follow it inward, if a stop from it can be planned.

        One that lies on the stop of the setpoint before needs no plan: that stop goes on.
        """
        on_the_stop = setpoint is self._followed
        if self._trial.plan(setpoint):
            self._stop, self._trial, self._stop_age = self._trial, self._stop, 0.0
        elif on_the_stop:
            self._stop_age += self.period
        else:
            return False
        self.setpoint = setpoint
        limits = self.limits
        self.lower = tuple(map(min, limits.lower, map(max, self.lower, setpoint.position)))
        self.upper = tuple(map(max, limits.upper, map(min, self.upper, setpoint.position)))
        return True


class _Brake:
    """The fastest stop from a setpoint, or with Synchronization.Time the fastest in which all joints rest together.

    Planned from position zero and moved there afterwards: ruckig 0.19 takes the extrema of a trajectory to velocity
    zero for its own target position, 0, where it should take the end.
    """

    def __init__(self, limits: SafetyLimits, synchronization: Synchronization) -> None:
        self._planner = Ruckig(limits.joints)
        self._input = _input(limits, ControlInterface.Velocity, synchronization)
        self._trajectory = Trajectory(limits.joints)
        self._origin: tuple[float, ...] = (0.0,) * limits.joints

    def plan(self, setpoint: Setpoint) -> bool:
        """Plan the stop from a setpoint; return whether there is one."""
        self._origin = setpoint.position
        self._input.current_velocity = list(setpoint.velocity)
        self._input.current_acceleration = list(setpoint.acceleration)
        return self._planner.calculate(self._input, self._trajectory) in PLANNED

    def at(self, time: float) -> Setpoint:
        """Return the setpoint `time` s after the beginning; behind the end it rests."""
        position, velocity, acceleration = self._trajectory.at_time(time)
        moved = tuple(p + origin for p, origin in zip(position, self._origin, strict=True))
        return Setpoint(moved, tuple(velocity), tuple(acceleration))

    def extrema(self) -> list[tuple[float, float]]:
        """Return the lowest and the highest position of each joint."""
        trajectory = self._trajectory
        ends = trajectory.at_time(trajectory.duration)[0]
        rows = zip(self._origin, trajectory.position_extrema, ends, strict=True)
        return [(origin + min(found.min, end), origin + max(found.max, end)) for origin, found, end in rows]


def _input(limits: SafetyLimits, interface: ControlInterface, synchronization: Synchronization) -> InputParameter:
    parameters = InputParameter(limits.joints)
    parameters.control_interface = interface
    parameters.synchronization = synchronization
    parameters.max_velocity = list(limits.velocity)
    parameters.max_acceleration = list(limits.acceleration)
    parameters.max_jerk = list(limits.jerk)
    return parameters


def _mixed(choose: Sequence[bool], chosen: Setpoint, otherwise: Setpoint) -> Setpoint:
    return Setpoint(
        *(
            tuple(a if which else b for which, a, b in zip(choose, first, second, strict=True))
            for first, second in (
                (chosen.position, otherwise.position),
                (chosen.velocity, otherwise.velocity),
                (chosen.acceleration, otherwise.acceleration),
            )
        )
    )


def _peak_velocity(setpoint: Setpoint, limits: SafetyLimits) -> tuple[bool, ...]:
    """Return of each joint whether bringing its acceleration to zero takes its velocity beyond the limit."""
    rows = zip(setpoint.velocity, setpoint.acceleration, limits.jerk, limits.velocity, strict=True)
    return tuple(abs(v + a * abs(a) / (2.0 * jerk)) > most * (1.0 + ROUNDING) for v, a, jerk, most in rows)


def _reachable(acceleration: float, velocity: float, fastest: float, largest: float, jerk: float) -> float:
    """Return the acceleration nearest to the given at which a joint can move at `velocity` within its limits.

    It was reached from, and goes back to, zero at the jerk limit; the velocity changes by a^2 / 2 jerk meanwhile.
    """
    room = min(TARGET_SHARE * largest, (2.0 * jerk * TARGET_SHARE * max(0.0, fastest - abs(velocity))) ** 0.5)
    return min(max(float(acceleration), -room), room)


def _clip(values: Sequence[float], lower: Sequence[float], upper: Sequence[float]) -> list[float]:
    return [min(max(float(value), low), high) for value, low, high in zip(values, lower, upper, strict=True)]
