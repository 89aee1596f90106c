"""Between the safety node's own types and ROS messages."""

from __future__ import annotations

import math

import numpy as np
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import Quaternion
from numpy.typing import NDArray
from rclpy.duration import Duration
from std_msgs.msg import Float64MultiArray, MultiArrayDimension
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from ppo_robot.nodes.commands import Command
from ppo_robot.safety.reasons import State
from ppo_robot.spec.deployment import ControllerSpec
from ppo_robot.telemetry.matrix import decode

LEVELS = {
    State.BLENDING: DiagnosticStatus.OK,
    State.ACTIVE: DiagnosticStatus.OK,
    State.LIMITED: DiagnosticStatus.OK,
    State.DISARMED: DiagnosticStatus.WARN,
    State.HOLDING: DiagnosticStatus.WARN,
    State.STOPPING: DiagnosticStatus.ERROR,
    State.STOPPED: DiagnosticStatus.ERROR,
}


LONGEST_SEQUENCE = 15
"""Digits; so many fit into a double."""


def level_of(state: State) -> bytes:
    """Return the diagnostic level of a state."""
    level: bytes = LEVELS[state]
    return level


def tilt_of(orientation: Quaternion) -> float:
    """Return the angle in rad between a base's z axis and the vertical; NaN where it is no rotation.

    The z axis after the rotation has the vertical component 1 - 2 (x^2 + y^2) of a unit quaternion.
    """
    x, y, z, w = orientation.x, orientation.y, orientation.z, orientation.w
    length = x * x + y * y + z * z + w * w
    if not 0.9 < length < 1.1:
        return math.nan
    return math.acos(min(1.0, max(-1.0, 1.0 - 2.0 * (x * x + y * y) / length)))


def sequence_of(frame: str) -> int:
    """Return the number of a tick that an action's frame holds; 0 where it holds something else."""
    return int(frame) if len(frame) <= LONGEST_SEQUENCE and frame.isdecimal() else 0


def observed_ticks(message: Float64MultiArray) -> tuple[NDArray[np.float64], int] | None:
    """Return the observations (m, O) of a `policy/telemetry` message and its last tick's number.

    None where there are none, or it is no such message: whoever publishes that must not end the safety node.
    """
    layout = message.layout.dim
    try:
        ticks = decode([one.label for one in layout], [one.size for one in layout], message.data)
        return ticks["observation"], int(ticks["sequence"][-1])
    except (ValueError, KeyError, IndexError, OverflowError):
        return None


class ControllerMessage:
    """One message of a controller's type, filled anew for each command."""

    def __init__(self, controller: ControllerSpec, joints: int) -> None:
        """Prepare for a controller of so many joints."""
        self._joints = joints
        self._forward = controller.type == "forward_command_controller"
        self.kind = Float64MultiArray if self._forward else JointTrajectory
        self._message = self.kind()

    def follow(self, sequence: int, stamp: Time) -> None:
        """Name the action that commands follow from now on: the number of its tick and the stamp of its state.

        A forward_command_controller reads the data alone, so its layout is free for that; a trajectory has a frame.
        """
        label = f"sequence {sequence} state {stamp.sec}.{stamp.nanosec:09d}"
        if self._forward:
            self._message.layout.dim = [MultiArrayDimension(label=label, size=self._joints, stride=self._joints)]
        else:
            self._message.header.frame_id = label

    def fill(self, command: Command) -> Float64MultiArray | JointTrajectory:
        """Return the message of a command; it is overwritten by the next."""
        message = self._message
        if self._forward:
            message.data = list(command.values)
            return message
        message.joint_names = list(command.names)  # stamp zero: begin now
        point = JointTrajectoryPoint(positions=list(command.values))
        point.time_from_start = Duration(seconds=command.duration).to_msg()
        message.points = [point]
        return message
