"""Every row of the bad-input list has its reaction and its counter."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppo_robot.joint_input import CLOCK_JUMPED, VELOCITY_ESTIMATED, JointInput, JointMessage, Refusal

NAMES = ("shoulder", "elbow", "wrist")


def message(
    name: tuple[str, ...] = NAMES,
    position: tuple[float, ...] = (0.1, 0.2, 0.3),
    velocity: tuple[float, ...] = (1.0, 2.0, 3.0),
    effort: tuple[float, ...] = (4.0, 5.0, 6.0),
    stamp: float = 100.0,
) -> JointMessage:
    return JointMessage(name, position, velocity, effort, stamp)


@pytest.fixture
def joints() -> JointInput:
    return JointInput(NAMES, state_timeout=0.1, future_tolerance=0.05)


def test_a_good_message_becomes_the_state_with_its_stamp_and_age(joints: JointInput) -> None:
    assert joints.accept(message(), ros_now=100.01, now=7.0) is None
    state = joints.state(7.04)
    assert state is not None
    np.testing.assert_array_equal(state.joint_position, [[0.1, 0.2, 0.3]])
    np.testing.assert_array_equal(state.joint_velocity, [[1.0, 2.0, 3.0]])
    np.testing.assert_array_equal(state.joint_effort, [[4.0, 5.0, 6.0]])
    assert state.stamp[0] == 100.0
    assert state.age[0] == pytest.approx(0.04)
    assert joints.counters["accepted"] == 1


@given(st.permutations([0, 1, 2, 3, 4]))
def test_order_and_extra_joints_do_not_matter(order: list[int]) -> None:
    joints = JointInput(NAMES, 0.1, 0.05)
    names = (*NAMES, "finger", "head")
    values = (0.1, 0.2, 0.3, 9.0, math.nan)  # a joint that is not ours may hold what it likes
    shuffled = [tuple(column[i] for i in order) for column in (names, values)]
    given_message = JointMessage(shuffled[0], shuffled[1], shuffled[1], (), 100.0)
    assert joints.accept(given_message, 100.0, 0.0) is None
    state = joints.state(0.0)
    assert state is not None
    np.testing.assert_array_equal(state.joint_position, [[0.1, 0.2, 0.3]])
    np.testing.assert_array_equal(state.joint_velocity, [[0.1, 0.2, 0.3]])


@pytest.mark.parametrize(
    ("bad", "refusal", "names_it"),
    [
        (message(position=(0.1, 0.2)), Refusal.WRONG_LENGTH, "2 positions"),
        (message(name=("shoulder", "elbow", "knee")), Refusal.JOINT_MISSING, "wrist"),
        (message(name=("shoulder", "elbow", "elbow", "wrist"), position=(0.0,) * 4), Refusal.JOINT_DUPLICATED, "elbow"),
        (message(position=(0.1, math.nan, 0.3)), Refusal.POSITION_NOT_FINITE, "elbow"),
        (message(position=(0.1, 0.2, math.inf)), Refusal.POSITION_NOT_FINITE, "wrist"),
        (message(stamp=0.0), Refusal.STAMP_ZERO, "stamp 0"),
        (message(stamp=100.2), Refusal.STAMP_FUTURE, "100.2"),
        (message(stamp=99.8), Refusal.STALE, "99.8"),
        (message(stamp=99.99), Refusal.STAMP_REPEATED, "99.99"),
        (message(stamp=99.98), Refusal.STAMP_BACKWARD, "99.98"),
    ],
    ids=lambda value: value.name.lower() if isinstance(value, Refusal) else None,
)
def test_a_bad_message_is_refused_with_its_reason_and_changes_nothing(
    joints: JointInput, bad: JointMessage, refusal: Refusal, names_it: str
) -> None:
    assert joints.accept(message(stamp=99.99, position=(1.0, 1.0, 1.0)), 99.99, 0.0) is None
    assert joints.accept(bad, 100.0, 0.01) is refusal
    assert names_it in joints.detail
    assert joints.counters[refusal.name.lower()] == 1
    state = joints.state(0.01)
    assert state is not None
    np.testing.assert_array_equal(state.joint_position, [[1.0, 1.0, 1.0]])


def test_a_state_is_gone_once_it_is_older_than_the_timeout(joints: JointInput) -> None:
    joints.accept(message(), 100.0, 5.0)
    assert joints.state(5.1) is not None
    assert joints.state(5.101) is None


def test_a_future_stamp_never_keeps_a_state_fresh(joints: JointInput) -> None:
    # Staleness is judged by receipt: a stamp just inside the tolerance lives no longer than any other.
    joints.accept(message(stamp=100.04), 100.0, 5.0)
    assert joints.state(5.11) is None


@pytest.mark.parametrize("velocity", [(), (math.nan,) * 3], ids=["missing", "nan"])
def test_a_velocity_that_is_not_there_is_the_difference_of_positions(
    joints: JointInput, velocity: tuple[float, ...]
) -> None:
    joints.accept(message(position=(0.0, 0.0, 0.0), velocity=velocity, stamp=100.00), 100.0, 0.0)
    joints.accept(message(position=(0.01, -0.02, 0.0), velocity=velocity, stamp=100.02), 100.02, 0.02)
    state = joints.state(0.02)
    assert state is not None
    np.testing.assert_allclose(state.joint_velocity, [[0.5, -1.0, 0.0]], rtol=1e-9)
    assert joints.counters[VELOCITY_ESTIMATED] == 2


def test_one_nan_velocity_is_estimated_and_the_others_are_kept(joints: JointInput) -> None:
    joints.accept(message(position=(0.0, 0.0, 0.0), stamp=100.00), 100.0, 0.0)
    joints.accept(message(position=(0.0, 0.01, 0.0), velocity=(1.0, math.nan, 3.0), stamp=100.02), 100.02, 0.02)
    state = joints.state(0.02)
    assert state is not None
    np.testing.assert_allclose(state.joint_velocity, [[1.0, 0.5, 3.0]], rtol=1e-9)


def test_effort_that_is_not_finite_is_zero(joints: JointInput) -> None:
    joints.accept(message(effort=(math.nan, 5.0, math.inf)), 100.0, 0.0)
    state = joints.state(0.0)
    assert state is not None
    np.testing.assert_array_equal(state.joint_effort, [[0.0, 5.0, 0.0]])


def test_a_robot_that_begins_anew_is_accepted_after_its_silence(joints: JointInput) -> None:
    joints.accept(message(stamp=100.0), 100.0, 0.0)
    # The clock jumped back (a simulation was started again): refused while the old state still counts, then taken.
    assert joints.accept(message(stamp=5.0), 5.0, 0.05) is Refusal.STAMP_BACKWARD
    assert joints.accept(message(stamp=5.1), 5.1, 0.15) is None
    assert joints.counters[CLOCK_JUMPED] == 1


def test_forgetting_leaves_no_state(joints: JointInput) -> None:
    joints.accept(message(), 100.0, 0.0)
    joints.forget()
    assert joints.state(0.0) is None


@given(
    st.lists(st.sampled_from(["shoulder", "elbow", "wrist", "x"]), max_size=5),
    st.lists(st.floats(), max_size=5),
    st.lists(st.floats(), max_size=5),
    st.floats(),
)
def test_whatever_comes_the_state_is_finite(
    name: list[str], position: list[float], velocity: list[float], stamp: float
) -> None:
    joints = JointInput(NAMES, 0.1, 0.05)
    joints.accept(JointMessage(name, position, velocity, velocity, stamp), 100.0, 0.0)
    state = joints.state(0.0)
    if state is not None:
        assert np.isfinite(state.joint_position).all()
        assert np.isfinite(state.joint_velocity).all()
        assert np.isfinite(state.joint_effort).all()


def test_a_reading_says_when_it_was_taken_on_both_clocks(joints: JointInput) -> None:
    assert joints.newest is None
    assert joints.accept(message(), ros_now=100.01, now=7.0) is None
    assert joints.accept(message(stamp=99.99), ros_now=100.02, now=7.01) is Refusal.STAMP_BACKWARD
    reading = joints.reading(7.04)
    assert reading is not None
    assert (reading.stamp, reading.received, reading.ros_received) == (100.0, 7.0, 100.01)
    np.testing.assert_array_equal(reading.velocity, [1.0, 2.0, 3.0])
    assert joints.reading(7.2) is None
    assert joints.newest is reading
