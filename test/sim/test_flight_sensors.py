"""Tests of what a floating robot reports: late, noisy, and true in the frames that it should be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from flights import random_states

from ppo_robot.mdp.rotation import from_vector, multiply, rotation_matrix, to_body
from ppo_robot.sim.flight_sensors import FlightSensors
from ppo_robot.sim.randomness import EnvironmentStreams
from ppo_robot.spec.flight import FlightSensorsSpec
from ppo_robot.spec.strict import build
from ppo_robot.state import RobotState

BATCH = 4
ROWS = np.arange(BATCH)


def sensors(**spec: Any) -> FlightSensors:
    return FlightSensors(build(FlightSensorsSpec, spec, "sensors"), 0.02, BATCH)


def streams(seed: int = 0) -> EnvironmentStreams:
    return EnvironmentStreams(seed, range(BATCH))


def rates(state: RobotState) -> np.ndarray:
    return to_body(rotation_matrix(state.base_orientation), state.base_angular_velocity)


def test_sensors_without_faults_report_the_truth() -> None:
    made, truth = sensors(), random_states(BATCH)
    made.reset(truth, ROWS, streams())
    moved = random_states(BATCH, 1)
    made.measure(moved, streams())
    for name in ("base_position", "base_orientation", "base_linear_velocity", "base_angular_velocity"):
        found, expected = getattr(made.measured, name), getattr(moved, name)
        if name == "base_orientation":
            found, expected = rotation_matrix(found), rotation_matrix(expected)
        assert found == pytest.approx(expected, abs=1e-12)


def test_a_delay_between_two_samples_is_interpolated_the_short_way() -> None:
    made = sensors(delay=0.03)
    truth = RobotState.zeros(BATCH, 0)
    made.reset(truth, ROWS, streams())
    for step in range(1, 6):
        truth.base_position[:, 0] = step
        # Each time the other of the two quaternions of the same rotation.
        truth.base_orientation[:] = from_vector(np.array([[0.0, 0.0, 0.1 * step]])) * (-1.0) ** step
        truth.stamp[:] = 0.02 * step
        made.measure(truth, streams())
    assert made.measured.base_position[:, 0] == pytest.approx(3.5)
    expected = rotation_matrix(from_vector(np.array([[0.0, 0.0, 0.35]])))[0]
    assert rotation_matrix(made.measured.base_orientation)[0] == pytest.approx(expected, abs=1e-4)
    assert made.measured.stamp == pytest.approx(0.07) and made.measured.age == pytest.approx(0.03)


def test_each_channel_errs_in_its_own_frame() -> None:
    made, truth = sensors(), random_states(BATCH)
    names = ("position_error", "velocity_error", "attitude_error", "body_rate_error")
    errors = {name: np.tile([0.01 * (place + 1), 0.0, 0.0], (BATCH, 1)) for place, name in enumerate(names)}
    made.apply(errors, ROWS)
    made.reset(truth, ROWS, streams())
    measured = made.measured
    assert measured.base_position - truth.base_position == pytest.approx(errors["position_error"])
    assert measured.base_linear_velocity - truth.base_linear_velocity == pytest.approx(errors["velocity_error"])
    turned = multiply(truth.base_orientation, from_vector(errors["attitude_error"]))
    assert rotation_matrix(measured.base_orientation) == pytest.approx(rotation_matrix(turned), abs=1e-12)
    # The gyroscope does not know that the attitude is off.
    assert rates(measured) - rates(truth) == pytest.approx(errors["body_rate_error"])


def test_noise_is_as_strong_as_it_says_and_each_row_has_its_own() -> None:
    made = sensors(position={"noise": 0.1}, attitude={"noise": 0.02}, body_rate={"noise": 0.5})
    truth, random = RobotState.zeros(BATCH, 0), streams()
    made.reset(truth, ROWS, random)
    found = []
    for _ in range(400):
        made.measure(truth, random)
        measured = made.measured
        parts = measured.base_position, 2.0 * measured.base_orientation[:, :3], rates(measured)
        found.append(np.concatenate(parts, axis=1))
    spread = np.array(found).reshape(-1, 9).std(axis=0)
    assert spread == pytest.approx([0.1] * 3 + [0.02] * 3 + [0.5] * 3, rel=0.1)
    assert np.abs(np.corrcoef(np.array(found)[:, :, 0].T) - np.eye(BATCH)).max() < 0.2
    assert np.array_equal(made.measured.base_linear_velocity, truth.base_linear_velocity)  # has none


def test_a_lost_state_is_the_one_before_and_grows_old() -> None:
    made, truth = sensors(), random_states(BATCH)
    made.reset(truth, ROWS, streams())
    before = made.measured.copy()
    moved = random_states(BATCH, 1)
    moved.stamp[:] = 0.02
    made.measure(moved, streams(), np.array([True, False, True, False]))
    assert np.array_equal(made.measured.base_position[::2], before.base_position[::2])
    assert np.array_equal(made.measured.base_position[1::2], moved.base_position[1::2])
    assert made.measured.age.tolist() == pytest.approx([0.02, 0.0, 0.02, 0.0])
