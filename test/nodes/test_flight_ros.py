"""The flight node and the simulated robot as processes over real topics."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path as FilePath

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="needs rclpy: pip install 'ppo_robot[ros]'")

from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from geometry_msgs.msg import PoseStamped  # noqa: E402
from nav_msgs.msg import Odometry, Path  # noqa: E402
from rclpy.context import Context  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402
from ros_harness import domain, node_process, until  # noqa: E402
from std_msgs.msg import Float64MultiArray  # noqa: E402

from ppo_robot.nodes.middleware import join_ros  # noqa: E402
from ppo_robot.nodes.ros_support import COMMANDS, SENSORS  # noqa: E402
from ppo_robot.paths import share_directory  # noqa: E402

BUNDLE = share_directory() / "config" / "policies" / "drone_waypoint"
NEAR = 0.15
"""m: a waypoint is passed where the odometry says 0.1, and that has noise, and an age while the robot flies on."""

WAYPOINTS = ((0.8, 0.0, 1.2), (0.0, 0.8, 1.6))


class Listener:
    """The test's side: sends waypoints, listens to the truth, to commands and to diagnostics."""

    def __init__(self) -> None:
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
        self.context = Context()
        join_ros([], self.context, domain())
        self.node = Node("test_pilot", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.path = self.node.create_publisher(Path, "waypoints", COMMANDS)
        self.commands: list[Float64MultiArray] = []
        self.counters: dict[str, dict[str, str]] = {}
        self.position = np.full(3, np.nan)
        self.node.create_subscription(Float64MultiArray, "flight/command", self.commands.append, SENSORS)
        self.node.create_subscription(Odometry, "sim_flight/truth", self._on_truth, SENSORS)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, COMMANDS)

    def _on_truth(self, message: Odometry) -> None:
        at = message.pose.pose.position
        self.position = np.array([at.x, at.y, at.z])

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.counters[status.name] = {pair.key: pair.value for pair in status.values}

    def until(self, condition: Callable[[], object], what: str) -> None:
        until(condition, what, lambda: self.executor.spin_once(timeout_sec=0.02))

    def send(self, points: tuple[tuple[float, float, float], ...]) -> None:
        message = Path()
        for x, y, z in points:
            pose = PoseStamped()
            pose.pose.position.x, pose.pose.position.y, pose.pose.position.z = x, y, z
            message.poses.append(pose)
        self.path.publish(message)

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        self.context.shutdown()


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.close()


def test_a_flight_over_ros(tmp_path: FilePath, listener: Listener) -> None:
    with (
        node_process("ppo_robot.nodes.sim_flight", tmp_path, bundle=BUNDLE, plant="mujoco", seed=1) as robot,
        node_process("ppo_robot.nodes.flight", tmp_path, bundle=BUNDLE, autostart=True) as flight,
    ):
        listener.until(lambda: listener.counters.get("flight", {}).get("no_waypoint"), "an active node that waits")
        assert not listener.commands and "command_taken" not in listener.counters.get("sim_flight", {})
        listener.send(((9.0, 0.0, 1.0),))
        listener.until(lambda: listener.counters["flight"].get("waypoints_refused") == "1", "the refusal")
        listener.send(WAYPOINTS)
        for point in WAYPOINTS:
            near = lambda point=point: np.linalg.norm(listener.position - point) < NEAR  # noqa: E731
            listener.until(near, f"a robot at {point}")
        assert len(listener.commands[-1].data) == 4
        assert listener.commands[-1].layout.dim[0].label.startswith("sequence ")
        os.kill(flight.process.pid, signal.SIGINT)
        flight.process.wait(20.0)
        listener.until(lambda: listener.counters["sim_flight"].get("hovered_by_itself"), "hovering by itself")
        assert flight.end() == 0 and "outside the cage" in flight.output, flight.output
        assert robot.end() == 0, robot.output
    assert "left_cage" not in listener.counters["sim_flight"]


def test_a_policy_for_an_arm_is_refused(tmp_path: FilePath, listener: Listener) -> None:
    reach = share_directory() / "config" / "policies" / "reach"
    with node_process("ppo_robot.nodes.sim_flight", tmp_path, bundle=reach) as robot:
        assert robot.process.wait(30.0) == 2
        assert "arm6 with reach does not fly; use sim_robot" in robot.output
    with node_process("ppo_robot.nodes.flight", tmp_path, bundle=reach, autostart=True) as flight:
        until(lambda: "which does not fly; use the policy node" in flight.output, "the refusal")
        assert flight.end() == 0
