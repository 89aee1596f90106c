"""Tests for ppo_robot.sim.sensors: delay by interpolation, noise, quantisation, and rows that do not mix."""

from __future__ import annotations

import numpy as np
import pytest

from ppo_robot.sim.randomness import EnvironmentStreams
from ppo_robot.sim.sensors import Sensors
from ppo_robot.spec.task import SensorSpec, SensorsSpec
from ppo_robot.state import RobotState

PERIOD = 0.02


def truth_at(step: int, batch: int = 1) -> RobotState:
    """Joints on a ramp: position j * step in row b offset by 10 b, velocity its negative."""
    state = RobotState.zeros(batch, 3)
    state.joint_position[:] = np.arange(1, 4) * step + 10.0 * np.arange(batch)[:, None]
    state.joint_velocity[:] = -state.joint_position
    state.joint_effort[:] = 5.0 + step
    state.stamp[:] = step * PERIOD
    return state


def begin(spec: SensorsSpec, batch: int = 1, seed: int = 0) -> tuple[Sensors, EnvironmentStreams]:
    sensors, streams = Sensors(spec, PERIOD, batch, 3), EnvironmentStreams(seed, range(batch))
    sensors.reset(truth_at(0, batch), np.arange(batch), streams)
    return sensors, streams


@pytest.mark.parametrize("delay", [0.0, 0.004, 0.01, 0.02, 0.03, 0.04, 0.05, 0.1])
def test_the_delay_is_exact_on_a_ramp(delay: float) -> None:
    sensors, streams = begin(SensorsSpec(delay=delay))
    for step in range(1, 12):
        sensors.measure(truth_at(step), streams)
        late = max(0.0, step - delay / PERIOD)  # before the first sample it stood still
        assert sensors.measured.joint_position[0] == pytest.approx(np.arange(1, 4) * late, abs=1e-9)
        assert sensors.measured.joint_velocity[0] == pytest.approx(-np.arange(1, 4) * late, abs=1e-9)
        assert sensors.measured.stamp[0] == pytest.approx(step * PERIOD - delay)
        assert sensors.measured.age[0] == delay


def test_without_delay_or_noise_the_truth_is_reported_to_the_bit() -> None:
    sensors, streams = begin(SensorsSpec(), batch=2)
    truth = truth_at(3, 2)
    truth.joint_position += 0.1
    sensors.measure(truth, streams)
    for name in ("joint_position", "joint_velocity", "joint_effort"):
        assert np.array_equal(getattr(sensors.measured, name), getattr(truth, name))
    assert not np.shares_memory(sensors.measured.joint_position, truth.joint_position)


def test_noise_has_its_standard_deviation() -> None:
    spec = SensorsSpec(SensorSpec(noise=0.01), SensorSpec(noise=0.3))
    sensors, streams = begin(spec)
    errors = []
    for _ in range(1500):
        sensors.measure(truth_at(0), streams)
        errors.append(np.concatenate([sensors.measured.joint_position[0], sensors.measured.joint_velocity[0]]))
    position, velocity = np.split(np.array(errors), 2, axis=1)
    for error, noise in ((position, 0.01), (velocity, 0.3)):
        count = error.size
        assert error.std() == pytest.approx(noise, rel=4 * (0.5 / count) ** 0.5)
        assert error.mean() == pytest.approx(0.0, abs=4 * noise / count**0.5)
    assert abs(np.corrcoef(np.array(errors).T)[np.triu_indices(6, 1)]).max() < 4 / 1500**0.5


def test_one_channel_may_be_noisy_alone() -> None:
    sensors, streams = begin(SensorsSpec(joint_velocity=SensorSpec(noise=0.1)))
    sensors.measure(truth_at(2), streams)
    assert np.array_equal(sensors.measured.joint_position[0], [2.0, 4.0, 6.0])
    assert (sensors.measured.joint_velocity[0] != [-2.0, -4.0, -6.0]).all()


def test_quantisation_rounds_to_the_encoders_steps() -> None:
    sensors, streams = begin(SensorsSpec(SensorSpec(quantisation=0.25), SensorSpec(noise=1.0, quantisation=0.5)))
    truth = truth_at(0)
    truth.joint_position[0] = [0.37, -0.13, 0.1]
    sensors.measure(truth, streams)
    assert sensors.measured.joint_position[0].tolist() == [0.25, -0.25, 0.0]
    steps = sensors.measured.joint_velocity[0] / 0.5  # noise comes before the encoder
    assert np.array_equal(steps, np.round(steps))
    assert steps.any()


def test_a_row_does_not_depend_on_the_batch() -> None:
    spec = SensorsSpec(SensorSpec(0.01, 0.001), SensorSpec(0.1), delay=0.013)
    whole, streams = begin(spec, batch=7, seed=4)
    single, stream = Sensors(spec, PERIOD, 1, 3), EnvironmentStreams(4, [5])
    row = np.array([5])
    single.reset(truth_at(0, 7).rows(row), np.array([0]), stream)
    for step in range(1, 6):
        truth = truth_at(step, 7)
        whole.measure(truth, streams)
        single.measure(truth.rows(row), stream)
        for name in ("joint_position", "joint_velocity", "joint_effort", "stamp", "age"):
            assert np.array_equal(getattr(whole.measured, name)[5], getattr(single.measured, name)[0])


def test_a_reset_fills_the_delay_line_of_its_rows_only() -> None:
    sensors, streams = begin(SensorsSpec(delay=0.05), batch=2)
    for step in range(1, 5):
        sensors.measure(truth_at(step, 2), streams)
    before = sensors.measured.joint_position[0].copy()
    sensors.reset(truth_at(9, 2), np.array([1]), streams)
    assert np.array_equal(sensors.measured.joint_position[0], before)
    assert sensors.measured.joint_position[1].tolist() == [19.0, 28.0, 37.0]
    sensors.measure(truth_at(10, 2), streams)
    assert sensors.measured.joint_position[1].tolist() == [19.0, 28.0, 37.0]
    assert sensors.measured.joint_position[0] == pytest.approx(np.arange(1, 4) * 2.5)


def test_each_episode_draws_its_own_delay_within_the_spread() -> None:
    batch = 400
    sensors, streams = begin(SensorsSpec(delay=0.01, delay_spread=0.03), batch)
    first = sensors.measured.age.copy()
    assert first.min() >= 0.01
    assert first.max() <= 0.04
    assert first.mean() == pytest.approx(0.025, abs=4 * 0.03 / (12 * batch) ** 0.5)
    for step in range(1, 8):
        sensors.measure(truth_at(step, batch), streams)
    late = (7 - first / PERIOD)[:, None] * np.arange(1, 4) + 10.0 * np.arange(batch)[:, None]
    assert np.array_equal(sensors.measured.age, first)  # one for the whole episode
    assert sensors.measured.joint_position == pytest.approx(late, abs=1e-9)
    assert sensors.measured.stamp == pytest.approx(7 * PERIOD - first)
    sensors.reset(truth_at(7, batch), np.arange(200), streams)
    assert (sensors.measured.age[:200] != first[:200]).all()
    assert np.array_equal(sensors.measured.age[200:], first[200:])
