"""The way to rest: the fastest stop from a setpoint inside the limits of acceleration and jerk."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ruckig import ControlInterface, InputParameter, Result, Ruckig, RuckigError, Synchronization, Trajectory

from ppo_robot.safety.by_joint import by_joint
from ppo_robot.safety.limits import SafetyLimits
from ppo_robot.safety.setpoint import Setpoint

ROUNDING = 1e-9
"""rad (m): how far arithmetic alone may put the extremum of a stop beyond a limit; it does not add up over steps."""

PLANNED = (Result.Working, Result.Finished)
"""What ruckig answers when it found a trajectory."""

PLACES = 8
"""How many parts of equal time a stop is looked at in by a guard."""


class Brake:
    """The fastest stop from a setpoint, or with Synchronization.Time the fastest in which all joints rest together.

    Planned from position zero and moved there afterwards: ruckig 0.19 takes the extrema of a trajectory to velocity
    zero for its own target position, 0, where it should take the end.
    """

    def __init__(self, limits: SafetyLimits, synchronization: Synchronization) -> None:
        self._planner = Ruckig(limits.joints)
        self._input = make_input(limits, ControlInterface.Velocity, synchronization)
        self._trajectory = Trajectory(limits.joints)
        self._origin: tuple[float, ...] = (0.0,) * limits.joints

    def plan(self, setpoint: Setpoint) -> bool:
        """Plan the stop from a setpoint; return whether there is one."""
        self._origin = setpoint.position
        self._input.current_velocity = setpoint.velocity
        self._input.current_acceleration = setpoint.acceleration
        return found(self._planner.calculate, self._input, self._trajectory)

    def at(self, time: float) -> Setpoint:
        """Return the setpoint `time` s after the beginning; behind the end it rests."""
        position, velocity, acceleration = self._trajectory.at_time(time)
        moved = tuple([p + origin for p, origin in by_joint(position, self._origin)])
        return Setpoint(moved, tuple(velocity), tuple(acceleration))

    def end(self, setpoint: Setpoint, late: float) -> list[float]:
        """Return where each joint rests, (J,) rad, if the stop from `setpoint` on it begins `late` s later.

        To first order in what the velocity changes meanwhile, which a guard's own margins cover.
        """
        ends = self._trajectory.at_time(self._trajectory.duration)[0]
        rows = by_joint(self._origin, ends, setpoint.velocity)
        return [origin + end + v * late for origin, end, v in rows]

    def way(self, setpoint: Setpoint, age: float) -> list[Setpoint]:
        """Return the setpoint that lies `age` s along the stop, and those behind it at equal times up to the end."""
        part = max(0.0, self._trajectory.duration - age) / PLACES
        return [setpoint, *(self.at(age + part * place) for place in range(1, PLACES))]

    def leaves(self, lower: Sequence[float], upper: Sequence[float]) -> list[bool]:
        """Return of each joint whether it leaves its limits on the way, or at the end of it."""
        trajectory = self._trajectory
        ends = trajectory.at_time(trajectory.duration)[0]
        rows = by_joint(self._origin, trajectory.position_extrema, ends, lower, upper)
        return [
            at + (found.min if found.min < end else end) < low - ROUNDING
            or at + (found.max if found.max > end else end) > high + ROUNDING
            for at, found, end, low, high in rows
        ]


def found(plan: Callable[..., Result], *arguments: object) -> bool:
    """Return whether ruckig found a trajectory; some of its error codes come as an exception of the binding."""
    try:
        return plan(*arguments) in PLANNED
    except (RuckigError, ValueError):
        return False


def make_input(limits: SafetyLimits, interface: ControlInterface, synchronization: Synchronization) -> InputParameter:
    """Return ruckig's problem with the limits in it, without a state or a target yet."""
    parameters = InputParameter(limits.joints)
    parameters.control_interface = interface
    parameters.synchronization = synchronization
    parameters.max_velocity = list(limits.velocity)
    parameters.max_acceleration = list(limits.acceleration)
    parameters.max_jerk = list(limits.jerk)
    return parameters
