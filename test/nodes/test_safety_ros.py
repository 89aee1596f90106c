"""The safety node as a process: what reaches the controller, when it stops, and that it always can."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

rclpy = pytest.importorskip("rclpy", reason="needs rclpy: pip install 'ppo_robot[ros]'")

from builtin_interfaces.msg import Time  # noqa: E402
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
from rclpy.context import Context  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402
from ros_harness import NodeProcess, domain, node_process, ros_environment, until  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402
from std_msgs.msg import Float64MultiArray, MultiArrayDimension  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint  # noqa: E402

from ppo_robot.nodes.middleware import join_ros  # noqa: E402
from ppo_robot.nodes.ros_support import COMMANDS, EVENTS, LATCHED, SENSORS, TELEMETRY, seconds  # noqa: E402
from ppo_robot.nodes.telemetry_rows import read_rows  # noqa: E402
from ppo_robot.nodes.timing import DeadlineLoop  # noqa: E402
from ppo_robot.paths import share_directory  # noqa: E402
from ppo_robot.policy.bundle import load_bundle  # noqa: E402
from ppo_robot.safety.reasons import Cause, State  # noqa: E402
from ppo_robot.spec.robot import load_robot  # noqa: E402
from ppo_robot.telemetry.matrix import Kind  # noqa: E402

BUNDLE = share_directory() / "config" / "policies" / "reach"
MODULE = "ppo_robot.nodes.safety"
ROBOT = load_robot("arm6")
JOINTS = ROBOT.joint_names
ORDER = JOINTS[::-1]
HOME = {joint.name: joint.default_position for joint in ROBOT.joints}
FORWARD, TRAJECTORY = "/arm/commands", "/arm/joint_trajectory"
RATE = 200.0


class Sides:
    """The test plays the policy before the safety node and, in threads of their own, the robot behind it."""

    def __init__(self) -> None:
        self.context = Context()
        join_ros([], self.context, domain())
        self.node = Node("test_sides", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.action = self.node.create_publisher(JointTrajectory, "policy/action", COMMANDS)
        self.states = self.node.create_publisher(JointState, "/joint_states", SENSORS)
        self.position = dict(HOME)
        self.velocity = dict.fromkeys(JOINTS, 0.0)
        self.target: dict[str, float] | None = None
        self.publishing = True
        self.sent: list[tuple[float, list[float]]] = []
        self.labels: list[str] = []
        self.rows: list[Float64MultiArray] = []
        self.asked = 0
        self.trajectories: list[JointTrajectory] = []
        self.events: list[str] = []
        self.diagnostics: dict[str, str] = {}
        self.state = ""
        self.cause = ""
        self.node.create_subscription(Float64MultiArray, FORWARD, self._on_command, EVENTS)
        self.node.create_subscription(JointTrajectory, TRAJECTORY, self.trajectories.append, COMMANDS)
        self.node.create_subscription(Float64MultiArray, "safety/telemetry", self.rows.append, TELEMETRY)
        self.node.create_subscription(DiagnosticStatus, "safety/state", self._on_state, LATCHED)
        self.node.create_subscription(DiagnosticStatus, "safety/events", self._on_event, EVENTS)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self.clients = {name: self.node.create_client(Trigger, f"safety/{name}") for name in ("arm", "stop", "reset")}
        self.loops = [DeadlineLoop(0.01, self._play_robot), DeadlineLoop(0.02, self._play_policy)]
        for loop in self.loops:
            loop.start()

    def _on_command(self, message: Float64MultiArray) -> None:
        self.sent.append((time.monotonic(), list(message.data)))
        self.labels.append("".join(dimension.label for dimension in message.layout.dim))
        if len(message.data) == len(ORDER) and self.interface == "position":
            self.position = dict(zip(ORDER, message.data, strict=True))

    interface = "position"

    def _on_state(self, message: DiagnosticStatus) -> None:
        self.state = message.message
        self.cause = {value.key: value.value for value in message.values}["cause"]

    def _on_event(self, message: DiagnosticStatus) -> None:
        self.events.append(message.message)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == "safety":
                self.diagnostics = {value.key: value.value for value in status.values}

    def _play_robot(self) -> None:
        if self.publishing:
            self.states.publish(self.joint_state())

    def joint_state(self) -> JointState:
        message = JointState(name=list(JOINTS))
        message.position = [self.position[name] for name in JOINTS]
        message.velocity = [self.velocity[name] for name in JOINTS]
        message.effort = [0.0] * len(JOINTS)
        message.header.stamp = self.node.get_clock().now().to_msg()
        return message

    def _play_policy(self) -> None:
        if self.target is not None:
            self.asked += 1
            self.action.publish(self.make_action(self.target, str(self.asked)))

    def make_action(self, target: dict[str, float], frame: str = "") -> JointTrajectory:
        message = JointTrajectory(joint_names=list(target))
        message.points = [JointTrajectoryPoint(positions=list(target.values()))]
        message.header.frame_id = frame
        message.header.stamp = self.node.get_clock().now().to_msg()
        return message

    def step(self) -> None:
        self.executor.spin_once(timeout_sec=0.01)

    def until(self, condition: Callable[[], object], what: str) -> None:
        until(condition, what, self.step)

    def until_state(self, *states: str) -> None:
        self.until(lambda: self.state in states, f"the state {' or '.join(states)}, not {self.state} {self.cause}")

    def ask(self, what: str) -> Any:
        """Return the answer of a service; asked again where it was lost."""
        client = self.clients[what]
        self.until(client.service_is_ready, what)
        while True:
            future = client.call_async(Trigger.Request())
            limit = time.monotonic() + 2.0
            while not future.done() and time.monotonic() < limit:
                self.step()
            if future.done():
                return future.result()

    def hearing(self) -> None:
        """Stop and reset until an event of it was heard: who is found late by the middleware misses the first."""
        while not self.events:
            assert self.ask("stop").success
            self.until(lambda: self.ask("reset").success, "the reset")
        self.until(lambda: self.events[-1] == self.state == "disarmed", "the last event")
        self.events.clear()

    def events_since_reset(self) -> list[str]:
        """Return the events since the last reset; those of resets before it may come after `hearing` is done."""
        resets = [place for place, event in enumerate(self.events, start=1) if event == "disarmed"]
        return self.events[resets[-1] if resets else 0 :]

    def armed(self) -> None:
        self.until(lambda: self.ask("arm").success, "arming")

    def moving(self) -> None:
        """Arm, follow the policy home, then set out for a far target; return in full motion."""
        self.target = dict(HOME)
        self.armed()
        self.until_state("active")
        self.target = {name: HOME[name] + 0.8 for name in JOINTS}
        self.until(lambda: max(abs(self.position[name] - HOME[name]) for name in JOINTS) > 0.2, "motion")

    def close(self) -> None:
        for loop in self.loops:
            loop.stop()
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
def safety(tmp_path: Path, sides: Sides) -> Iterator[Callable[..., NodeProcess]]:
    """Start a safety node for a controller and wait until it is connected."""
    started: list[NodeProcess] = []

    def start(limits: dict[str, object] | None = None, **controller: object) -> NodeProcess:
        path = tmp_path / "deploy.yaml"
        # A busy machine makes cycles late; what that does is tested with the clocks turned by hand.
        spec = {"rate": RATE, "hold_timeout": 1.0, "cycle_timeout": 0.5, **(limits or {})}
        path.write_text(
            yaml.safe_dump({"safety": spec, "controller": {"name": "arm", "joints": list(ORDER), **controller}})
        )
        sides.interface = str(controller.get("interface", "position"))
        started.append(NodeProcess(MODULE, tmp_path, {"bundle": BUNDLE, "deployment": path}))
        sides.until(lambda: sides.state == "disarmed" and sides.action.get_subscription_count() == 1, "the safety node")
        return started[-1]

    yield start
    for process in started:
        process.end()


def differences(sent: list[tuple[float, list[float]]]) -> np.ndarray:
    """Return the accelerations (T - 2, J) that setpoints, one each period, amount to."""
    return np.diff([row for _, row in sent], n=2, axis=0) * RATE**2


def test_disarmed_it_sends_nothing_whatever_the_policy_asks(sides: Sides, safety) -> None:
    safety()
    sides.target = dict(HOME)
    sides.until(lambda: sides.diagnostics.get("action/accepted", "0") > "3", "actions")
    assert sides.sent == []


def test_armed_it_leads_there_inside_the_limits_in_the_controllers_order(sides: Sides, safety) -> None:
    process = safety()
    sides.hearing()
    sides.armed()
    sides.until_state("holding")  # before the policy acts: an action in the very first cycle would skip that state
    sides.target = {name: HOME[name] + 0.1 * (place + 1) for place, name in enumerate(JOINTS)}
    sides.until_state("active")
    wanted = list(sides.target.values())
    sides.until(lambda: np.allclose([sides.position[name] for name in JOINTS], wanted, atol=1e-3), "the target")
    limit = np.array([{joint.name: joint.acceleration_limit for joint in ROBOT.joints}[name] for name in ORDER])
    assert (np.abs(differences(sides.sent)) <= limit * (1.0 + 1e-6)).all()
    assert sides.sent[0][1] == pytest.approx([HOME[name] for name in ORDER], abs=1e-3)  # from where it was: no jump
    assert sides.events_since_reset() == ["holding", "blending", "active"]
    assert process.end() == 0


def test_every_command_has_its_row_and_names_the_action_that_it_follows(sides: Sides, safety) -> None:
    process = safety()
    sides.target = {name: HOME[name] + 0.1 for name in JOINTS}
    sides.armed()
    sides.until(lambda: len(sides.sent) >= 100, "commands")
    assert process.end() == 0
    stopped = float(list(State).index(State.STOPPED))
    sides.until(lambda: sides.rows and read_rows(sides.rows[-1])["state"][-1] == stopped, "the last rows")
    parts = [read_rows(message) for message in sides.rows]
    rows = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    assert {Kind.CYCLE, Kind.STATE, Kind.ACTION, Kind.ARM, Kind.STOP} <= set(rows["kind"].tolist())
    assert list(Cause)[int(rows["cause"][-1]) - 1] is Cause.SHUTDOWN
    sent = ~np.isnan(rows["published"])
    assert (rows["now"][sent] <= rows["checked"][sent]).all()
    assert (rows["checked"][sent] <= rows["published"][sent]).all()
    assert sides.labels[-1]
    written = zip(rows["position"][sent], rows["sequence"][sent], rows["stamp"][sent], strict=True)
    known = {(*position[::-1].tolist(), sequence, stamp) for position, sequence, stamp in written}
    for (_, position), label in zip(sides.sent, sides.labels, strict=True):
        _, sequence, _, stamp = (label or "sequence 0 state 0.0").split()  # the first may come before any action
        second, nanosecond = map(int, stamp.split("."))
        assert (*position, float(sequence), seconds(Time(sec=second, nanosec=nanosecond))) in known


def test_a_stop_is_latched_until_a_reset_and_arms_nothing_by_itself(sides: Sides, safety) -> None:
    safety()
    sides.moving()
    assert sides.ask("stop").success
    sides.until_state("stopped")
    assert sides.cause == "requested"
    refused = sides.ask("arm")
    assert (refused.success, refused.message) == (False, "state is stopped; expected disarmed")
    assert sides.ask("reset").success
    sides.until_state("disarmed")
    sides.sent.clear()
    sides.until(lambda: int(sides.diagnostics.get("state/disarmed", 0)) >= 1, "the count")
    assert sides.sent == []
    sides.armed()
    sides.until_state("active", "blending")


def break_state(sides: Sides) -> None:
    sides.publishing = False


def break_policy(sides: Sides) -> None:
    sides.target = None


def poison_policy(sides: Sides) -> None:
    assert sides.target is not None
    sides.target = {**sides.target, JOINTS[2]: math.nan}


def break_tracking(sides: Sides) -> None:
    sides.interface = "stuck"


@pytest.mark.parametrize(
    ("break_it", "cause"),
    [
        (break_state, "state_lost"),
        (break_policy, "policy_lost"),
        (poison_policy, "policy_lost"),
        (break_tracking, "tracking"),
    ],
)
def test_what_fails_in_full_motion_ends_in_a_stop_inside_the_limits(sides: Sides, safety, break_it, cause: str) -> None:
    safety()
    sides.moving()
    break_it(sides)
    sides.until_state("stopped")
    assert sides.cause == cause
    sides.until(lambda: len(sides.sent) > 3 and sides.sent[-1][1] == sides.sent[-3][1], "a stand")
    limit = np.array([{joint.name: joint.acceleration_limit for joint in ROBOT.joints}[name] for name in ORDER])
    assert np.isfinite([row for _, row in sides.sent]).all()
    assert (np.abs(differences(sides.sent)) <= limit * (1.0 + 1e-6)).all()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_when_told_to_end_it_stops_the_robot_first(sides: Sides, safety, number: int) -> None:
    process = safety()
    sides.moving()
    process.process.send_signal(number)
    sides.until(lambda: process.process.poll() is not None, "its end")
    for _ in range(20):
        sides.step()
    assert process.process.returncode == 0, process.output
    speed = np.diff([row for _, row in sides.sent], axis=0) * RATE
    assert np.abs(speed[: -len(speed) // 2]).max() > 0.3
    assert np.abs(speed[-1]).max() < 1e-9
    limit = np.array([{joint.name: joint.acceleration_limit for joint in ROBOT.joints}[name] for name in ORDER])
    assert (np.abs(differences(sides.sent)) <= limit * (1.0 + 1e-6)).all()


# Its own process: to make a publisher holds this one up, which plays the robot, now and then for more than 0.1 s.
SECOND_POLICY = """
import sys, rclpy
from ppo_robot.nodes.middleware import join_ros
from trajectory_msgs.msg import JointTrajectory
join_ros([])
other = rclpy.create_node("other").create_publisher(JointTrajectory, "policy/action", 1)
sys.stdin.readline()
rclpy.shutdown()
"""


def test_a_second_policy_stops_the_robot(sides: Sides, safety) -> None:
    safety()
    sides.moving()
    other = subprocess.Popen([sys.executable, "-c", SECOND_POLICY], stdin=subprocess.PIPE, env=ros_environment())
    sides.until_state("stopped")
    assert sides.cause == "second_publisher"
    assert "more than one publisher of /policy/action" in sides.ask("reset").message
    assert "publishers of /policy/action" in sides.ask("arm").message
    other.communicate(b"\n", timeout=30.0)
    sides.until(lambda: sides.ask("reset").success, "the reset")
    sides.armed()


def seen(sequence: int, observation: float, size: int) -> Float64MultiArray:
    """Return the telemetry of a policy all of whose observation is one number."""
    columns = {"tick": 1, "sequence": 1, "observation": size}
    message = Float64MultiArray(data=[float(sequence), *([observation] * size)])
    message.layout.dim = [MultiArrayDimension(label=label, size=size) for label, size in columns.items()]
    return message


def test_a_policy_that_sees_what_it_was_not_trained_on_is_stopped_and_nonsense_is_not_believed(
    sides: Sides, safety
) -> None:
    safety()
    size = load_bundle(BUNDLE).runtime.observation_size
    telemetry = sides.node.create_publisher(Float64MultiArray, "policy/telemetry", TELEMETRY)
    sides.moving()
    sides.until(lambda: telemetry.get_subscription_count() == 1, "the listener")
    nonsense = seen(1, 1.0, size)
    nonsense.data = nonsense.data[:-1]
    for message in (Float64MultiArray(), nonsense, seen(2, 0.0, size)):
        telemetry.publish(message)
    sides.target = dict(HOME)
    sides.until(lambda: int(sides.diagnostics.get("novel", -1)) == 0, "a count")
    assert (sides.state, sides.cause) == ("active", "")

    def repeat() -> bool:
        telemetry.publish(seen(3, 1e3, size))
        return sides.state == "stopped"

    sides.until(repeat, "the stop")
    assert sides.cause == "not_trained_for"


def test_velocities_are_the_setpoints_own_and_end(sides: Sides, safety) -> None:
    process = safety(interface="velocity")
    sides.target = dict(HOME)
    sides.armed()
    sides.until(lambda: len(sides.sent) > 20, "commands")
    sides.target = {name: HOME[name] + 0.1 for name in JOINTS}
    sides.until(lambda: max(sides.sent[-1][1]) > 0.05, "motion")
    assert process.end() == 0
    sides.until(lambda: sides.sent[-1][1] == [0.0] * 6, "the end of motion")


def test_a_trajectory_controller_gets_one_point_by_name(sides: Sides, safety) -> None:
    safety(type="joint_trajectory_controller")
    sides.target = dict(HOME)
    sides.armed()
    sides.until(lambda: sides.trajectories and sides.trajectories[-1].header.frame_id, "a command after an action")
    (point,) = sides.trajectories[-1].points
    assert list(sides.trajectories[-1].joint_names) == list(ORDER)
    assert point.positions == pytest.approx([HOME[name] for name in ORDER], abs=1e-3)
    assert (point.time_from_start.sec, point.time_from_start.nanosec) == (0, round(1e9 / RATE))
    assert (sides.trajectories[-1].header.stamp.sec, len(point.velocities)) == (0, 0)  # begin now
    assert sides.trajectories[-1].header.frame_id.startswith("sequence ")


@pytest.mark.parametrize(
    ("deployment", "message"),
    [
        ({"controller": {"name": "arm", "joints": [*ORDER, "finger"]}}, "finger: unknown"),
        ({"controller": {"name": "arm", "joints": list(ORDER)}, "safety": {"velocity_scale": 1.5}}, "velocity_scale"),
        (
            {
                "controller": {"name": "arm", "joints": list(ORDER)},
                "safety": {"joints": {JOINTS[0]: {"velocity_limit": 99.0}}},
            },
            "a deployment may tighten a limit, never loosen it",
        ),
    ],
)
def test_a_deployment_that_does_not_fit_is_refused_in_one_line(tmp_path: Path, deployment, message: str) -> None:
    path = tmp_path / "deploy.yaml"
    path.write_text(yaml.safe_dump(deployment))
    with node_process(MODULE, tmp_path, bundle=BUNDLE, deployment=path) as node:
        assert node.process.wait(60) == 2
        assert message in node.output
        assert "Traceback" not in node.output
