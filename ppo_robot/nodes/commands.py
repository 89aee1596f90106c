"""From setpoints to what a ros2_control controller takes. Knows no ROS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ppo_robot.errors import BadInputError
from ppo_robot.safety.setpoint import Setpoint
from ppo_robot.spec.deployment import ControllerSpec
from ppo_robot.spec.robot import JointSpec
from ppo_robot.state import RobotState


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
    """Turns the envelope's setpoints into one controller's commands.

    * position interface, and joint_trajectory_controller always: the positions.
    * velocity: the setpoint's own velocity, plus `proportional` times the position error where gains are given.
    * effort: `proportional` times the position error plus `derivative` times the velocity error.

    What feedback adds to a velocity, and every effort, stays inside the joints' limits.
    """

    def __init__(self, controller: ControllerSpec, joints: Sequence[JointSpec], period: float) -> None:
        """Prepare for setpoints in the order of `joints`, one each `period` s.

        Raises:
            BadInputError: if the controller's joints are not these, or gains do not fit.
        """
        self.controller = controller
        self.period = period
        by_name = {joint.name: joint for joint in joints}
        self.names = controller.joints or tuple(by_name)
        _check_names(f"controller {controller.name}: joints", self.names, tuple(by_name), "the policy's")
        _check_gains(controller, self.names)
        gains = [controller.gains.get(name) for name in self.names]
        self._order = [tuple(by_name).index(name) for name in self.names]
        self._proportional = np.array([gain.proportional if gain else 0.0 for gain in gains])
        self._derivative = np.array([gain.derivative if gain else 0.0 for gain in gains])
        self._velocity_limit = np.array([by_name[name].velocity_limit for name in self.names])
        self._effort_limit = np.array([by_name[name].effort_limit for name in self.names])
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

    def command(self, setpoint: Setpoint, state: RobotState | None) -> Command:
        """Return the command for a setpoint and what was measured last, (1, J) in the order of the joints.

        Without a state, a velocity is the setpoint's own and an effort is zero: there is nothing to close a loop with.
        """
        if self._kind == "position":
            position = setpoint.position
            return Command(self.names, tuple(position[place] for place in self._order), self.period)
        wanted, speed = (np.array(row)[self._order] for row in (setpoint.position, setpoint.velocity))
        if self._kind == "velocity":
            error = np.zeros(len(wanted)) if state is None else wanted - state.joint_position[0][self._order]
            values = np.clip(speed + self._proportional * error, -self._velocity_limit, self._velocity_limit)
        elif state is None:
            values = np.zeros(len(wanted))
        else:
            error = wanted - state.joint_position[0][self._order]
            lag = speed - state.joint_velocity[0][self._order]
            effort = self._proportional * error + self._derivative * lag
            values = np.clip(effort, -self._effort_limit, self._effort_limit)
        return Command(self.names, tuple(values.tolist()), self.period)

    def end(self) -> Command | None:
        """Return what ends all motion: zeros, or None where the last position does."""
        return Command(self.names, (0.0,) * len(self.names), self.period) if self.must_end_motion else None


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
