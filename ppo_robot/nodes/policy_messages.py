"""The policy node's messages, each built once: making them anew would cost more than the network does."""

from __future__ import annotations

import array
from collections.abc import Sequence

import numpy as np
from std_msgs.msg import Float64MultiArray, MultiArrayDimension
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from ppo_robot.nodes.policy_core import PolicyAction
from ppo_robot.nodes.ros_support import to_stamp

SCALARS = ("sequence", "state_stamp", "state_age_s", "inference_s", "tick_s", "period_cpu_s", "log_probability")
"""What stands before the arrays in `policy/telemetry`; the layout of each message names them all."""


class ActionMessage:
    """`policy/action`: one point of joint targets, stamped with the state that it was computed from."""

    def __init__(self, joint_names: Sequence[str]) -> None:
        """Build the message for joints in this order."""
        self._point = JointTrajectoryPoint()
        self._message = JointTrajectory(joint_names=list(joint_names), points=[self._point])

    def fill(self, action: PolicyAction) -> JointTrajectory:
        """Return the message of an action; the same object each time."""
        self._message.header.stamp = to_stamp(action.state_stamp)
        self._point.positions = array.array("d", action.joint_target.tobytes())
        return self._message


class TelemetryMessage:
    """`policy/telemetry`: everything about one tick. float32 loses nothing in float64, so a replay can compare bits."""

    def __init__(self, joints: int, actions: int, observation: int) -> None:
        """Build the message for these numbers of joints, action components and observation components."""
        sizes = dict.fromkeys(SCALARS, 1)
        sizes |= {"joint_target": joints, "mean": actions, "std": actions, "action": actions}
        sizes["observation"] = observation
        self._message = Float64MultiArray()
        self._message.layout.dim = [MultiArrayDimension(label=name, size=size) for name, size in sizes.items()]

    def fill(self, action: PolicyAction, period_cpu: float) -> Float64MultiArray:
        """Return the message of an action; the same object each time.

        `period_cpu` is the processor time in s that the whole process took since the tick before: transport, executor,
        observation, network and publishing.
        """
        scalars = (
            *(action.sequence, action.state_stamp, action.state_age, action.inference_seconds),
            *(action.tick_seconds, period_cpu, action.log_probability),
        )
        arrays = (scalars, action.joint_target, action.mean, action.std, action.action, action.observation)
        self._message.data = array.array("d", np.concatenate(arrays, dtype=np.float64).tobytes())
        return self._message
