"""How ros2_control's two controllers take commands: what they accept, what they refuse, what they do then. No ROS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ppo_robot.errors import BadInputError
from ppo_robot.spec.deployment import ControllerSpec

Array = NDArray[np.float64]

Interface = Literal["position", "velocity", "effort"]


class CommandRefusal(Enum):
    """Why a command moves nothing. Each has a counter; the command before stays in force."""

    WRONG_SIZE = "another number of values than joints; the controller is inactive now"
    WRONG_JOINTS = "its joints are not exactly those of the controller"
    NO_POINT = "it has no point"
    WRONG_POINT = "a point's values are not one for each joint"
    TIME_ORDER = "time_from_start does not increase from point to point"
    IN_THE_PAST = "it ended before it arrived"
    NOT_FINITE = "a value is not finite; ros2_control itself would let it through"
    INACTIVE = "the controller is inactive"
    LOST = "lost by the fault command_loss"


@dataclass(frozen=True)
class Setpoints:
    """What the joints shall do from now on: values (n, J) in the robot's order at times (n,) s, linear in between.

    Before the first time what was in force leads over to it; after the last time its values hold for ever.
    """

    interface: Interface
    times: Array
    values: Array

    def led_from(self, time: float, value: Array) -> Setpoints:
        """Return the same, led over from `value` (J,) at `time`."""
        if self.times[0] <= time:
            return self
        return Setpoints(
            self.interface, np.concatenate([[time], self.times]), np.concatenate([value[None], self.values])
        )

    def at(self, time: float) -> Array:
        """Return the values (J,) at a time."""
        if time >= self.times[-1]:
            return self.values[-1]
        place = int(np.searchsorted(self.times, time, side="right"))
        if place == 0:
            return self.values[0]
        before, after = self.times[place - 1], self.times[place]
        share = (time - before) / (after - before)
        return self.values[place - 1] + share * (self.values[place] - self.values[place - 1])


@dataclass(frozen=True)
class TrajectoryPoint:
    """One point of a trajectory command, in the order of its joint names; time_from_start in s."""

    positions: Sequence[float] = ()
    velocities: Sequence[float] = ()
    effort: Sequence[float] = ()
    time_from_start: float = 0.0


class ForwardController:
    """A forward_command_controller: values in its own configured order, no names, no times.

    A command of the wrong size is an error in its update, upon which the controller manager deactivates it.
    """

    def __init__(self, spec: ControllerSpec, joint_names: Sequence[str]) -> None:
        """Prepare; an empty `spec.joints` means the robot's own order.

        Raises:
            BadInputError: if its joints are not the robot's.
        """
        self.spec = spec
        self.active = True
        self._order = joint_order(spec, joint_names)

    def command(self, values: Sequence[float], time: float) -> Setpoints | CommandRefusal:
        """Take the values of a command that arrived at `time`."""
        if not self.active:
            return CommandRefusal.INACTIVE
        if len(values) != len(self._order):
            self.active = False
            return CommandRefusal.WRONG_SIZE
        array = np.array(values, dtype=float)
        if not np.isfinite(array).all():
            return CommandRefusal.NOT_FINITE
        return Setpoints(self.spec.interface, np.array([time]), array[self._order][None])


class TrajectoryController:
    """A joint_trajectory_controller: joints by name in any order, one point or more; it stays active whatever comes.

    A point's positions are followed on every interface, as its own feedback loop would; velocities or efforts are
    commanded as such where there are no positions. It starts from the setpoint in force, as the real one does with
    `interpolate_from_desired_state`.
    """

    def __init__(self, spec: ControllerSpec, joint_names: Sequence[str]) -> None:
        """Prepare.

        Raises:
            BadInputError: if its joints are not the robot's.
        """
        joint_order(spec, joint_names)
        self.spec = spec
        self.active = True
        self._names = tuple(joint_names)

    def command(
        self, joint_names: Sequence[str], points: Sequence[TrajectoryPoint], time: float, start: float | None = None
    ) -> Setpoints | CommandRefusal:
        """Take a trajectory that arrived at `time`; `start` (s) is its own stamp, None where it gives none."""
        if not self.active:
            return CommandRefusal.INACTIVE
        if len(joint_names) != len(self._names) or set(joint_names) != set(self._names):
            return CommandRefusal.WRONG_JOINTS
        if not points:
            return CommandRefusal.NO_POINT
        begin = time if start is None else start
        times = np.array([begin + point.time_from_start for point in points])
        if not np.isfinite(times).all() or points[0].time_from_start < 0.0 or (np.diff(times) <= 0.0).any():
            return CommandRefusal.TIME_ORDER
        if start is not None and times[-1] < time:
            return CommandRefusal.IN_THE_PAST
        interface: Interface = "position" if points[0].positions else self.spec.interface
        fields = {"position": "positions", "velocity": "velocities", "effort": "effort"}
        rows = [getattr(point, fields[interface]) for point in points]
        if any(len(row) != len(self._names) for row in rows):
            return CommandRefusal.WRONG_POINT
        given = list(joint_names)
        values = np.array(rows, dtype=float)[:, [given.index(name) for name in self._names]]
        if not np.isfinite(values).all():
            return CommandRefusal.NOT_FINITE
        return Setpoints(interface, times, values)


Controller = ForwardController | TrajectoryController


def make_controller(spec: ControllerSpec, joint_names: Sequence[str]) -> Controller:
    """Return the controller that the spec describes.

    Raises:
        BadInputError: if its joints are not the robot's.
    """
    if spec.type == "forward_command_controller":
        return ForwardController(spec, joint_names)
    return TrajectoryController(spec, joint_names)


def joint_order(spec: ControllerSpec, joint_names: Sequence[str]) -> NDArray[np.intp]:
    """Return where each of the robot's joints stands in the controller's own order.

    Raises:
        BadInputError: if the two are not the same joints.
    """
    joints = list(spec.joints or joint_names)
    if sorted(joints) != sorted(joint_names):
        raise BadInputError(
            f"controller {spec.name}: joints: given {', '.join(joints)}; expected {', '.join(joint_names)} in any order"
        )
    return np.array([joints.index(name) for name in joint_names])
