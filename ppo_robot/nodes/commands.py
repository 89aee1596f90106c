"""From joint targets, by name, to what a ros2_control controller takes. Knows no ROS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ppo_robot.errors import BadInputError
from ppo_robot.spec.deployment import ControllerSpec
from ppo_robot.spec.robot import JointSpec

Array = NDArray[np.float64]


@dataclass(frozen=True)
class JointTarget:
    """What `policy/action` says: where the joints shall be, by name. rad; stamp in s, of the state behind it."""

    names: Sequence[str]
    positions: Sequence[float]
    stamp: float


@dataclass(frozen=True)
class Command:
    """What goes to the controller, in the order of `names`.

    A forward_command_controller gets `values` as a bare array; a joint_trajectory_controller gets them as the positions
    of one point that is to be reached after `duration` s.
    """

    names: tuple[str, ...]
    values: tuple[float, ...]
    duration: float


class CommandAdapter:
    """Turns joint targets into one controller's commands.

    * position interface, and joint_trajectory_controller always: the targets themselves.
    * velocity: the difference of two targets over the control period, plus `proportional` times the position error
      where gains are given, inside the joints' velocity limits.
    * effort: `proportional` times the position error minus `derivative` times the velocity, inside the effort limits.
    """

    def __init__(self, controller: ControllerSpec, joints: Sequence[JointSpec], control_period: float) -> None:
        """Prepare for the policy's `joints`; `control_period` in s.

        Raises:
            BadInputError: if the controller's joints are not the policy's, or gains do not fit.
        """
        self.controller = controller
        self.control_period = control_period
        by_name = {joint.name: joint for joint in joints}
        self.names = controller.joints or tuple(by_name)
        _check_names(f"controller {controller.name}: joints", self.names, tuple(by_name), "the policy's")
        _check_gains(controller, self.names)
        gains = [controller.gains.get(name) for name in self.names]
        self._proportional = np.array([gain.proportional if gain else 0.0 for gain in gains])
        self._derivative = np.array([gain.derivative if gain else 0.0 for gain in gains])
        self._velocity_limit = np.array([by_name[name].velocity_limit for name in self.names])
        self._effort_limit = np.array([by_name[name].effort_limit for name in self.names])
        self._target: Array | None = None
        self._feed_forward = np.zeros(len(self.names))
        forward = controller.type == "forward_command_controller"
        self._kind = controller.interface if forward else "position"

    @property
    def needs_state(self) -> bool:
        """Whether a command depends on what the robot measures."""
        return self._kind == "effort" or (self._kind == "velocity" and bool(self._proportional.any()))

    @property
    def must_end_motion(self) -> bool:
        """Whether the last command goes on moving the robot when nobody sends another: all but positions do."""
        return self._kind != "position"

    def take(self, target: JointTarget) -> None:
        """Take a new target.

        Raises:
            BadInputError: if its joints are not the controller's, each once, or a position is not finite.
        """
        names = tuple(target.names)
        if len(target.positions) != len(names):
            raise BadInputError(f"policy/action: {len(names)} names, {len(target.positions)} positions")
        _check_names("policy/action", names, self.names, "the controller's")
        given = np.array(target.positions, dtype=float)[[names.index(name) for name in self.names]]
        if not np.isfinite(given).all():
            name = self.names[int(np.flatnonzero(~np.isfinite(given))[0])]
            raise BadInputError(f"policy/action: {name}: the position is not finite")
        before = given if self._target is None else self._target
        self._feed_forward = (given - before) / self.control_period
        self._target = given

    def command(self, position: Array | None = None, velocity: Array | None = None) -> Command | None:
        """Return the command for the newest target, or None while there is none or the state that it needs is missing.

        `position` and `velocity` are measured, in the order of `names`.
        """
        target = self._target
        if target is None or (self.needs_state and position is None):
            return None
        values = target
        if self._kind == "velocity":
            error = np.zeros(len(target)) if position is None else target - position
            values = self._feed_forward + self._proportional * error
            values = np.clip(values, -self._velocity_limit, self._velocity_limit)
        elif self._kind == "effort" and position is not None:
            rate = np.zeros(len(target)) if velocity is None else velocity
            values = self._proportional * (target - position) - self._derivative * rate
            values = np.clip(values, -self._effort_limit, self._effort_limit)
        return Command(self.names, tuple(values.tolist()), self.control_period)

    def hold(self) -> None:
        """The targets have ceased: stay at the last one, without the velocity that led to it."""
        self._feed_forward = np.zeros(len(self.names))

    def end(self) -> Command | None:
        """Forget the target; return what ends all motion: zeros, or None where the last position does."""
        self._target = None
        self.hold()
        if not self.must_end_motion:
            return None
        return Command(self.names, (0.0,) * len(self.names), self.control_period)


def _check_names(what: str, given: Sequence[str], expected: Sequence[str], whose: str) -> None:
    """Raise unless both hold the same names, each once, in whatever order."""
    twice = sorted({name for name in given if list(given).count(name) > 1})
    missing = [name for name in expected if name not in given]
    unknown = [name for name in given if name not in expected]
    for wrong, verb in ((twice, "given twice"), (missing, "missing"), (unknown, "unknown")):
        if wrong:
            raise BadInputError(f"{what}: {', '.join(wrong)}: {verb}; expected {whose} joints {', '.join(expected)}")


def _check_gains(controller: ControllerSpec, names: Sequence[str]) -> None:
    unknown = [name for name in controller.gains if name not in names]
    if unknown:
        raise BadInputError(f"controller {controller.name}: gains: unknown joint {', '.join(unknown)}")
    needed = controller.type == "forward_command_controller" and controller.interface == "effort"
    missing = [name for name in names if name not in controller.gains]
    if needed and missing:
        raise BadInputError(
            f"controller {controller.name}: gains: {', '.join(missing)}: missing; interface effort needs them"
        )
