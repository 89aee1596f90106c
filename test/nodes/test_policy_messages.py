"""Tests for ppo_robot.nodes.policy_messages: what goes into a telemetry message comes out of it, to the bit."""

from __future__ import annotations

import threading

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs rclpy: pip install 'ppo_robot[ros]'")

from rclpy.serialization import deserialize_message  # noqa: E402
from std_msgs.msg import Float64MultiArray  # noqa: E402

from ppo_robot.joint_input import JointReading  # noqa: E402
from ppo_robot.nodes.policy_core import PolicyAction  # noqa: E402
from ppo_robot.nodes.policy_messages import ActionMessage, TelemetryMessage, Tick  # noqa: E402
from ppo_robot.nodes.ros_support import seconds  # noqa: E402
from ppo_robot.nodes.telemetry_rows import read_rows  # noqa: E402
from ppo_robot.nodes.telemetry_thread import TelemetryThread  # noqa: E402
from ppo_robot.telemetry.matrix import POLICY_ARRAYS, POLICY_SCALARS  # noqa: E402

JOINTS, ACTIONS, OBSERVATION = 6, 4, 11


def action(sequence: int) -> PolicyAction:
    generator = np.random.default_rng(sequence)

    def drawn(size: int) -> np.ndarray:
        return generator.standard_normal(size, dtype=np.float32)

    return PolicyAction(
        sequence=sequence,
        begun=sequence == 1,
        reading=JointReading(*generator.standard_normal((3, JOINTS)), 1.7e9 + sequence * 0.02, 40.0, 1.7e9 + 1.0),
        goal_position=generator.standard_normal(3),
        joint_target=generator.standard_normal(JOINTS),
        observation=drawn(OBSERVATION),
        normalised_observation=drawn(OBSERVATION),
        mean=drawn(ACTIONS),
        std=drawn(ACTIONS),
        action=drawn(ACTIONS),
        log_probability=float(drawn(1)[0]),
        tick_began=50.0 + sequence,
        observed=50.1 + sequence,
        inference_began=50.2 + sequence,
        inference_ended=50.3 + sequence,
        acted=50.4 + sequence,
    )


def columns_of(message: bytes) -> dict[str, np.ndarray]:
    """Return what a subscriber gets."""
    return read_rows(deserialize_message(message, Float64MultiArray))


def told(*sequences: int) -> list[Tick]:
    """Return ticks as they are taken down."""
    return [(action(sequence), 50.5 + sequence) for sequence in sequences]


def test_every_column_of_every_tick_comes_back_to_the_bit() -> None:
    columns = columns_of(TelemetryMessage(JOINTS, ACTIONS, OBSERVATION, 3).fill(told(1, 2, 3), 2e-4))
    assert tuple(columns) == POLICY_SCALARS + POLICY_ARRAYS
    assert columns["begun"].tolist() == [1.0, 0.0, 0.0]
    assert columns["published"].tolist() == [51.5, 52.5, 53.5]
    assert columns["period_cpu_s"].tolist() == [2e-4] * 3
    own = ("sequence", "tick_began", "observed", "inference_began", "inference_ended", "acted", "log_probability")
    same = ("goal_position", "joint_target", "mean", "std", "action", "observation", "normalised_observation")
    for row, sequence in enumerate((1, 2, 3)):
        given = action(sequence)
        for name in own + same:
            np.testing.assert_array_equal(columns[name][row], getattr(given, name), err_msg=name)
        reading = [columns[f"joint_{name}"][row].tolist() for name in ("position", "velocity", "effort")]
        assert reading == [values.tolist() for values in given.reading[:3]]
        times = [columns[f"state_{name}"][row] for name in ("stamp", "received", "ros")]
        assert times == list(given.reading[3:])


def test_a_message_may_hold_less_and_the_next_begins_anew() -> None:
    message = TelemetryMessage(JOINTS, ACTIONS, OBSERVATION, 5)
    assert columns_of(message.fill(told(1, 2), 0.0))["sequence"].tolist() == [1.0, 2.0]
    assert columns_of(message.fill(told(3), 0.0))["sequence"].tolist() == [3.0]


def test_numbers_that_do_not_fit_their_layout_are_refused() -> None:
    data = TelemetryMessage(JOINTS, ACTIONS, OBSERVATION, 2).fill(told(1), 0.0)
    message = deserialize_message(data, Float64MultiArray)
    message.data = message.data[:-1]
    with pytest.raises(ValueError, match="do not fit the layout"):
        read_rows(message)


def test_an_action_carries_the_stamp_of_its_state_and_the_number_of_its_tick() -> None:
    given = action(12)
    message = ActionMessage([f"joint_{number}" for number in range(JOINTS)]).fill(given)
    assert message.header.frame_id == "12"
    assert seconds(message.header.stamp) == given.reading.stamp
    assert list(message.points[0].positions) == given.joint_target.tolist()


def test_ticks_are_published_by_a_thread_of_their_own_in_their_order() -> None:
    found: list[tuple[bytes, int]] = []
    message = TelemetryMessage(JOINTS, ACTIONS, OBSERVATION, 3)
    thread = TelemetryThread(message, 3, lambda data: found.append((data, threading.get_ident())))
    for tick in told(1, 2, 3, 4):
        thread.add(*tick)
    thread.hand_over()  # the policy falls silent
    thread.hand_over()
    for tick in told(5, 6):
        thread.add(*tick)
    thread.close()
    columns = [columns_of(data) for data, _ in found]
    assert [one["sequence"].tolist() for one in columns] == [[1.0, 2.0, 3.0], [4.0], [5.0, 6.0]]
    assert all((one["period_cpu_s"] >= 0.0).all() and len(set(one["period_cpu_s"])) == 1 for one in columns)
    assert threading.get_ident() not in {who for _, who in found} and len({who for _, who in found}) == 1
