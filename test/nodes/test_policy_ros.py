"""The policy node as a process, against a robot that the test plays over real topics."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="needs rclpy: pip install 'ppo_robot[ros]'")

from geometry_msgs.msg import PoseStamped  # noqa: E402
from lifecycle_msgs.msg import Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState, GetState  # noqa: E402
from rclpy.context import Context  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402
from ros_harness import NodeProcess, domain, node_process, until  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402
from std_msgs.msg import Float64MultiArray, String  # noqa: E402
from trajectory_msgs.msg import JointTrajectory  # noqa: E402

from ppo_robot.nodes.middleware import join_ros  # noqa: E402
from ppo_robot.nodes.ros_support import COMMANDS, LATCHED, SENSORS, seconds  # noqa: E402
from ppo_robot.nodes.telemetry_rows import read_rows  # noqa: E402
from ppo_robot.paths import share_directory  # noqa: E402
from ppo_robot.policy.bundle import Bundle, load_bundle  # noqa: E402
from ppo_robot.telemetry.matrix import POLICY_TIMES  # noqa: E402

BUNDLE = share_directory() / "config" / "policies" / "reach"
MODULE = "ppo_robot.nodes.policy"


class Robot:
    """The test's side: publishes joint states in reverse order, listens to actions, makes transitions."""

    def __init__(self, bundle: Bundle) -> None:
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
        self.context = Context()
        join_ros([], self.context, domain())
        self.node = Node("test_robot", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.names = list(reversed(bundle.robot.joint_names)) + ["finger"]
        defaults = {joint.name: joint.default_position for joint in bundle.robot.joints}
        self.position = [defaults.get(name, 0.0) for name in self.names]
        self.states = self.node.create_publisher(JointState, "/joint_states", SENSORS)
        self.goal = self.node.create_publisher(PoseStamped, "goal_pose", COMMANDS)
        self.actions: list[JointTrajectory] = []
        self.telemetry: list[Float64MultiArray] = []
        self.sent: set[float] = set()
        self.node.create_subscription(JointTrajectory, "policy/action", self.actions.append, COMMANDS)
        self.node.create_subscription(Float64MultiArray, "policy/telemetry", self.telemetry.append, SENSORS)
        self.change = self.node.create_client(ChangeState, "policy/change_state")
        self.state = self.node.create_client(GetState, "policy/get_state")
        self.publishing = True

    def step(self) -> None:
        """Publish one state and let messages come in."""
        if self.publishing:
            message = JointState(name=self.names, position=self.position, velocity=[0.0] * len(self.names))
            message.header.stamp = self.node.get_clock().now().to_msg()
            self.sent.add(seconds(message.header.stamp))
            self.states.publish(message)
        self.executor.spin_once(timeout_sec=0.01)

    def until(self, condition: Callable[[], object], what: str) -> None:
        until(condition, what, self.step)

    def ask(self, client: Any, request: Any) -> Any:
        """Return the answer, or None where it was lost: DDS drops one to a client that the server has yet to find."""
        self.until(client.service_is_ready, "the service")
        future = client.call_async(request)
        limit = time.monotonic() + 10.0
        self.until(lambda: future.done() or time.monotonic() > limit, "the answer")
        return future.result() if future.done() else None

    def transition(self, number: int) -> bool:
        before = self.label()
        answer = self.ask(self.change, ChangeState.Request(transition=Transition(id=number)))
        return bool(answer.success) if answer is not None else self.label() != before

    def label(self) -> str:
        answers: list[Any] = []
        self.until(lambda: answers.append(self.ask(self.state, GetState.Request())) or answers[-1], "the state")
        return str(answers[-1].current_state.label)

    def send_goal(self, x: float, y: float, z: float) -> None:
        self.until(lambda: self.goal.get_subscription_count() == 1, "the policy to listen")
        message = PoseStamped()
        message.pose.position.x, message.pose.position.y, message.pose.position.z = x, y, z
        self.goal.publish(message)

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(BUNDLE)


@pytest.fixture
def robot(bundle: Bundle) -> Iterator[Robot]:
    made = Robot(bundle)
    yield made
    made.close()


@pytest.fixture
def policy(tmp_path: Path) -> Iterator[NodeProcess]:
    with node_process(MODULE, tmp_path, bundle=BUNDLE) as node:
        yield node


def activate(robot: Robot) -> None:
    assert robot.transition(Transition.TRANSITION_CONFIGURE)
    assert robot.transition(Transition.TRANSITION_ACTIVATE)


def test_actions_follow_states_and_carry_their_stamps(robot: Robot, policy: NodeProcess, bundle: Bundle) -> None:
    activate(robot)
    robot.send_goal(0.5, 0.1, 0.4)
    robot.until(lambda: len(robot.actions) >= 20 and len(robot.telemetry) >= 5, "actions")
    for action in robot.actions:
        assert action.joint_names == list(bundle.robot.joint_names)
        assert seconds(action.header.stamp) in robot.sent
        assert np.isfinite(action.points[0].positions).all()
    first = read_rows(robot.telemetry[0])
    assert first["sequence"].tolist() == list(range(1, 6))  # every tick of a tenth of a second
    assert first["observation"].shape == (5, bundle.runtime.observation_size)
    assert first["joint_target"][0].tolist() == list(robot.actions[0].points[0].positions)
    assert seconds(robot.actions[0].header.stamp) == first["state_stamp"][0]
    assert [action.header.frame_id for action in robot.actions[:5]] == ["1", "2", "3", "4", "5"]
    assert first["begun"].tolist() == [1.0, 0.0, 0.0, 0.0, 0.0]
    assert first["goal_position"].tolist() == [[0.5, 0.1, 0.4]] * 5
    used = dict(zip(bundle.robot.joint_names, first["joint_position"][0].tolist(), strict=True))
    assert used.items() <= dict(zip(robot.names, robot.position, strict=True)).items()
    moments = ("state_received", *POLICY_TIMES)
    assert (np.diff([first[name] for name in moments], axis=0) >= 0.0).all()
    assert (first["state_ros"] >= first["state_stamp"]).all()
    assert policy.end() == 0, policy.output


def test_silence_of_the_robot_silences_the_policy(robot: Robot, policy: NodeProcess) -> None:
    activate(robot)
    robot.send_goal(0.5, 0.1, 0.4)
    robot.until(lambda: len(robot.actions) >= 5, "actions")
    robot.publishing = False
    last = max(robot.sent)
    clock = robot.node.get_clock()
    robot.until(lambda: clock.now().nanoseconds * 1e-9 > last + 0.6, "the timeout to pass")
    count = len(robot.actions)
    robot.until(lambda: clock.now().nanoseconds * 1e-9 > last + 1.2, "some more time to pass")
    assert len(robot.actions) == count
    assert robot.label() == "active"
    robot.publishing = True
    robot.until(lambda: len(robot.actions) > count, "actions after the silence")


def test_an_invalid_transition_is_answered_and_kills_nothing(robot: Robot, policy: NodeProcess) -> None:
    assert not robot.transition(Transition.TRANSITION_ACTIVATE)
    assert not robot.transition(99)
    assert robot.label() == "unconfigured"
    assert robot.transition(Transition.TRANSITION_CONFIGURE)
    assert not robot.transition(Transition.TRANSITION_CONFIGURE)
    assert robot.label() == "inactive"
    assert "is not possible in state" in policy.output


def test_the_whole_life_of_the_node_can_be_repeated(robot: Robot, policy: NodeProcess) -> None:
    for _ in range(2):
        activate(robot)
        assert robot.transition(Transition.TRANSITION_DEACTIVATE)
        assert robot.transition(Transition.TRANSITION_CLEANUP)
    assert robot.label() == "unconfigured"


def test_without_a_robot_activation_fails_with_a_reason(robot: Robot, policy: NodeProcess) -> None:
    robot.publishing = False
    assert robot.transition(Transition.TRANSITION_CONFIGURE)
    assert not robot.transition(Transition.TRANSITION_ACTIVATE)
    assert robot.label() == "inactive"
    assert "no usable /joint_states" in policy.output


def test_another_robots_description_is_refused(robot: Robot, policy: NodeProcess) -> None:
    assert robot.transition(Transition.TRANSITION_CONFIGURE)
    description = robot.node.create_publisher(String, "/robot_description", LATCHED)
    description.publish(String(data="<robot name='other'><link name='base_link'/></robot>"))
    robot.until(lambda: description.get_subscription_count() >= 1, "the policy to listen")
    assert not robot.transition(Transition.TRANSITION_ACTIVATE)
    assert robot.label() == "inactive"
    assert "another robot" in policy.output


def test_a_second_publisher_stops_the_policy(robot: Robot, policy: NodeProcess) -> None:
    activate(robot)
    second = robot.node.create_publisher(JointState, "/joint_states", SENSORS)
    robot.until(lambda: robot.label() == "inactive", "the policy to stop")
    assert "2 publishers of /joint_states" in policy.output
    assert not robot.transition(Transition.TRANSITION_ACTIVATE)
    robot.node.destroy_publisher(second)


def test_a_goal_outside_the_workspace_or_in_another_frame_is_refused(robot: Robot, policy: NodeProcess) -> None:
    activate(robot)
    robot.send_goal(5.0, 0.0, 0.4)
    robot.until(lambda: "outside the workspace" in policy.output, "the refusal")
    assert not robot.actions


def test_a_bundle_that_is_none_fails_the_transition_and_names_the_reason(robot: Robot, tmp_path: Path) -> None:
    with node_process(MODULE, tmp_path, bundle=tmp_path) as node:
        assert not robot.transition(Transition.TRANSITION_CONFIGURE)
        assert robot.label() == "unconfigured"
        assert "manifest.json" in node.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_node_ends_cleanly_while_it_acts(robot: Robot, policy: NodeProcess, number: signal.Signals) -> None:
    activate(robot)
    robot.send_goal(0.5, 0.1, 0.4)
    robot.until(lambda: len(robot.actions) >= 3, "actions")
    policy.process.send_signal(number)
    assert policy.process.wait(30.0) == 0, policy.output
    assert "Traceback" not in policy.output


def test_it_starts_by_itself_where_it_is_told_to(robot: Robot, tmp_path: Path) -> None:
    with node_process(MODULE, tmp_path, bundle=BUNDLE, autostart=True, goal="[0.5, 0.1, 0.4]"):
        robot.until(lambda: len(robot.actions) >= 3, "actions")
