"""Tests for ppo_robot.sim.actuator: dead time to the step, slope of the rate limit, time constant of the lag."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from ppo_robot.kinematics import RobotModel
from ppo_robot.sim.actuator import PositionServo
from ppo_robot.spec.robot import load_robot
from ppo_robot.spec.task import ActuatorSpec

Array = NDArray[np.float64]
MODEL = RobotModel(load_robot("arm6"))
PERIOD, SUBSTEPS = 0.005, 4
FAST = 1e6  # share of the velocity limit: no rate limit


def respond(spec: ActuatorSpec, target: Array, periods: int) -> Array:
    """Return the references (physics steps, J) of a servo that stood at zero and is sent `target` (J,)."""
    servo = PositionServo(spec, MODEL, PERIOD, SUBSTEPS, 1)
    servo.reset(np.zeros((1, 6)), np.arange(1))
    return np.concatenate([servo.advance(target[None]).copy()[:, 0] for _ in range(periods)])


@pytest.mark.parametrize(("delay", "steps"), [(0.0, 0), (0.005, 1), (0.01, 2), (0.02, 4), (0.035, 7), (0.0124, 2)])
def test_dead_time_is_exact(delay: float, steps: int) -> None:
    response = respond(ActuatorSpec(delay=delay, rate_limit=FAST), np.ones(6), 4)
    assert np.array_equal(response, np.repeat(np.arange(16) >= steps, 6).reshape(16, 6).astype(float))


def test_a_delayed_sequence_keeps_its_order() -> None:
    servo = PositionServo(ActuatorSpec(delay=0.03, rate_limit=FAST), MODEL, PERIOD, SUBSTEPS, 1)
    servo.reset(np.zeros((1, 6)), np.arange(1))
    out = [servo.advance(np.full((1, 6), float(sent))).copy()[:, 0, 0] for sent in range(1, 6)]
    expected = [0.0] * 6 + [1.0] * 4 + [2.0] * 4 + [3.0] * 4 + [4.0] * 2
    assert np.concatenate(out).tolist() == expected


def test_the_rate_limit_is_a_slope() -> None:
    response = respond(ActuatorSpec(rate_limit=0.5), np.array([1.0, -1.0, 1.0, -1.0, 1.0, -1.0]), 20)
    steps = np.arange(1, 81)[:, None]
    slope = 0.5 * MODEL.velocity_limit * PERIOD
    expected = np.minimum(steps * slope, 1.0) * [1, -1, 1, -1, 1, -1]
    assert response == pytest.approx(expected, abs=1e-12)


def test_the_lag_has_its_time_constant() -> None:
    lag = 0.05  # ten physics steps
    response = respond(ActuatorSpec(lag=lag, rate_limit=FAST), np.ones(6), 60)
    assert response[9] == pytest.approx(np.full(6, 1.0 - math.exp(-1.0)), abs=1e-12)  # 63.2 %
    time = PERIOD * np.arange(1, 241)[:, None]
    assert response == pytest.approx(np.repeat(1.0 - np.exp(-time / lag), 6, axis=1), abs=1e-12)
    assert response[-1] == pytest.approx(np.ones(6), abs=1e-9)


def test_the_order_is_dead_time_then_rate_limit_then_lag() -> None:
    spec = ActuatorSpec(delay=0.01, lag=0.05, rate_limit=0.2)
    response = respond(spec, np.ones(6), 10)
    slope, gain = 0.2 * MODEL.velocity_limit[0] * PERIOD, 1.0 - math.exp(-PERIOD / 0.05)
    limited = reference = 0.0
    for step in range(40):
        if step >= 2:
            limited = min(limited + slope, 1.0)
        reference += gain * (limited - reference)
        assert response[step, 0] == pytest.approx(reference, abs=1e-12)


def test_a_reset_empties_the_delay_line_of_its_rows_only() -> None:
    spec = ActuatorSpec(delay=0.01, lag=0.02)
    servo = PositionServo(spec, MODEL, PERIOD, SUBSTEPS, 2)
    twin = PositionServo(spec, MODEL, PERIOD, SUBSTEPS, 2)
    for each in (servo, twin):
        each.reset(np.zeros((2, 6)), np.arange(2))
        each.advance(np.ones((2, 6)))
    servo.reset(np.full((1, 6), 0.5), np.array([1]))
    still = np.array([np.ones(6), np.full(6, 0.5)])
    after, without = servo.advance(still), twin.advance(still)
    assert np.array_equal(after[:, 1], np.full((4, 6), 0.5))
    assert np.array_equal(after[:, 0], without[:, 0])
