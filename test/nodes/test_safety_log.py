"""Tests for ppo_robot.nodes.safety_log: an envelope that is fed with its rows does the same again, bit for bit."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs rclpy: pip install 'ppo_robot[ros]'")

from builtin_interfaces.msg import Time  # noqa: E402
from rclpy.serialization import deserialize_message  # noqa: E402
from std_msgs.msg import Float64MultiArray  # noqa: E402

from ppo_robot.joint_input import JointMessage  # noqa: E402
from ppo_robot.nodes.commands import Command  # noqa: E402
from ppo_robot.nodes.safety_log import ROWS, LoggedEnvelope  # noqa: E402
from ppo_robot.nodes.safety_messages import ControllerMessage, sequence_of  # noqa: E402
from ppo_robot.nodes.telemetry_rows import read_rows  # noqa: E402
from ppo_robot.safety.actions import Action  # noqa: E402
from ppo_robot.safety.body import LinkBody  # noqa: E402
from ppo_robot.safety.envelope import Envelope, Verdict  # noqa: E402
from ppo_robot.safety.limits import make_limits  # noqa: E402
from ppo_robot.safety.novelty import Novelty  # noqa: E402
from ppo_robot.safety.reasons import Cause, State  # noqa: E402
from ppo_robot.spec.deployment import ControllerSpec  # noqa: E402
from ppo_robot.spec.robot import load_robot  # noqa: E402
from ppo_robot.spec.safety import SafetySpec  # noqa: E402
from ppo_robot.telemetry.matrix import SAFETY_ARRAYS, SAFETY_SCALARS, Kind  # noqa: E402

ROBOT = load_robot("arm6")
JOINTS = ROBOT.joint_names
HOME = np.array([joint.default_position for joint in ROBOT.joints])
SPEC = dataclasses.replace(SafetySpec(), tilt_limit=0.5)
CONTROL_PERIOD = 0.02
EPOCH = 1.7e9
SEEN = np.array([[0.0], [9.0]])


def make_envelope() -> Envelope:
    body = LinkBody(ROBOT, True)
    return Envelope(make_limits(ROBOT, SPEC), SPEC, CONTROL_PERIOD, body, Novelty(["a"], [-1.0], [1.0], 0.0))


class Run:
    """A robot that follows, a policy that wanders, and the rows of it all."""

    def __init__(self) -> None:
        self.now = 100.0
        self.messages: list[bytes] = []
        self.envelope = make_envelope()
        self.logged = LoggedEnvelope(self.envelope, lambda: self.now, lambda: EPOCH + self.now, self.messages.append)
        self.random = np.random.default_rng(5)
        self.target, self.measured = HOME.copy(), HOME.copy()
        self.verdicts: list[Verdict] = []
        self.actions = 0
        self.cycles = 0

    def send(self, verdict: Verdict, now: float) -> bool:
        assert now == self.now
        return verdict.setpoint is not None

    def go(self, cycles: int, acting: bool = True, size: float = 0.02) -> None:
        """Run cycles with a state every second and an action every fifth, whose steps are of this size in rad."""
        for _ in range(cycles):
            self.now += self.envelope.period
            self.cycles += 1
            if self.cycles % 2 == 0:
                measured = (*self.measured, 0.0)
                names = (*JOINTS, "finger")
                message = JointMessage(names, measured, (), self.random.normal(size=7).tolist(), EPOCH + self.now)
                assert self.logged.take_state(message) is None
                self.logged.take_tilt(0.1)
            if acting and self.cycles % 5 == 0:
                self.actions += 1
                self.target = np.clip(self.target + self.random.normal(0.0, size, len(JOINTS)), HOME - 1.0, HOME + 1.0)
                action = Action(JOINTS[::-1], self.target[::-1].tolist(), EPOCH + self.now - 0.001)
                assert self.logged.take_action(action, self.actions) is None
                assert self.logged.take_action(action, self.actions + 1) is not None  # the same stamp: no row
            verdict = self.logged.cycle(self.send)
            self.verdicts.append(verdict)
            if verdict.setpoint is not None:
                self.measured = np.array(verdict.setpoint.position)

    def columns(self) -> dict[str, np.ndarray]:
        """Return every row so far."""
        self.logged.flush()
        parts = [read_rows(deserialize_message(message, Float64MultiArray)) for message in self.messages]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@pytest.fixture(scope="module")
def run() -> Run:
    """Return a run with every kind of row, and every state but one that is left at once."""
    run = Run()
    run.logged.arm()  # refused: there is no state yet
    run.go(10, acting=False)
    run.logged.arm()
    run.go(100, size=0.0)
    run.go(300)
    run.go(60, acting=False)  # the policy falls silent: held
    run.go(60)
    run.logged.take_publishers(1, "policy/action", 2)
    run.go(200)
    run.logged.reset()  # refused: there still are two
    run.logged.take_publishers(0, "/joint_states", 1)
    run.logged.reset()  # and still
    run.logged.take_publishers(1, "policy/action", 1)
    run.logged.reset()
    run.go(5)
    run.logged.arm()
    run.go(100)
    run.logged.take_observations(SEEN[:1], 7)
    run.go(5)
    run.logged.take_observations(SEEN[1:], 8)
    run.now += 1.0  # nothing came for a second, and no cycle
    run.go(200)
    run.logged.reset()
    run.logged.arm()
    run.go(50)
    run.logged.disarm()
    run.go(150)
    run.logged.stop(Cause.SHUTDOWN, "the process was told to end")
    return run


def replay(columns: dict[str, np.ndarray]) -> list[Verdict]:
    """Feed the rows into a fresh envelope and return what its cycles decide."""
    envelope, verdicts, seen = make_envelope(), [], iter(SEEN)
    for row in range(len(columns["kind"])):
        now, ros_now = float(columns["now"][row]), float(columns["ros_now"][row])
        value, stamp = float(columns["value"][row]), float(columns["stamp"][row])
        position, velocity, effort = (columns[name][row].tolist() for name in SAFETY_ARRAYS[:3])
        match Kind(int(columns["kind"][row])):
            case Kind.CYCLE:
                verdicts.append(envelope.cycle(ros_now, now))
            case Kind.STATE:
                message = JointMessage(JOINTS, position, velocity, effort, stamp)
                assert envelope.take_state(message, ros_now, now) is None
            case Kind.ACTION:
                assert envelope.take_action(Action(JOINTS, position, stamp), ros_now, now) is None
            case Kind.ARM:
                envelope.arm(now)
            case Kind.STOP:
                envelope.stop(list(Cause)[int(columns["cause"][row]) - 1], "", now)
            case Kind.RESET:
                envelope.reset(now)
            case Kind.DISARM:
                envelope.disarm(now)
            case Kind.TILT:
                envelope.take_tilt(value, now)
            case Kind.PUBLISHERS:
                envelope.take_publishers(str(columns["sequence"][row]), int(value), now)
            case Kind.OBSERVATION:
                envelope.take_observations(np.array([next(seen)]), now)
    return verdicts


def test_a_replay_of_the_rows_gives_every_cycle_again_bit_for_bit(run: Run) -> None:
    columns = run.columns()
    assert set(columns["kind"].tolist()) == {float(kind) for kind in Kind}
    again = replay(columns)
    assert len(again) == len(run.verdicts) == run.cycles
    assert {verdict.state for verdict in again} == set(State)
    cycles = {name: values[columns["kind"] == Kind.CYCLE] for name, values in columns.items()}
    for row, (first, second) in enumerate(zip(run.verdicts, again, strict=True)):
        assert first._replace(detail="") == second._replace(detail="")
        assert list(State)[int(cycles["state"][row])] is second.state
        assert ([None, *Cause][int(cycles["cause"][row])]) is second.cause
        assert cycles["changed"][row] == second.changed
        assert cycles["limits"][row].tolist() == list(second.limits)
        sent = second.setpoint
        for name in ("position", "velocity", "acceleration"):
            expected = [math.nan] * len(JOINTS) if sent is None else getattr(sent, name)
            np.testing.assert_array_equal(cycles[name][row], expected)
        assert np.isnan(cycles["published"][row]) == (sent is None)
        assert sent is None or cycles["checked"][row] <= cycles["published"][row]
    asked = columns["cause"][columns["kind"] == Kind.STOP].tolist()
    assert [[None, *Cause][int(cause)] for cause in asked] == [Cause.SHUTDOWN]
    causes = {verdict.cause for verdict in again}
    assert {None, Cause.SECOND_PUBLISHER, Cause.REQUESTED, Cause.NOT_TRAINED_FOR} <= causes
    assert any(any(verdict.limits) for verdict in again)


def test_rows_name_the_action_that_a_cycle_followed(run: Run) -> None:
    columns = run.columns()
    assert tuple(columns) == SAFETY_SCALARS + SAFETY_ARRAYS
    newest = (0.0, 0.0)
    taken = []
    for kind, sequence, stamp in zip(columns["kind"], columns["sequence"], columns["stamp"], strict=True):
        if kind == Kind.ACTION:
            newest = (sequence, stamp)
            taken.append(sequence)
        elif kind == Kind.CYCLE:
            assert (sequence, stamp) == newest
    assert taken == list(range(1, run.actions + 1))  # none of the refused ones
    states = columns["kind"] == Kind.STATE
    assert len(np.unique(columns["stamp"][states])) == states.sum() == run.cycles // 2


def test_no_row_is_lost_where_more_come_than_a_message_holds() -> None:
    run = Run()
    for _ in range(ROWS + 3):
        run.logged.disarm()
    assert len(run.messages) == 1
    assert len(run.columns()["kind"]) == ROWS + 3
    run.logged.flush()
    assert len(run.messages) == 2  # nothing is left, so nothing is sent


@pytest.mark.parametrize(
    ("frame", "sequence"),
    [("17", 17), ("", 0), ("base_link", 0), ("-3", 0), ("1.5", 0), ("9" * 15, 999_999_999_999_999), ("9" * 400, 0)],
)
def test_a_frame_that_is_no_number_is_no_sequence(frame: str, sequence: int) -> None:
    assert sequence_of(frame) == sequence


@pytest.mark.parametrize("kind", ["forward_command_controller", "joint_trajectory_controller"])
def test_commands_name_the_action_that_they_follow(kind: str) -> None:
    message = ControllerMessage(ControllerSpec("arm", kind), 2)  # type: ignore[arg-type]
    command = Command(("a", "b"), (1.0, 2.0), 0.004)
    labels = []
    for sequence, stamp in ((None, None), (3, Time(sec=12, nanosec=5)), (4, Time(sec=12, nanosec=20_000_005))):
        if stamp is not None:
            message.follow(sequence, stamp)
        filled = message.fill(command)
        if isinstance(filled, Float64MultiArray):
            assert [dimension.size for dimension in filled.layout.dim] == ([2] if stamp else [])
            labels.append("".join(dimension.label for dimension in filled.layout.dim))
        else:
            assert (filled.header.stamp.sec, filled.header.stamp.nanosec) == (0, 0)
            labels.append(filled.header.frame_id)
    assert labels == ["", "sequence 3 state 12.000000005", "sequence 4 state 12.020000005"]
