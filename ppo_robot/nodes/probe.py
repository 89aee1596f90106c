"""Looks around in the ROS graph for a few seconds, for `ppo-robot doctor`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import rclpy
from lifecycle_msgs.srv import GetState
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.utilities import get_rmw_implementation_identifier, try_shutdown
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from ppo_robot.nodes.middleware import join_ros
from ppo_robot.nodes.ros_support import LATCHED, UNKNOWN_NODE, controllers_of, seconds

COMMAND_TYPES = ("std_msgs/msg/Float64MultiArray", "trajectory_msgs/msg/JointTrajectory")
COMMAND_ENDINGS = ("/commands", "/joint_trajectory")
DISCOVERY = 5.0
"""s until a node that runs has been heard of: an announcement that went missing is sent again after three."""

MANY = QoSProfile(depth=200, reliability=ReliabilityPolicy.BEST_EFFORT)
"""A queue that loses no sample while it is measured."""


@dataclass(frozen=True)
class Probe:
    """What was seen.

    Attributes:
        rmw: the middleware in use.
        publishers: of the joint state topic.
        arrivals: monotonic times at which joint states arrived, s.
        ages: of each when it arrived, by its stamp, s; only meaningful on synchronised clocks.
        joint_names: of the newest joint state.
        description: the text of /robot_description, where it is published.
        listeners: names of the nodes that subscribe to each controller's command topic.
        policy_state: lifecycle state of /policy, None where there is no such node.
    """

    rmw: str
    publishers: int
    arrivals: tuple[float, ...]
    ages: tuple[float, ...]
    joint_names: tuple[str, ...]
    description: str | None
    listeners: dict[str, tuple[str, ...]]
    policy_state: str | None


class _Prober:
    """A node that gathers for a while."""

    def __init__(self, joint_state_topic: str) -> None:
        self.node: Node = rclpy.create_node("ppo_robot_doctor", enable_rosout=False)
        self.topic = joint_state_topic
        self.arrivals: list[float] = []
        self.ages: list[float] = []
        self.joint_names: tuple[str, ...] = ()
        self.description: str | None = None
        self.node.create_subscription(JointState, joint_state_topic, self._on_state, MANY)
        self.node.create_subscription(String, "/robot_description", self._on_description, LATCHED)
        self.client = self.node.create_client(GetState, "/policy/get_state")

    def spin(self, duration: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Work off what arrives until the condition holds; return whether it did."""
        deadline = time.monotonic() + duration
        while not until():
            left = deadline - time.monotonic()
            if left <= 0.0:
                return False
            rclpy.spin_once(self.node, timeout_sec=min(left, 0.05))
        return True

    def listeners(self) -> dict[str, tuple[str, ...]]:
        """Return who subscribes to the command topics of controllers, once each has a name.

        One that never gets any, which no ROS node is, keeps that of rmw for it.
        """
        self.spin(DISCOVERY, lambda: not any(UNKNOWN_NODE in names for names in self._listeners_now().values()))
        return self._listeners_now()

    def _listeners_now(self) -> dict[str, tuple[str, ...]]:
        found = {}
        for topic, types in self.node.get_topic_names_and_types():
            if topic.endswith(COMMAND_ENDINGS) and set(types) & set(COMMAND_TYPES):
                names = controllers_of(self.node, topic)
                if names:
                    found[topic] = tuple(names)
        return found

    def policy_state(self, timeout: float) -> str | None:
        """Ask /policy for its lifecycle state; where anybody else is there, it is given time to be heard of."""
        if not self.spin(DISCOVERY if self.arrivals else 0.0, lambda: "policy" in self.node.get_node_names()):
            return None
        if not self.spin(timeout, self.client.service_is_ready):
            return "does not answer"
        future = self.client.call_async(GetState.Request())
        if not self.spin(timeout, future.done):
            return "does not answer"
        return str(future.result().current_state.label)

    def _on_state(self, message: JointState) -> None:
        self.arrivals.append(time.monotonic())
        self.ages.append(self.node.get_clock().now().nanoseconds * 1e-9 - seconds(message.header.stamp))
        self.joint_names = tuple(message.name)

    def _on_description(self, message: String) -> None:
        self.description = message.data


def look_around(joint_state_topic: str, duration: float) -> Probe:
    """Wait up to `duration` s for the first joint state, then watch for as long."""
    join_ros([])
    prober = None
    try:
        prober = _Prober(joint_state_topic)
        prober.spin(duration, lambda: bool(prober.arrivals))
        prober.arrivals.clear()  # the first comes in a burst with the discovery
        prober.ages.clear()
        prober.spin(duration)
        arrivals, ages = tuple(prober.arrivals), tuple(prober.ages)
        policy_state = prober.policy_state(duration)
        return Probe(
            rmw=get_rmw_implementation_identifier(),
            publishers=prober.node.count_publishers(joint_state_topic),
            arrivals=arrivals,
            ages=ages,
            joint_names=prober.joint_names,
            description=prober.description,
            listeners=prober.listeners(),
            policy_state=policy_state,
        )
    finally:
        if prober is not None:
            prober.node.destroy_node()
        try_shutdown()
