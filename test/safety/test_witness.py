"""Tests for ppo_robot.safety.witness: it finds what is wrong, at numbers worked out by hand, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from ruckig import ControlInterface, InputParameter, Ruckig, Trajectory

from ppo_robot.safety.witness import TOLERANCE, Bounds, Violations, judge_setpoints, stop_extrema

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


UNIT = Bounds(-ONE, 4.0 * ONE, ONE, ONE, ONE)
"""Limits of 1 with a period of 1 s; the larger position limit gives positions a tolerance of 4e-6 rad."""


def judge_unit(*position: float, lower: float = -1.0, upper: float = 4.0) -> Violations:
    column = np.array(position)[:, None]
    still = np.zeros_like(column)
    bounds = Bounds(lower * ONE, upper * ONE, UNIT.velocity, UNIT.acceleration, UNIT.jerk)
    return judge_setpoints(column, bounds, 1.0, still, still)


@pytest.mark.parametrize(
    ("lower", "upper", "room"), [(-1.0, 4.0, 4e-6), (-4.0, 1.0, 4e-6), (-0.5, 0.25, 1e-6), (-0.25, 0.5, 1e-6)]
)
def test_positions_have_a_tolerance_of_the_larger_limit_and_of_a_radian_at_least(
    lower: float, upper: float, room: float
) -> None:
    for inside in (lower - room, upper + room):
        found = judge_unit(inside, lower=lower, upper=upper)
        assert (found.position, found.stop) == (0, 0)
    for outside in (lower - 1.001 * room, upper + 1.001 * room):
        found = judge_unit(outside, lower=lower, upper=upper)
        assert (found.position, found.stop) == (1, 1)  # standing there, it rests outside, too


def test_a_limit_may_be_used_up_to_its_tolerance() -> None:
    at = 1.0 + TOLERANCE
    assert judge_unit(0.0, at).velocity == 0
    assert judge_unit(0.0, -at).velocity == 0
    assert judge_unit(0.0, 1.000002).velocity == 1
    assert judge_unit(0.0, 0.0, at).acceleration == 0
    assert judge_unit(0.0, 0.0, 1.000002).acceleration == 1
    assert judge_unit(0.0, 0.0, 0.0, at).jerk == 0
    assert judge_unit(0.0, 0.0, 0.0, 1.000002).jerk == 1
    found = judge_unit(0.0, 0.25, 0.0, 0.125)
    assert (found.velocity_used, found.acceleration_used, found.jerk_used) == (0.25, 0.5, 0.875)
    found = judge_unit(1.0)
    assert (found.velocity_used, found.acceleration_used, found.jerk_used) == (0.0, 0.0, 0.0)


def test_all_kinds_count_in_the_total() -> None:
    assert Violations(1, 2, 4, 8, 16, 0.0, 0.0, 0.0).total == 31


def test_shares_are_of_each_joints_own_limits_and_of_the_period() -> None:
    bounds = Bounds(*(np.array(pair) for pair in ((-9.0, -9.0), (9.0, 9.0), (1.0, 2.0), (4.0, 8.0), (16.0, 64.0))))
    position = np.array([[0.0, 0.0], [0.125, 0.0], [0.25, 0.5]])
    still = np.zeros_like(position)
    found = judge_setpoints(position, bounds, 0.5, still, still)
    assert found.velocity_used == 0.5  # 1 rad/s of 2; the other joint 0.25 rad/s of 1
    assert found.acceleration_used == 0.25  # 2 rad/s^2 of 8
    found = judge_setpoints(np.vstack([position, position[-1:]]), bounds, 0.5, still[[0, 0, 0, 0]], still[[0, 0, 0, 0]])
    assert found.jerk_used == 0.125  # from 2 to -2 rad/s^2 in 0.5 s, of 64


def states(velocity: list[float], acceleration: list[float], position: list[float]) -> int:
    """Return how many of these setpoints are stuck or contradict those before, far from any position limit."""
    columns = [np.array(values)[:, None] for values in (position, velocity, acceleration)]
    bounds = Bounds(-1e3 * ONE, 1e3 * ONE, 4.0 * ONE, 1e3 * ONE, 6.0 * ONE)
    return judge_setpoints(columns[0], bounds, 0.5, columns[1], columns[2]).stop


def test_a_velocity_may_differ_from_the_mean_by_what_the_jerk_allows() -> None:
    # Mean 1 rad/s, acceleration 2 rad/s^2 at the end: 1.5 rad/s there if it was constant, 6 x 0.25 / 3 = 0.5 around it.
    room = 0.5 + 4.0 * TOLERANCE
    for sign in (1.0, -1.0):
        assert states([1.0, 1.5 + sign * (room - 1e-9)], [2.0, 2.0], [0.0, 0.5]) == 0
        assert states([1.0, 1.5 + sign * (room + 1e-9)], [2.0, 2.0], [0.0, 0.5]) == 1
    at = 6.0 * 0.5**2 / 3.0 + 4.0 * TOLERANCE
    assert states([0.0, at], [0.0, 0.0], [0.0, 0.0]) == 0
    assert states([0.0, np.nextafter(at, 1.0)], [0.0, 0.0], [0.0, 0.0]) == 1


def test_an_acceleration_may_change_by_what_the_jerk_allows() -> None:
    room = 3.0 * (1.0 + TOLERANCE)
    for sign in (1.0, -1.0):
        good, bad = sign * room, sign * (room + 1e-9)
        assert states([0.0, good / 4.0], [0.0, good], [0.0, 0.0]) == 0
        assert states([0.0, bad / 4.0], [0.0, bad], [0.0, 0.0]) == 1


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_counted(broken: float) -> None:
    assert states([broken, 0.0], [0.0, 0.0], [0.0, 0.0]) >= 1
    assert states([0.0], [broken], [0.0]) == 1
    assert states([broken], [0.0], [0.0]) == 1


def test_the_stop_from_a_speed_by_hand() -> None:
    # From 1 rad/s at 10 rad/s^2 and 1000 rad/s^3: ramps of 0.01 s, plateau of 0.09 s; half the speed times 0.11 s.
    low, high = stop_extrema(0.0 * ONE, ONE, 0.0 * ONE, 10.0 * ONE, 1000.0 * ONE)
    assert high == pytest.approx(0.055)
    assert low == pytest.approx(0.0)


def test_the_stop_of_a_slow_joint_by_hand() -> None:
    # From 1 rad/s at 0.5 rad/s^2 and 1 rad/s^3: ramps of 0.5 s, plateau of 1.5 s; half the speed times 2.5 s.
    low, high = stop_extrema(0.0 * ONE, -ONE, 0.0 * ONE, 0.5 * ONE, ONE)
    assert low == pytest.approx(-1.25)
    assert high == pytest.approx(0.0)


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
