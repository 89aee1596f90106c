"""The sim_robot node as a process of its own, over real topics and services."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs rclpy: pip install 'ppo_robot[ros]'")

from rcl_interfaces.msg import ParameterType  # noqa: E402
from rcl_interfaces.srv import DescribeParameters  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile  # noqa: E402
from ros_harness import NodeProcess, node_process  # noqa: E402
from sim_listener import MODULE, Listener, stamps  # noqa: E402
from std_msgs.msg import Float64MultiArray, MultiArrayDimension, String  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint  # noqa: E402

from ppo_robot.nodes.ros_support import seconds  # noqa: E402
from ppo_robot.nodes.sim_core import SimRobotCore  # noqa: E402
from ppo_robot.spec.robot import load_robot  # noqa: E402
from ppo_robot.spec.task import load_task  # noqa: E402

ARM6 = load_robot("arm6")
NAMES = list(ARM6.joint_names)
SEED = 7


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.close()


@pytest.fixture(scope="module")
def robot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """One robot for all tests that leave it as they found it, at rest in a start pose."""
    with node_process(MODULE, tmp_path_factory.mktemp("sim"), seed=SEED) as process:
        yield process


def alive(process: NodeProcess) -> None:
    assert process.process.poll() is None, process.output


def test_it_publishes_in_alphabetical_order_at_its_rate(robot: NodeProcess, listener: Listener) -> None:
    listener.connect()
    listener.truth.clear()
    listener.states.clear()
    listener.until(lambda: len(listener.truth) >= 200 and listener.states, "two seconds of truth")
    assert {tuple(message.name) for message in listener.states} == {tuple(sorted(NAMES))}
    assert {tuple(message.name) for message in listener.truth} == {tuple(NAMES)}
    times = stamps(listener.truth)
    assert (np.diff(times) > 0.0).all()
    assert (len(times) - 1) / (times[-1] - times[0]) == pytest.approx(100.0, rel=0.05)
    assert (np.diff(stamps(listener.states)) > 0.0).all()
    assert {len(field) for m in listener.states for field in (m.position, m.velocity, m.effort)} == {6}
    alive(robot)


def test_a_late_joiner_receives_the_description(robot: NodeProcess, listener: Listener) -> None:
    listener.connect()
    heard: list[String] = []
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    listener.node.create_subscription(String, "/robot_description", heard.append, latched)
    listener.until(lambda: heard, "the description")
    assert heard[0].data == ARM6.description


def test_commands_of_both_controllers_move_it(robot: NodeProcess, listener: Listener) -> None:
    listener.connect()
    listener.command([0.2, -0.2, 0.3, 0.9, 0.1, -0.1])
    listener.await_position([0.2, -0.2, 0.3, 0.9, 0.1, -0.1])
    shuffled = sorted(NAMES)
    target = dict(zip(NAMES, [0.0, 0.1, 0.2, 0.8, 0.0, 0.3], strict=True))
    point = JointTrajectoryPoint(positions=[target[name] for name in shuffled])
    listener.trajectory.publish(JointTrajectory(joint_names=shuffled, points=[point]))
    listener.await_position(list(target.values()))
    listener.until(lambda: listener.diagnostics, "the counters")
    before = int(listener.diagnostics.get("refused/wrong_joints", 0))
    five = JointTrajectoryPoint(positions=[0.0] * 5)
    listener.trajectory.publish(JointTrajectory(joint_names=NAMES[:5], points=[five]))
    listener.until(lambda: int(listener.diagnostics.get("refused/wrong_joints", 0)) > before, "the refusal")
    listener.await_position(list(target.values()))
    assert listener.diagnostics["active/joint_trajectory_controller"] == "True"


def test_it_measures_how_long_a_state_takes_to_come_back_as_a_command(robot: NodeProcess, listener: Listener) -> None:
    listener.connect()
    heard: list[Float64MultiArray] = []
    listener.node.create_subscription(Float64MultiArray, "/sim_robot/response", heard.append, 10)
    nominal = load_task("reach").simulation.sensors.delay
    assert listener.set(state_latency=0.1)[0].successful
    begin = time.time()
    sent: dict[float, float] = {}

    def answered() -> bool:
        state = listener.states[-1]
        stamp, place = state.header.stamp, dict(zip(state.name, state.position, strict=True))
        if seconds(stamp) > begin and seconds(stamp) not in sent:  # before it the latency was another
            message = Float64MultiArray(data=[place[name] for name in NAMES])
            label = f"sequence {len(sent) + 1} state {stamp.sec}.{stamp.nanosec:09d}"
            message.layout.dim = [MultiArrayDimension(label=label, size=6, stride=6)]
            sent[seconds(stamp)] = time.time()
            listener.forward.publish(message)
        return sum(len(message.data) for message in heard) >= 20

    listener.until(answered, "ten samples")
    assert [dimension.label for dimension in heard[0].layout.dim] == ["sample", "state_stamp", "seconds"]
    samples = np.concatenate([message.data for message in heard]).reshape(-1, 2).tolist()
    assert [stamp for stamp, _ in samples] == sorted({stamp for stamp, _ in samples})
    for stamp, took in samples:
        assert took >= max(0.1, sent[stamp] - stamp) - 0.002  # two clocks were read one after the other
    listener.until(lambda: "response/p50_s" in listener.diagnostics, "the diagnostics")
    assert int(listener.diagnostics["response/count"]) >= 10
    assert float(listener.diagnostics["response/p99_s"]) >= float(listener.diagnostics["response/p50_s"]) >= 0.098
    assert listener.set(state_latency=nominal)[0].successful


def test_a_wrong_size_deactivates_until_the_controller_is_activated(robot: NodeProcess, listener: Listener) -> None:
    listener.connect()
    listener.command([0.1] * 6)
    listener.await_position([0.1] * 6)
    listener.command([0.0] * 5)
    listener.until(lambda: listener.diagnostics.get("active/forward_position_controller") == "False", "deactivation")
    before = int(listener.diagnostics.get("refused/inactive", 0))
    listener.command([0.0] * 6)
    listener.until(lambda: int(listener.diagnostics.get("refused/inactive", 0)) > before, "the refusal")
    listener.await_position([0.1] * 6)
    assert listener.call(Trigger, "/sim_robot/activate_controller", Trigger.Request()).success
    listener.command([0.0] * 6)
    listener.await_position([0.0] * 6)


def test_reset_answers_with_the_pose_that_it_holds(robot: NodeProcess, listener: Listener) -> None:
    core = SimRobotCore(ARM6, load_task("reach"), seed=SEED)
    series = [core.reset().tolist() for _ in range(10)]
    core.close()
    listener.connect()
    places = []
    for _ in range(2):
        response = listener.call(Trigger, "/sim_robot/reset", Trigger.Request())
        assert response.success
        answer = json.loads(response.message)
        pose = [answer["joint_position"][name] for name in NAMES]
        places.append(series.index(pose))
        assert len(answer["tool_position"]) == 3
        listener.truth.clear()
        listener.until(lambda: len(listener.truth) > 20, "the truth")
        listener.await_position(pose, 1e-3)
    assert places[1] == places[0] + 1


def test_faults_are_parameters_that_can_be_set_and_are_described(robot: NodeProcess, listener: Listener) -> None:
    listener.connect()
    assert listener.set(state_dropout=1.0)[0].successful
    listener.until(lambda: listener.states, "what is still under way")
    listener.truth.clear()
    listener.states.clear()
    listener.until(lambda: len(listener.truth) > 50, "half a second of truth")
    assert len(listener.states) <= 1
    assert listener.set(state_dropout=0.0)[0].successful
    listener.until(lambda: len(listener.states) > 2, "states again")
    refused = [*listener.set(state_dropout=1.5), *listener.set(frozen_joint="elbow")]
    assert [result.successful for result in refused] == [False, False]
    assert "did you mean 'elbow_joint'" in refused[1].reason
    names = ["position_noise", "state_latency", "payload", "stall", "state_rate"]
    request = DescribeParameters.Request(names=names)
    found = listener.call(DescribeParameters, "/sim_robot/describe_parameters", request).descriptors
    assert [descriptor.read_only for descriptor in found] == [False] * 4 + [True]
    assert all(descriptor.description and descriptor.type == ParameterType.PARAMETER_DOUBLE for descriptor in found)
    assert [range_.to_value for descriptor in found for range_ in descriptor.floating_point_range][:2] == [1.0, 0.5]


def test_a_stall_silences_it_once_and_the_robot_has_moved_on(robot: NodeProcess, listener: Listener) -> None:
    listener.connect()
    listener.command([0.0] * 6)
    listener.await_position([0.0] * 6)
    listener.states.clear()
    listener.truth.clear()
    assert listener.set(stall=0.5)[0].successful
    listener.until(lambda: len(listener.states) > 1 and np.diff(stamps(listener.states)).max() > 0.5, "the stall")
    count = len(listener.states)
    listener.until(lambda: len(listener.states) > count + 60, "states again")
    assert (np.diff(stamps(listener.states)) > 0.5).sum() == 1
    times = stamps(listener.truth)
    assert (len(times) - 1) / (times[-1] - times[0]) == pytest.approx(100.0, rel=0.1)  # none of the truth is missing
