"""Tests for ppo_robot.replay.safety: rows of the real log, fed to a fresh envelope, give the recorded cycles."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs rclpy: pip install 'ppo_robot[ros]'")

from rclpy.serialization import deserialize_message  # noqa: E402
from std_msgs.msg import Float64MultiArray  # noqa: E402

from ppo_robot.errors import BadInputError  # noqa: E402
from ppo_robot.joint_input import JointMessage  # noqa: E402
from ppo_robot.nodes.safety_log import LoggedEnvelope  # noqa: E402
from ppo_robot.nodes.telemetry_rows import read_rows  # noqa: E402
from ppo_robot.recording.run_data import joined  # noqa: E402
from ppo_robot.replay.difference import Findings  # noqa: E402
from ppo_robot.replay.safety import Observations, SafetyReplay  # noqa: E402
from ppo_robot.safety.actions import Action  # noqa: E402
from ppo_robot.safety.body import LinkBody  # noqa: E402
from ppo_robot.safety.envelope import Envelope  # noqa: E402
from ppo_robot.safety.limits import make_limits  # noqa: E402
from ppo_robot.safety.novelty import Novelty  # noqa: E402
from ppo_robot.safety.reasons import Cause, State  # noqa: E402
from ppo_robot.spec.robot import load_robot  # noqa: E402
from ppo_robot.spec.safety import SafetySpec  # noqa: E402
from ppo_robot.telemetry.matrix import Kind  # noqa: E402

ROBOT = load_robot("arm6")
JOINTS = ROBOT.joint_names
HOME = np.array([joint.default_position for joint in ROBOT.joints])
SPEC = SafetySpec(rate=200.0, tilt_limit=0.5, blend_time=0.2)
CONTROL = 0.02
EPOCH = 1.7e9
Rows = dict[str, np.ndarray]


def make(spec: SafetySpec = SPEC, novelty: Novelty | None = None) -> Envelope:
    return Envelope(make_limits(ROBOT, spec), spec, CONTROL, LinkBody(ROBOT, True), novelty)


def novel_envelope() -> Envelope:
    """An envelope that judges one component of what the policy sees."""
    return make(novelty=Novelty(["a"], [-1.0], [1.0], 0.0))


class Rig:
    """An envelope with its log, a robot that follows, and a policy that wanders, at times faster than is allowed."""

    def __init__(self) -> None:
        self.now, self.cycles, self.sequence = 100.0, 0, 0
        self.messages: list[bytes] = []
        self.envelope = envelope = novel_envelope()
        self.logged = LoggedEnvelope(envelope, lambda: self.now, lambda: EPOCH + self.now, self.messages.append)
        self.random = np.random.default_rng(3)
        self.target, self.position = HOME.copy(), HOME.copy()

    def go(self, seconds: float, acting: bool = True, size: float = 0.004) -> None:
        for _ in range(round(seconds * SPEC.rate)):
            self.now += 1.0 / SPEC.rate
            self.cycles += 1
            if self.cycles % 2 == 0:
                stamp = EPOCH + self.now - 0.002
                zeros = (0.0,) * len(JOINTS)
                self.logged.take_state(JointMessage(JOINTS, self.position.tolist(), zeros, zeros, stamp))
                self.logged.take_tilt(0.1)
            if self.cycles % 4 == 0 and acting:
                self.sequence += 1
                self.target = self.target + self.random.normal(0.0, size, len(JOINTS))
                action = Action(JOINTS, self.target.tolist(), EPOCH + self.now - 0.003)
                self.logged.take_action(action, self.sequence)
            verdict = self.logged.cycle(lambda verdict, now: verdict.setpoint is not None)
            if verdict.setpoint is not None:
                self.position = np.array(verdict.setpoint.position)

    def rows(self) -> Rows:
        self.logged.flush()
        return joined([read_rows(deserialize_message(one, Float64MultiArray)) for one in self.messages], "test")


@pytest.fixture(scope="module")
def rows() -> Rows:
    """Armed, active, held, stopped, reset refused and done, armed again, stopped by what the policy saw."""
    rig = Rig()
    rig.go(0.1)
    for place in range(3):
        rig.logged.take_publishers(place, f"topic{place}", 1)
    assert rig.logged.arm() is None
    rig.go(0.6)
    rig.go(0.3, acting=False)
    rig.go(0.4, size=0.05)
    rig.logged.take_publishers(1, "topic1", 2)
    rig.go(0.5, acting=False)
    assert rig.logged.reset() is not None  # two still publish
    for place, topic in enumerate(("topic0", "topic1", "topic2")):
        rig.logged.take_publishers(place, topic, 1)
    assert rig.logged.reset() is None
    rig.target = rig.position.copy()
    rig.go(0.1)
    assert rig.logged.arm() is None
    rig.go(0.4)
    rig.logged.take_observations(np.array([[9.0]]), rig.sequence)
    rig.go(0.1, acting=False)
    assert rig.envelope.cause is Cause.NOT_TRAINED_FOR
    found = rig.rows()
    states = {list(State)[int(state)] for state in np.unique(found["state"])}
    assert states == set(State)
    return found


def replayed(rows: Rows, spec: SafetySpec = SPEC) -> Findings:
    return SafetyReplay(lambda: make(spec), rows).run()


def without(rows: Rows, begin: float, end: float) -> Rows:
    """Return the rows less those between two times in s, as where a message was lost."""
    kept = (rows["now"] < begin) | (rows["now"] >= end)
    return {name: column[kept] for name, column in rows.items()}


def first_cycle(rows: Rows, *states: State) -> int:
    """Return the row of the first cycle in one of these states."""
    numbers = [list(State).index(state) for state in states]
    return int(np.flatnonzero((rows["kind"] == Kind.CYCLE) & np.isin(rows["state"], numbers))[0])


def number_of(rows: Rows, row: int) -> int:
    return int((rows["kind"][: row + 1] == Kind.CYCLE).sum())


def test_the_same_rows_give_the_same_cycles(rows: Rows) -> None:
    findings = replayed(rows)
    assert (findings.total, findings.differing, findings.gaps) == (int((rows["kind"] == 0).sum()), 0, [])
    assert (rows["limits"] > 0).any() and np.isfinite(rows["position"]).all(axis=1).any()


@pytest.mark.parametrize(
    ("column", "value", "stage", "term"),
    [
        ("position", 0.125, "setpoint", f"position/{JOINTS[1]}"),
        ("acceleration", 0.125, "setpoint", f"acceleration/{JOINTS[1]}"),
        ("limits", 64.0, "limits", f"limits/{JOINTS[1]}"),
        ("state", 6.0, "state", "state"),
        ("cause", 2.0, "cause", "cause"),
    ],
)
def test_one_changed_number_is_named_with_its_cycle(
    column: str, value: float, stage: str, term: str, rows: Rows
) -> None:
    row = first_cycle(rows, State.ACTIVE, State.LIMITED) + 20
    row += int(np.argmax(rows["kind"][row:] == Kind.CYCLE))
    values = rows[column].copy()
    if values.ndim == 2:
        values[row, 1] = value
    else:
        values[row] = value
    findings = replayed({**rows, column: values})
    assert findings.differing == 1 and findings.first is not None
    assert (findings.first.number, findings.first.stage) == (number_of(rows, row), stage)
    assert findings.first.term == term and findings.first.time == rows["ros_now"][row]


def test_other_limits_are_found(rows: Rows) -> None:
    findings = replayed(rows, dataclasses.replace(SPEC, velocity_scale=0.5))
    assert findings.first is not None and findings.first.stage in ("setpoint", "limits", "state")
    assert findings.differing > 50


def test_a_lost_message_is_a_gap_until_the_envelope_is_disarmed(rows: Rows) -> None:
    begin = float(rows["now"][first_cycle(rows, State.ACTIVE, State.LIMITED)]) + 0.1
    torn = without(rows, begin, begin + 0.1)
    findings = replayed(torn)
    assert findings.differing == 0
    (gap,) = findings.gaps
    behind = int(np.flatnonzero((torn["kind"] == Kind.CYCLE) & (torn["now"] >= begin))[0])
    again = np.flatnonzero(
        (torn["kind"] == Kind.CYCLE) & (torn["now"] >= begin) & (torn["state"] == list(State).index(State.DISARMED))
    )
    assert gap.number == number_of(torn, behind)
    assert gap.uncompared == number_of(torn, int(again[0])) - gap.number
    # What follows the next arming is compared again.
    values = torn["position"].copy()
    row = int(again[-1]) + 30
    row += int(np.argmax(torn["kind"][row:] == Kind.CYCLE))
    values[row, 0] += 0.01
    assert replayed({**torn, "position": values}).differing == 1


def test_in_simulated_time_a_shorter_hole_is_a_gap(rows: Rows) -> None:
    stamp = np.where(rows["stamp"] > 0.0, rows["stamp"] - EPOCH, 0.0)
    simulated = {**rows, "ros_now": rows["now"], "stamp": stamp}
    assert replayed(simulated).differing == 0 and replayed(simulated).gaps == []
    begin = float(simulated["now"][first_cycle(rows, State.ACTIVE, State.LIMITED)]) + 0.1
    findings = replayed(without(simulated, begin, begin + 0.03))
    assert findings.differing == 0 and len(findings.gaps) == 1


def test_a_message_lost_while_disarmed_costs_nothing(rows: Rows) -> None:
    findings = replayed(without(rows, 100.02, 100.09))
    assert (findings.differing, findings.gaps) == (0, [])


def test_a_recording_that_begins_while_armed_is_compared_from_the_next_disarming(rows: Rows) -> None:
    row = first_cycle(rows, State.ACTIVE, State.LIMITED)
    findings = replayed({name: column[row:] for name, column in rows.items()})
    assert findings.differing == 0
    assert [gap.number for gap in findings.gaps] == [1] and findings.gaps[0].uncompared < findings.total


def test_a_late_cycle_is_no_gap() -> None:
    rig = Rig()
    rig.go(0.1)
    assert rig.logged.arm() is None
    rig.go(0.3)
    rig.now += 0.2  # the process stood still
    rig.go(0.2, acting=False)
    assert rig.envelope.cause is Cause.CYCLE_LATE
    findings = replayed(rig.rows())
    assert (findings.differing, findings.gaps) == (0, [])


def test_rows_of_another_robot_are_refused(rows: Rows) -> None:
    with pytest.raises(BadInputError, match="has 5 joints; the bundle has 6"):
        replayed({name: column[:, :5] if column.ndim == 2 else column for name, column in rows.items()})
    with pytest.raises(BadInputError, match="no limits; expected the columns of this version"):
        replayed({name: column for name, column in rows.items() if name != "limits"})


@pytest.mark.parametrize(("seen", "differs"), [(9.0, False), (0.5, True)])
def test_a_stop_because_of_what_the_policy_saw_is_judged_again(seen: float, differs: bool, rows: Rows) -> None:
    told = int(np.flatnonzero(rows["kind"] == Kind.OBSERVATION)[0])
    sequence, time = rows["sequence"][told], rows["ros_now"][told]
    ticks = {
        # An older activation and a later one count the same numbers; the newest until then is meant.
        "sequence": np.array([sequence, 1.0, sequence, 1.0, sequence]),
        "state_ros": np.array([time - 9.0, time - 5.0, time + 0.02, time + 1.0, time + 2.0]),
        "observation": np.array([[0.0], [0.0], [seen], [0.0], [0.0]]),
    }
    findings = SafetyReplay(novel_envelope, rows, Observations(ticks)).run()
    assert bool(findings.differing) == differs
    if differs:
        assert findings.first is not None and findings.first.stage == "state"
        assert findings.first.number == number_of(rows, told) + 1


def test_once_something_that_the_policy_saw_is_missing_a_stop_is_taken_as_recorded(rows: Rows) -> None:
    told = int(np.flatnonzero(rows["kind"] == Kind.OBSERVATION)[0])
    before = {name: np.insert(column, told, column[told], axis=0) for name, column in rows.items()}
    before["sequence"][told], before["cause"][told] = 77777.0, 0.0
    ticks = {"sequence": rows["sequence"][told : told + 1], "state_ros": rows["ros_now"][told : told + 1]}
    seen = Observations({**ticks, "observation": np.array([[0.5]])})  # on which nobody would stop
    assert SafetyReplay(novel_envelope, before, seen).run().differing == 0
    assert SafetyReplay(novel_envelope, rows, seen).run().differing > 0


def test_observations_are_found_only_where_all_of_them_are() -> None:
    ticks = {
        "sequence": np.array([1.0, 2.0, 3.0, 5.0, 6.0, 1.0, 2.0]),
        "state_ros": np.arange(7.0),
        "observation": np.arange(7.0)[:, None],
    }
    observations = Observations(ticks)
    found = observations.find(3, 2, 10.0)
    assert found is not None and found[:, 0].tolist() == [1.0, 2.0]
    newest = observations.find(2, 2, 10.0)
    assert newest is not None and newest[:, 0].tolist() == [5.0, 6.0]
    older = observations.find(2, 2, 3.0)
    assert older is not None and older[:, 0].tolist() == [0.0, 1.0]
    for sequence, count in ((5, 2), (4, 1), (9, 1), (2, 3), (3, 0)):
        assert observations.find(sequence, count, 10.0) is None
