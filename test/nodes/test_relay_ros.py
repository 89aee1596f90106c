"""The command relay as a process: the controller's own message, motion that ends, and never a real robot."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

rclpy = pytest.importorskip("rclpy", reason="needs rclpy: pip install 'ppo_robot[ros]'")

from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from rclpy.context import Context  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402
from ros_harness import NodeProcess, domain, node_process, until  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402
from std_msgs.msg import Float64MultiArray  # noqa: E402
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint  # noqa: E402

from ppo_robot.nodes.ros_support import COMMANDS, SENSORS  # noqa: E402
from ppo_robot.paths import share_directory  # noqa: E402
from ppo_robot.spec.robot import load_robot  # noqa: E402

BUNDLE = share_directory() / "config" / "policies" / "reach"
MODULE = "ppo_robot.nodes.relay"
JOINTS = load_robot("arm6").joint_names
ORDER = JOINTS[::-1]
TARGET = dict(zip(JOINTS, (0.1, 0.2, 0.3, 0.4, 0.5, 0.6), strict=True))
FORWARD, TRAJECTORY = "/arm/commands", "/arm/joint_trajectory"


class Sides:
    """The test plays the policy before the relay and the controller behind it."""

    def __init__(self) -> None:
        self.context = Context()
        rclpy.init(context=self.context, domain_id=domain())
        self.node = Node("test_sides", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.action = self.node.create_publisher(JointTrajectory, "policy/action", COMMANDS)
        self.states = self.node.create_publisher(JointState, "/joint_states", SENSORS)
        self.arrays: list[list[float]] = []
        self.trajectories: list[JointTrajectory] = []
        self.diagnostics: dict[str, str] = {}
        self.position: dict[str, float] | None = None
        self.node.create_subscription(Float64MultiArray, FORWARD, lambda m: self.arrays.append(list(m.data)), COMMANDS)
        self.node.create_subscription(JointTrajectory, TRAJECTORY, self.trajectories.append, COMMANDS)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self.diagnostics = {value.key: value.value for value in message.status[0].values}

    def step(self) -> None:
        if self.position is not None:
            message = JointState(name=list(self.position), position=list(self.position.values()))
            message.velocity = [0.0] * len(self.position)
            message.header.stamp = self.node.get_clock().now().to_msg()
            self.states.publish(message)
        self.executor.spin_once(timeout_sec=0.01)

    def until(self, condition: Callable[[], object], what: str) -> None:
        until(condition, what, self.step)

    def connected(self, relay: NodeProcess) -> None:
        def matched() -> bool:
            assert relay.process.poll() is None, relay.output
            commands = self.node.count_publishers(FORWARD) + self.node.count_publishers(TRAJECTORY)
            return self.action.get_subscription_count() == 1 and commands == 1

        self.until(matched, "the relay")

    def act(self, target: dict[str, float]) -> None:
        message = JointTrajectory(joint_names=list(target))
        message.points = [JointTrajectoryPoint(positions=list(target.values()))]
        message.header.stamp = self.node.get_clock().now().to_msg()
        self.action.publish(message)

    def close(self) -> None:
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture(autouse=True)
def on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")


@pytest.fixture
def sides() -> Iterator[Sides]:
    made = Sides()
    yield made
    made.close()


@pytest.fixture
def relay(tmp_path: Path, sides: Sides) -> Iterator[Callable[..., NodeProcess]]:
    """Start a relay for a controller and wait until it is connected."""
    started: list[NodeProcess] = []

    def start(**controller: object) -> NodeProcess:
        path = tmp_path / "deploy.yaml"
        path.write_text(yaml.safe_dump({"controller": {"name": "arm", "joints": list(ORDER), **controller}}))
        parameters = {"bundle": BUNDLE, "deployment": path, "simulated": True}
        started.append(NodeProcess(MODULE, tmp_path, parameters))
        sides.connected(started[-1])
        return started[-1]

    yield start
    for process in started:
        process.end()


def test_it_refuses_a_robot_that_is_not_said_to_be_simulated(tmp_path: Path) -> None:
    with node_process(MODULE, tmp_path, bundle=BUNDLE) as node:
        assert node.process.wait(60) == 2
        assert "until the safety node exists, deploy runs against the simulated robot only" in node.output
        assert "Traceback" not in node.output


def test_it_refuses_joints_that_the_policy_lacks(tmp_path: Path) -> None:
    path = tmp_path / "deploy.yaml"
    path.write_text(yaml.safe_dump({"controller": {"name": "arm", "joints": [*ORDER, "finger"]}}))
    with node_process(MODULE, tmp_path, bundle=BUNDLE, deployment=path, simulated=True) as node:
        assert node.process.wait(60) == 2
        assert "finger: unknown" in node.output


def test_a_forward_controller_gets_its_own_order_whatever_the_actions(sides: Sides, relay) -> None:
    relay()
    sides.act(TARGET)
    sides.until(lambda: sides.arrays, "a command")
    assert sides.arrays == [[TARGET[name] for name in ORDER]]
    sides.act({name: TARGET[name] for name in sorted(TARGET)})
    sides.until(lambda: len(sides.arrays) == 2, "a command")
    assert sides.arrays[1] == sides.arrays[0]


def test_an_action_that_does_not_fit_is_counted_and_not_passed_on(sides: Sides, relay) -> None:
    process = relay()
    sides.act({name: 0.0 for name in JOINTS[:-1]})
    sides.until(lambda: sides.diagnostics.get("refused") == "1", "the count")
    assert f"{JOINTS[-1]}: missing" in process.output
    sides.act({**TARGET, JOINTS[0]: float("nan")})
    sides.until(lambda: sides.diagnostics.get("refused") == "2", "the count")
    assert sides.arrays == []
    assert sides.diagnostics["listeners"] == "1"
    assert process.end() == 0


def test_a_trajectory_controller_gets_one_point_by_name(sides: Sides, relay) -> None:
    relay(type="joint_trajectory_controller")
    sides.act(TARGET)
    sides.until(lambda: sides.trajectories, "a command")
    (message,) = sides.trajectories
    (point,) = message.points
    assert dict(zip(message.joint_names, point.positions, strict=True)) == TARGET
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (0, 0)  # begin now
    assert (point.time_from_start.sec, point.time_from_start.nanosec) == (0, 20_000_000)
    assert len(point.velocities) == 0


def test_velocities_end_when_actions_cease_and_when_the_relay_does(sides: Sides, relay) -> None:
    process = relay(interface="velocity")
    sides.act(dict.fromkeys(JOINTS, 0.0))
    sides.until(lambda: len(sides.arrays) == 1, "the first command")
    sides.act(dict.fromkeys(JOINTS, 0.01))
    sides.until(lambda: len(sides.arrays) >= 2, "the second command")
    np.testing.assert_allclose(sides.arrays[1], [0.5] * 6)
    sides.until(lambda: sides.arrays[-1] == [0.0] * 6, "the end of motion")
    sides.until(lambda: "action_timeout" in sides.diagnostics, "the count")
    sides.act(dict.fromkeys(JOINTS, 0.02))
    sides.until(lambda: sides.arrays[-1] != [0.0] * 6, "motion")
    assert process.end() == 0
    sides.until(lambda: sides.arrays[-1] == [0.0] * 6, "the end of motion")


def test_efforts_follow_the_state_and_end_with_it(sides: Sides, relay) -> None:
    process = relay(interface="effort", gains={name: {"proportional": 10.0, "derivative": 1.0} for name in JOINTS})
    sides.act(TARGET)
    sides.until(lambda: sides.arrays == [[0.0] * 6], "no effort without a state")
    sides.position = dict.fromkeys(JOINTS, 0.0)
    sides.until(lambda: sides.states.get_subscription_count() == 1, "the relay's subscription")
    sides.arrays.clear()
    sides.until(lambda: sides.act(TARGET) or len(sides.arrays) > 20, "the loop at the state's rate")
    np.testing.assert_allclose(sides.arrays[-1], [10.0 * TARGET[name] for name in ORDER])
    sides.position = None
    sides.until(lambda: sides.arrays[-1] == [0.0] * 6, "the end of effort")
    assert "commanding zero" in process.output


@pytest.mark.parametrize("name", ["controller_manager", "arm"])
def test_it_ends_when_a_real_controller_appears(sides: Sides, relay, name: str) -> None:
    process = relay()
    real = Node(name, context=sides.context)
    try:
        sides.until(lambda: process.process.poll() is not None, "the end of the relay")
    finally:
        real.destroy_node()
    assert process.process.returncode == 2
    assert f"a node '{name}' runs here, so the robot is real" in process.output


def test_another_publisher_to_the_controller_is_reported(sides: Sides, relay) -> None:
    process = relay()
    other = sides.node.create_publisher(Float64MultiArray, FORWARD, COMMANDS)
    sides.until(lambda: sides.diagnostics.get("other_publishers") == "1", "the count")
    sides.node.destroy_publisher(other)
    assert "obeys whoever spoke last" in process.output
