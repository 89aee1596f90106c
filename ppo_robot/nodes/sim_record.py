"""What the simulated robot tells beside what a robot tells: where it truly is, and every command that it took."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from geometry_msgs.msg import PointStamped
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray, MultiArrayDimension

from ppo_robot.nodes.ros_support import to_stamp
from ppo_robot.nodes.sim_controllers import Setpoints
from ppo_robot.state import RobotState

RECORD = QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE)
"""Deep: a listener that is late by seconds still gets every command of a controller at 250 Hz."""


TRUTH = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)


class TruthRecord:
    """Publishes on `~/truth` and `~/tool` where joints and tool really are, without noise, delay or faults."""

    def __init__(self, node: Node, joint_names: Sequence[str], base_link: str) -> None:
        """Prepare for the joints of a robot, and for a tool in the frame of its base."""
        self._names, self._base_link = list(joint_names), base_link
        self._truth = node.create_publisher(JointState, "~/truth", TRUTH)
        self._tool = node.create_publisher(PointStamped, "~/tool", TRUTH)

    def take(self, state: RobotState, tool: NDArray[np.float64], stamp: float) -> None:
        """Publish the state of one robot and its tool's position (3,) m at a stamp in s."""
        message = JointState(name=self._names)
        message.header.stamp = to_stamp(stamp)
        message.position = state.joint_position[0].tolist()
        message.velocity = state.joint_velocity[0].tolist()
        message.effort = state.joint_effort[0].tolist()
        self._truth.publish(message)
        point = PointStamped()
        point.header.stamp, point.header.frame_id = message.header.stamp, self._base_link
        point.point.x, point.point.y, point.point.z = tool.tolist()
        self._tool.publish(point)


class CommandRecord:
    """Publishes the values of each command on `~/commands`, in the robot's order, stamped when it was received.

    Costs nothing while nobody listens.
    """

    def __init__(self, node: Node, joint_names: Sequence[str]) -> None:
        """Prepare for the joints of a robot."""
        self._names = list(joint_names)
        self._publisher = node.create_publisher(JointState, "~/commands", RECORD)

    def take(self, command: Setpoints, stamp: float) -> None:
        """Publish what a command ends at; `stamp` is when it was received, s on the ROS clock."""
        if not self._publisher.get_subscription_count():
            return
        message = JointState(name=self._names)
        message.header.stamp = to_stamp(stamp)
        setattr(message, command.interface, command.values[-1].tolist())
        self._publisher.publish(message)


class ResponseRecord:
    """Publishes on `~/response` how long each state took until the command that follows from it came."""

    def __init__(self, node: Node) -> None:
        """Prepare."""
        self._publisher = node.create_publisher(Float64MultiArray, "~/response", RECORD)

    def take(self, samples: Sequence[tuple[float, float]]) -> None:
        """Publish samples, if there are any: the stamp of a state, and s until its first command was received."""
        if samples:
            message = Float64MultiArray(data=[value for sample in samples for value in sample])
            sizes = (("sample", len(samples), 2 * len(samples)), ("state_stamp", 1, 1), ("seconds", 1, 1))
            message.layout.dim = [MultiArrayDimension(label=name, size=n, stride=stride) for name, n, stride in sizes]
            self._publisher.publish(message)
