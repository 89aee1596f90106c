"""What the simulated robot was told: every command that it took, for whoever judges a sender by the receiver's record."""

from __future__ import annotations

from collections.abc import Sequence

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import JointState

from ppo_robot.nodes.ros_support import to_stamp
from ppo_robot.nodes.sim_controllers import Setpoints

RECORD = QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE)
"""Deep: a listener that is late by seconds still gets every command of a controller at 250 Hz."""


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
