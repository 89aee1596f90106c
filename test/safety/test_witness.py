"""Tests for ppo_robot.safety.witness: it finds what is wrong, at numbers worked out by hand, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from ruckig import ControlInterface, InputParameter, Ruckig, Trajectory

from ppo_robot.safety.witness import Bounds, judge_setpoints, stop_extrema

PERIOD = 0.01
ONE = np.ones(1)
BOUNDS = Bounds(-ONE, ONE, ONE, 10.0 * ONE, 1000.0 * ONE)


def judge(position: list[float], velocity: list[float] | None = None) -> tuple[int, int, int, int]:
    column = np.array(position)[:, None]
    still = np.zeros_like(column) if velocity is None else np.array(velocity)[:, None]
    found = judge_setpoints(column, BOUNDS, PERIOD, still, np.zeros_like(column))
    return found.position, found.velocity, found.acceleration, found.jerk


def test_standing_still_breaks_nothing() -> None:
    column = np.zeros((50, 1))
    assert judge_setpoints(column, BOUNDS, PERIOD, column, column).total == 0


def test_each_limit_is_seen_by_itself() -> None:
    assert judge([1.1] * 5) == (5, 0, 0, 0)
    assert judge([np.nan] * 5)[0] == 5
    ramp = [0.011 * step for step in range(6)]  # 1.1 rad/s
    assert judge(ramp) == (0, 5, 0, 0)
    # One knee of 0.2 rad/s in a period: 20 rad/s^2 once, and a jerk of 2000 up and down again.
    knee = [0.0, 0.0, 0.0, 0.002, 0.004, 0.006]
    assert judge(knee) == (0, 0, 1, 2)
    gentle = [0.0, 0.0, 0.0, 0.0002, 0.0006, 0.0012]  # 2 rad/s^2 from one period to the next: 200 rad/s^3
    assert judge(gentle) == (0, 0, 0, 0)


def test_the_stop_from_a_speed_by_hand() -> None:
    # From 1 rad/s at 10 rad/s^2 and 1000 rad/s^3: ramps of 0.01 s, plateau of 0.09 s; half the speed times 0.11 s.
    low, high = stop_extrema(0.0 * ONE, ONE, 0.0 * ONE, 10.0 * ONE, 1000.0 * ONE)
    assert high == pytest.approx(0.055)
    assert low == pytest.approx(0.0)


def test_a_setpoint_that_can_no_longer_stop_is_counted() -> None:
    position = np.array([[0.93], [0.94], [0.95]])
    found = judge_setpoints(position, BOUNDS, PERIOD, np.ones((3, 1)), np.zeros((3, 1)))
    assert (found.position, found.velocity, found.stop) == (0, 0, 1)  # 0.95 + 0.055 lies outside, 0.94 + 0.055 inside


def test_a_sender_that_lies_about_its_speed_is_counted() -> None:
    position = np.array([[0.0], [0.01], [0.02]])
    assert judge_setpoints(position, BOUNDS, PERIOD, np.ones((3, 1)), np.zeros((3, 1))).stop == 0
    assert judge_setpoints(position, BOUNDS, PERIOD, np.zeros((3, 1)), np.zeros((3, 1))).stop == 2


def test_the_stop_is_the_one_that_another_library_finds() -> None:
    """Sampled along ruckig's trajectory, whose own `position_extrema` are wrong for a stop (version 0.19.4)."""
    generator = np.random.default_rng(0)
    planner, given, found = Ruckig(1), InputParameter(1), Trajectory(1)
    given.control_interface = ControlInterface.Velocity
    for _ in range(300):
        a_limit, j_limit = generator.uniform(1.0, 50.0), generator.uniform(10.0, 2000.0)
        position, velocity = generator.uniform(-2.0, 2.0), generator.normal() * 2.0
        acceleration = generator.uniform(-a_limit, a_limit) * generator.choice([0.0, 1.0])
        given.max_velocity, given.max_acceleration, given.max_jerk = [10.0], [a_limit], [j_limit]
        given.current_position, given.current_velocity = [position], [velocity]
        given.current_acceleration = [acceleration]
        planner.calculate(given, found)
        sampled = [found.at_time(time)[0][0] for time in np.linspace(0.0, found.duration, 400)]
        state = (position * ONE, velocity * ONE, acceleration * ONE)
        low, high = stop_extrema(*state, a_limit * ONE, j_limit * ONE)
        # A sample misses the turning point by less than the acceleration allows in half the time between two.
        room = a_limit * (found.duration / 399.0) ** 2 / 8.0 + 1e-9
        assert low[0] - 1e-9 <= min(sampled) <= low[0] + room
        assert high[0] - room <= max(sampled) <= high[0] + 1e-9
