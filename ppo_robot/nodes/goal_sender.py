"""Sends one goal to a running policy and watches the tool on its way, for `ppo-robot goal`."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

import numpy as np
import rclpy
from geometry_msgs.msg import PoseStamped
from numpy.typing import NDArray
from rclpy.duration import Duration
from rclpy.utilities import try_shutdown
from sensor_msgs.msg import JointState

from ppo_robot.errors import RunFailedError
from ppo_robot.joint_input import JointInput, JointMessage
from ppo_robot.kinematics import RobotModel
from ppo_robot.nodes.middleware import join_ros
from ppo_robot.nodes.ros_support import COMMANDS, SENSORS, UNKNOWN_NODE, seconds
from ppo_robot.policy.bundle import Bundle

Array = NDArray[np.float64]

STATE_TIMEOUT = 0.5
NAMES_TIMEOUT = 1.0
FUTURE_TOLERANCE = 1e9
"""Whether a stamp lies in the future is the policy node's business; here only the newest position counts."""


@dataclass(frozen=True)
class Arrival:
    """Where the tool was in the end: seconds from the call until it was there, m from it, and whether it stayed."""

    seconds: float
    error: float
    held: bool


class GoalSender:
    """A node of its own for one goal; a context manager."""

    def __init__(self, topic: str = "goal_pose") -> None:
        """Join the ROS graph."""
        join_ros([])
        self._node = rclpy.create_node("ppo_robot_goal", enable_rosout=False)
        self._publisher = self._node.create_publisher(PoseStamped, topic, COMMANDS)
        self._topic = self._publisher.topic_name
        self._sent = time.monotonic()

    def __enter__(self) -> GoalSender:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._node.destroy_node()
        try_shutdown()

    def send(self, position: Array, frame: str, timeout: float) -> str:
        """Publish the goal (3,) m once somebody listens; return who does.

        Raises:
            RunFailedError: if nobody listens within the timeout, or nobody confirms that it arrived.
        """
        if not self._spin(lambda: self._publisher.get_subscription_count() > 0, timeout):
            raise RunFailedError(
                f"nobody listens on {self._topic} within {timeout:g} s: is a policy running in this ROS_DOMAIN_ID?"
                " (ppo-robot up deploy plant:=sim starts one, ppo-robot doctor looks around)"
            )
        message = PoseStamped()
        message.header.frame_id = frame
        message.header.stamp = self._node.get_clock().now().to_msg()
        message.pose.position.x, message.pose.position.y, message.pose.position.z = map(float, position)
        message.pose.orientation.w = 1.0
        self._publisher.publish(message)
        if not self._publisher.wait_for_all_acked(Duration(seconds=timeout)):
            raise RunFailedError(f"{self._topic}: a listener did not confirm the goal within {timeout:g} s")
        self._sent = time.monotonic()
        self._spin(lambda: bool(self._listeners()), min(timeout, NAMES_TIMEOUT))
        return ", ".join(self._listeners()) or f"a listener on {self._topic}"

    def _listeners(self) -> list[str]:
        """Return the names of the subscribers; a name comes a little later than its subscription."""
        found = self._node.get_subscriptions_info_by_topic(self._topic)
        return sorted({f"/{info.node_name}" for info in found if info.node_name != UNKNOWN_NODE})

    def await_arrival(self, bundle: Bundle, goal: Array, timeout: float) -> Arrival:
        """Watch /joint_states until the tool has been within tolerance for the task's hold time.

        Raises:
            RunFailedError: if no usable joint state comes.
        """
        watcher = _Watcher(bundle, goal)
        subscription = self._node.create_subscription(JointState, "/joint_states", watcher.take, SENSORS)
        held = self._spin(watcher.held, timeout)
        self._node.destroy_subscription(subscription)
        if watcher.error is None:
            refused = dict(watcher.input.counters)
            raise RunFailedError(f"no usable /joint_states within {timeout:g} s; refused: {refused or 'none came'}")
        return Arrival((watcher.inside_since or time.monotonic()) - self._sent, watcher.error, held)

    def _spin(self, condition: Callable[[], bool], timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        while not condition():
            left = deadline - time.monotonic()
            if left <= 0.0:
                return False
            rclpy.spin_once(self._node, timeout_sec=min(left, 0.05))
        return True


class _Watcher:
    """Follows the tool by the joint states."""

    def __init__(self, bundle: Bundle, goal: Array) -> None:
        self.input = JointInput(bundle.robot.joint_names, STATE_TIMEOUT, FUTURE_TOLERANCE)
        self.error: float | None = None
        self.inside_since: float | None = None
        self._goal = goal
        self._success = bundle.task.success
        self._model = RobotModel(bundle.robot)

    def take(self, message: JointState) -> None:
        now, stamp = time.monotonic(), seconds(message.header.stamp)
        taken = JointMessage(message.name, message.position, message.velocity, message.effort, stamp)
        self.input.accept(taken, stamp, now)
        state = self.input.state(now)
        if state is None:
            return
        tool = self._model.tool_position(state.joint_position)[0]
        self.error = float(np.linalg.norm(tool - self._goal))
        inside = self.error <= self._success.tolerance
        self.inside_since = (self.inside_since or now) if inside else None

    def held(self) -> bool:
        return self.inside_since is not None and time.monotonic() - self.inside_since >= self._success.hold
