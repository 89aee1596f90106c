"""Tests for ppo_robot.safety.stepper: single steps and speeds worked out by hand, and the stop that may come late."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from ruckig import Synchronization

from ppo_robot.safety.body import LinkBody
from ppo_robot.safety.brake import ROUNDING, Brake
from ppo_robot.safety.guard import Guard, Rest, Way
from ppo_robot.safety.limits import SafetyLimits, make_limits
from ppo_robot.safety.reasons import Limit
from ppo_robot.safety.setpoint import Setpoint
from ppo_robot.safety.stepper import TARGET_SHARE, Stepper, _aim, _peak_velocity, _reachable, _surely_stops
from ppo_robot.safety.witness import Bounds, judge_setpoints, stop_extrema
from ppo_robot.spec.robot import RobotSpec
from ppo_robot.spec.safety import SafetySpec

PERIOD = 0.004
STILL = (0.0, 0.0, 0.0)
LIMITS = SafetyLimits(
    joint_names=("a", "b", "c"),
    lower=(-1.0, -0.5, -3.0),
    upper=(1.0, 0.25, 3.0),
    velocity=(3.0, 1.0, 6.0),
    acceleration=(15.0, 5.0, 60.0),
    jerk=(300.0, 100.0, 3000.0),
    effort=(100.0, 50.0, 10.0),
)
JERK = np.array(LIMITS.jerk)


def make(latency: float = 0.02, position: tuple[float, ...] = STILL) -> Stepper:
    stepper = Stepper(LIMITS, PERIOD, latency)
    stepper.begin(position)
    return stepper


def leaving(setpoint: Setpoint, late: float) -> np.ndarray:
    """Return how far beyond its limits each joint gets, rad, if it goes on for `late` s and then stops."""
    p, v, a = (np.array(getattr(setpoint, name)) for name in ("position", "velocity", "acceleration"))
    p, v = p + v * late + a * late**2 / 2.0, v + a * late
    low, high = stop_extrema(p, v, a, np.array(LIMITS.acceleration), JERK)
    return np.maximum(np.array(LIMITS.lower) - low, high - np.array(LIMITS.upper))


def test_before_it_begins_it_stands_at_zero() -> None:
    stepper = Stepper(LIMITS, PERIOD, 0.02)
    assert stepper.begun is False
    assert stepper.forbidden == Limit(0)
    assert stepper.at_rest
    assert stepper.setpoint == Setpoint(STILL, STILL, STILL)
    assert (stepper.lower, stepper.upper) == (LIMITS.lower, LIMITS.upper)


def test_it_begins_at_rest_where_it_is_told() -> None:
    stepper = make(position=(0.5, -0.25, 2.0))
    assert stepper.begun and stepper.at_rest
    assert stepper.setpoint == Setpoint((0.5, -0.25, 2.0), STILL, STILL)
    stepper.stop()
    assert stepper.setpoint == Setpoint((0.5, -0.25, 2.0), STILL, STILL)


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_the_first_step_is_all_jerk(side: float) -> None:
    stepper = make()
    assert stepper.advance([0.9 * side, 0.2 * side, 2.9 * side], STILL, STILL) == (False, False, False)
    assert stepper.forbidden == Limit(0)
    assert stepper.setpoint.acceleration == pytest.approx(side * JERK * PERIOD)
    assert stepper.setpoint.velocity == pytest.approx(side * JERK * PERIOD**2 / 2.0)
    assert stepper.setpoint.position == pytest.approx(side * JERK * PERIOD**3 / 6.0)
    assert not stepper.at_rest


def test_the_first_step_of_a_stop_is_all_jerk_against_the_motion() -> None:
    stepper = make()
    for _ in range(20):
        stepper.advance([0.0, 0.0, 2.9], STILL, STILL)
    before = stepper.setpoint
    stepper.stop()
    assert stepper.setpoint.acceleration == pytest.approx((0.0, 0.0, before.acceleration[2] - JERK[2] * PERIOD))
    assert stepper.setpoint.position[:2] == (0.0, 0.0)


def test_a_slow_joint_stops_no_earlier_than_a_fast_one() -> None:
    stepper, last = make(), [0, 0]
    for _ in range(60):
        stepper.advance([0.9, 0.0, 0.5], STILL, STILL, (1.0, 1.0, 0.125))
    assert stepper.setpoint.velocity == pytest.approx((2.9, 0.0, 0.75), abs=0.1)
    for step in range(200):
        stepper.stop()
        assert stepper.forbidden == Limit(0)
        for place, joint in enumerate((0, 2)):
            if abs(stepper.setpoint.velocity[joint]) > 1e-6:
                last[place] = step
    assert last[0] > 50  # 3 rad/s at 15 rad/s^2 and 300 rad/s^3: 0.25 s
    assert abs(last[1] - last[0]) <= 3
    assert stepper.at_rest


def test_a_share_of_the_speed_for_all_joints_or_for_each() -> None:
    for speed, shares in ((0.5, (0.5, 0.5, 0.5)), ((0.25, 0.5, 0.125), (0.25, 0.5, 0.125))):
        for side in (1.0, -1.0):
            stepper, fastest = make(position=(-0.9 * side, -0.2 * side, -2.9 * side)), np.zeros(3)
            for _ in range(150):
                stepper.advance([0.9 * side, 0.2 * side, 2.9 * side], STILL, STILL, speed)
                fastest = np.maximum(fastest, side * np.array(stepper.setpoint.velocity))
            assert fastest == pytest.approx(np.array(shares) * LIMITS.velocity, rel=1e-6)


def test_a_target_that_moves_at_the_limit_is_followed_at_its_share() -> None:
    for side in (1.0, -1.0):
        stepper = make(position=(0.0, 0.0, -2.9 * side))
        for step in range(1, 200):
            moved = side * 6.0 * step * PERIOD
            stepper.advance([0.0, 0.0, -2.9 * side + moved], [0.0, 0.0, side * 60.0], STILL)
        assert stepper.setpoint.velocity[2] == pytest.approx(side * 6.0, rel=0.005)
        assert abs(stepper.setpoint.velocity[2]) > 6.0 * TARGET_SHARE


def follow(start: float, target: float, velocity: float, acceleration: float, steps: int) -> tuple[np.ndarray, bool]:
    """Let joint c follow a target; return its position, velocity and acceleration (T, 3), and whether it was refused.

    `velocity` is the target's at the beginning, the others rest.
    """
    stepper = make(position=(0.0, 0.0, start))
    sent, refused = [stepper.setpoint], False
    for step in range(1, steps + 1):
        time = step * PERIOD
        moving = velocity + acceleration * time
        at = target + velocity * time + acceleration * time**2 / 2.0
        refused |= stepper.advance([0.0, 0.0, at], [0.0, 0.0, moving], [0.0, 0.0, acceleration])[2]
        sent.append(stepper.setpoint)
    rows = np.array([(one.position, one.velocity, one.acceleration) for one in sent])
    names = ("lower", "upper", "velocity", "acceleration", "jerk")
    bounds = Bounds(*(np.array(getattr(LIMITS, name)) for name in names))
    assert judge_setpoints(rows[:, 0], bounds, PERIOD, rows[:, 1], rows[:, 2]).total == 0
    return rows[:, :, 2], refused


@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize(
    ("start", "target", "velocity", "fastest"),
    [
        (-2.5, -1.0, 3.0, 6.0),  # after a target that runs away
        (-2.5, 2.0, -1.5, 6.0),  # towards one that comes
        (2.5, -2.0, 1.5, -6.0),  # back towards one that comes
        (2.5, 1.0, -3.0, -6.0),
    ],
)
def test_all_of_the_speed_is_used_to_catch_up_and_no_more(
    side: float, start: float, target: float, velocity: float, fastest: float
) -> None:
    rows, refused = follow(side * start, side * target, side * velocity, 0.0, 230)
    speeds = side * np.sign(fastest) * rows[:, 1]
    assert speeds.max() == pytest.approx(6.0, rel=0.01)
    assert not refused
    ahead = side * (target + velocity * 230 * PERIOD)
    assert rows[-1, 0] == pytest.approx(ahead, abs=1e-3)
    assert rows[-1, 1] == pytest.approx(side * velocity, abs=1e-3)


@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize("acceleration", [20.0, -20.0])
def test_all_of_the_acceleration_is_used_to_catch_up_and_no_more(side: float, acceleration: float) -> None:
    velocity = -0.06 * acceleration
    rows, refused = follow(0.0, side * 0.5, side * velocity, side * acceleration, 50)
    assert rows[:, 2].max() == pytest.approx(60.0, rel=0.01)
    assert rows[:, 2].min() == pytest.approx(-60.0, rel=0.01)
    assert not refused


def test_a_target_that_turns_is_followed_with_its_acceleration() -> None:
    for side in (1.0, -1.0):
        rows, refused = follow(0.0, 0.0, side * -3.0, side * 12.0, 120)
        time = 120 * PERIOD
        expected = side * np.array([-3.0 * time + 6.0 * time**2, -3.0 + 12.0 * time, 12.0])
        assert rows[-1] == pytest.approx(expected, abs=1e-3)
        assert not refused


def test_to_catch_up_with_a_target_that_slows_down_less_speed_is_left() -> None:
    for side in (1.0, -1.0):  # 20 rad/s^2 for 4 ms: it was faster by 0.08 rad/s when the step began
        rows, refused = follow(side * -2.9, side * 0.5, side * 5.0, side * -20.0, 100)
        assert 5.85 < side * rows[-1, 1] <= 5.92
        assert not refused


def test_of_a_target_that_is_too_fast_a_share_is_followed_now_and_a_period_ago() -> None:
    # 2 % of 1 rad/s are left at 100 rad/s^3: a^2 / 200 = 0.98 x 0.02, a = 1.98 rad/s^2, which is 7.9 mrad/s in 4 ms.
    room, turning = (-1.0, 1.0, 1.0, 50.0, 100.0), 3.92**0.5
    for side in (1.0, -1.0):
        faster = _aim(room, 0.5, side * 2.0, side * 3.0, 1.0, PERIOD)
        assert faster == pytest.approx((0.5, side * 0.98, side * turning, 1.0))
        slower = _aim(room, 0.5, side * 2.0, side * -3.0, 1.0, PERIOD)
        assert slower == pytest.approx((0.5, side * (0.98 - turning * PERIOD), side * -turning, 1.0))


def test_the_acceleration_of_a_target_leaves_room_for_its_velocity() -> None:
    # From 0.5 to 0.98 of what is left to 1 rad/s at 100 rad/s^3: a^2 / 200 = 0.49, a = 9.899 rad/s^2.
    for velocity in (0.5, -0.5):
        for sign in (1.0, -1.0):
            assert _reachable(sign * 20.0, velocity, 1.0, 50.0, 100.0) == pytest.approx(sign * 98.0**0.5)
            assert _reachable(sign * 20.0, velocity, 1.0, 5.0, 100.0) == sign * 4.5
            assert _reachable(sign * 3.0, velocity, 1.0, 50.0, 100.0) == sign * 3.0
    assert _reachable(20.0, 1.5, 1.0, 50.0, 100.0) == 0.0
    assert _reachable(20.0, 1.0, 1.0, 50.0, 100.0) == 0.0
    assert _reachable(20.0, 0.0, 1.0, 50.0, 100.0) == pytest.approx(14.0)


def test_a_velocity_that_yet_rises_beyond_its_limit_is_seen() -> None:
    # 15 rad/s^2 at 300 rad/s^3 add 0.375 rad/s; 5 at 100 add 0.125, 60 at 3000 add 0.6.
    for sign in (1.0, -1.0):
        at = Setpoint(STILL, (sign * 2.625, sign * 0.875, sign * 5.4), (sign * 15.0, sign * 5.0, sign * 60.0))
        assert _peak_velocity(at, LIMITS) == [False, False, False]
        over = Setpoint(STILL, (sign * 2.6251, sign * 0.875, sign * 5.4001), at.acceleration)
        assert _peak_velocity(over, LIMITS) == [True, False, True]
        falling = Setpoint(STILL, (sign * 3.0, sign * 1.0, sign * 6.0), tuple(-a for a in at.acceleration))
        assert _peak_velocity(falling, LIMITS) == [False, False, False]


SLOW = SafetyLimits(("a", "b"), (-9.0, -9.0), (9.0, 9.0), (9.0, 9.0), (4.0, 4.0), (8.0, 8.0), (1.0, 1.0))


def surely(velocity: float, acceleration: float, low: float, high: float, fastest: float = 9.0) -> tuple[bool, bool]:
    """Return for a joint at 0.5 rad, as the first and as the second of two, whether it is sure to keep its limits."""
    limits = dataclasses.replace(SLOW, velocity=(9.0, fastest))
    other = dataclasses.replace(SLOW, velocity=(fastest, 9.0))
    second = Setpoint((0.0, 0.5), (0.0, velocity), (0.0, acceleration))
    first = Setpoint((0.5, 0.0), (velocity, 0.0), (acceleration, 0.0))
    return (
        _surely_stops(first, 0.25, (low, -9.0), (high, 9.0), other),
        _surely_stops(second, 0.25, (-9.0, low), (9.0, high), limits),
    )


@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize("turn", [1.0, -1.0])
def test_a_stop_that_surely_stays_inside_takes_no_plan(side: float, turn: float) -> None:
    # At 1 rad/s and 2 rad/s^2 with a quarter of a second to go, 4 rad/s^2 and 8 rad/s^3: a speed of 1 + 0.5 + 4 / 16
    # = 1.75, for 0.25 + 0.25 + 1.75 / 4 + 0.5 = 1.4375 s: 2.515625 rad.
    way = 2.515625
    v, a = side * 1.0, turn * 2.0
    assert surely(v, a, 0.5 - way, 0.5 + way, 1.75) == (True, True)
    assert surely(v, a, 0.5 - way + 1e-9, 9.0) == (False, False)
    assert surely(v, a, -9.0, 0.5 + way - 1e-9) == (False, False)
    assert surely(v, a, -9.0, 9.0, 1.75 - 1e-9) == (False, False)
    assert surely(math.nan, a, -9.0, 9.0) == surely(v, math.nan, -9.0, 9.0) == (False, False)


@given(
    velocity=st.tuples(*[st.floats(-2.0, 2.0)] * 2),
    acceleration=st.tuples(*[st.floats(-4.0, 4.0)] * 2),
    late=st.floats(0.0, 0.5),
    room=st.floats(0.0, 14.0),
)
def test_what_surely_stops_inside_does(
    velocity: tuple[float, float], acceleration: tuple[float, float], late: float, room: float
) -> None:
    at = Setpoint((0.0, 0.0), velocity, acceleration)
    low, high = (-room, -room), (room, room)
    assume(_surely_stops(at, late, low, high, SLOW))
    rows = [(v * late + a * late * late / 2.0, v + a * late, a) for v, a in zip(velocity, acceleration, strict=True)]
    behind, stop = Setpoint(*zip(*rows, strict=True)), Brake(SLOW, Synchronization.No)
    assert not any(_peak_velocity(at, SLOW)) and not any(_peak_velocity(behind, SLOW))
    assert stop.plan(behind)
    assert not any(stop.leaves(low, high))


def test_a_target_outside_is_one_at_the_limit_that_rests() -> None:
    one, other = make(), make()
    for _ in range(300):
        one.advance([5.0, -5.0, 4.0], [2.0, 1.0, -1.0], [9.0, -3.0, 2.0])
        other.advance([1.0, -0.5, 3.0], STILL, STILL)
        assert one.setpoint == other.setpoint


@pytest.mark.parametrize("side", [-1.0, 1.0])
@pytest.mark.parametrize("velocity", [-0.5, 0.5])
def test_a_target_at_the_limit_is_one_that_rests(side: float, velocity: float) -> None:
    at = [side, 0.25, 3.0 * side]
    moving, resting = make(), make()
    for _ in range(100):
        moving.advance(at, [velocity] * 3, [velocity] * 3)
        resting.advance(at, STILL, STILL)
        assert moving.setpoint == resting.setpoint
    assert abs(moving.setpoint.position[0]) > 0.1


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_a_slow_joint_catches_up_with_a_target_that_is_as_fast_as_may_be(side: float) -> None:
    """Only the share that is kept for it is left then: 2 mrad/s of 0.1 rad/s."""
    limits = dataclasses.replace(LIMITS, velocity=(0.1, 0.1, 0.1))
    stepper, speed = Stepper(limits, PERIOD, 0.02), TARGET_SHARE * 0.1 * side
    stepper.begin(STILL)
    for step in range(500):
        assert stepper.advance([speed * PERIOD * step] * 3, [speed] * 3, STILL) == (False, False, False)
        assert max(map(abs, stepper.setpoint.velocity)) <= 0.1 + ROUNDING
    assert abs(stepper.setpoint.position[2] - speed * PERIOD * step) < 1e-3


def test_where_the_planner_finds_no_stop_the_one_before_goes_on() -> None:
    stepper = make()
    for _ in range(50):
        stepper.advance([0.9, 0.1, 2.0], STILL, STILL)
    expected = [stepper._stop.at(PERIOD * step) for step in range(1, 101)]
    for brake in (stepper._trial, stepper._together):
        brake.plan = lambda setpoint: False
    found = []
    for step in range(100):
        if step % 2:
            stepper.stop()
        else:
            assert stepper.advance([0.9, 0.1, 2.0], STILL, STILL) == (True, True, True)
        found.append(stepper.setpoint)
    for name in ("position", "velocity", "acceleration"):
        ways = [np.array([getattr(one, name) for one in way]) for way in (found, expected)]
        assert ways[0] == pytest.approx(ways[1], abs=1e-9)
    assert max(map(abs, stepper.setpoint.velocity)) < 1e-9


def test_what_is_no_number_stops_every_joint() -> None:
    stepper = make()
    for _ in range(30):
        stepper.advance([0.9, 0.2, 2.9], STILL, STILL)
    for _ in range(200):
        assert stepper.advance([math.nan, 0.1, 0.1], STILL, STILL) == (True, True, True)
    assert stepper.at_rest
    assert stepper.advance([0.1, 0.1, 0.1], STILL, STILL) == (False, False, False)


@pytest.mark.parametrize("given", range(3))
def test_a_target_needs_a_number_for_each_joint(given: int) -> None:
    rows: list[list[float]] = [[0.1] * 3, [0.0] * 3, [0.0] * 3]
    rows[given] = rows[given][:2]
    stepper = make()
    with pytest.raises(ValueError):
        stepper.advance(*rows)
    with pytest.raises(ValueError):
        stepper.advance([0.1] * 3, STILL, STILL, (1.0, 1.0))


@pytest.mark.parametrize("latency", [0.0, 0.02, 0.08])
@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_stop_may_come_late_from_every_setpoint(latency: float, side: float) -> None:
    stepper, most = make(latency), np.full(3, -np.inf)
    refused = np.zeros(3, dtype=bool)
    for step in range(300):  # towards a limit at full speed, and on beyond it
        moved = np.array(LIMITS.velocity) * step * PERIOD * side
        refused |= stepper.advance(moved.tolist(), (np.array(LIMITS.velocity) * side).tolist(), STILL)
        most = np.maximum(most, leaving(stepper.setpoint, latency))
    assert most.max() <= ROUNDING + 1e-12
    assert most.min() > -0.02  # and it goes there
    assert refused.all() if latency else refused.any()


def test_outside_its_limits_a_joint_has_a_limit_that_follows_it_inward() -> None:
    stepper = make(position=(1.5, -0.75, 0.0))
    assert (stepper.lower, stepper.upper) == ((-1.0, -0.75, -3.0), (1.5, 0.25, 3.0))
    for _ in range(100):
        stepper.advance([0.0, 0.0, 0.0], STILL, STILL)
        for joint in (0, 1):
            at = stepper.setpoint.position[joint]
            assert stepper.upper[joint] == (max(1.0, at) if joint == 0 else 0.25)
            assert stepper.lower[joint] == (min(-0.5, at) if joint == 1 else -1.0)
    for _ in range(300):
        stepper.advance([0.0, 0.0, 0.0], STILL, STILL)
    assert (stepper.lower, stepper.upper) == (LIMITS.lower, LIMITS.upper)


class WatchedGuard(Guard):
    """A guard that keeps what the stepper asked it last."""

    def forbids(self, rest: list[float], way: Way, rest_before: Rest, way_before: Way) -> Limit:
        self.rests, self.ways = (rest[1], rest_before()[1]), (list(way()), list(way_before()))
        return super().forbids(rest, way, rest_before, way_before)


def left(part: float) -> float:
    """Return the share of the speed that is left after a part of a stop that is all jerk: up, and down again."""
    return 1.0 - 2.0 * part**2 if part < 0.5 else 2.0 * (1.0 - part) ** 2


def test_the_guard_is_shown_the_stop_behind_a_step_and_the_one_behind_the_setpoint_before(
    rail_robot: RobotSpec,
) -> None:
    # 0.25 m/s at 100 m/s^3 take 2 sqrt(0.25 / 100) = 0.1 s and 0.25 / 2 x 0.1 = 0.0125 m to rest.
    spec = SafetySpec(tool_lower=(-9.0, -9.0, -9.0), tool_upper=(1.25, 9.0, 9.0), latency=0.02)
    limits = make_limits(rail_robot, spec)
    guard = WatchedGuard(LinkBody(rail_robot), spec)
    stepper = Stepper(limits, PERIOD, spec.latency, guard)
    stepper.begin([0.0, 0.25, 0.5])
    assert guard.clearance == 0.125
    before = stepper.setpoint
    for _ in range(1000):
        before = stepper.setpoint
        stepper.advance([0.0, 0.9, 0.5], STILL, STILL, 0.25)
        if stepper.forbidden:
            break
    assert stepper.forbidden == Limit.WORKSPACE
    assert before.velocity[1] == pytest.approx(0.25)
    step = guard.ways[0][0]
    assert guard.ways[1][0] == before
    assert step.position[1] == pytest.approx(before.position[1] + 0.001)
    for way in guard.ways:
        assert [one.velocity[1] for one in way] == pytest.approx([0.25 * left(place / 8) for place in range(8)])
    assert guard.rests == pytest.approx([start.position[1] + 0.0125 + 0.25 * 0.02 for start in (step, before)])
    # The stop goes on; what is then before is a part of it.
    for along in (1, 2, 3):
        began = along * PERIOD / 0.1
        assert stepper.setpoint.velocity[1] == pytest.approx(0.25 * left(began))
        stepper.advance([0.0, 0.9, 0.5], STILL, STILL, 0.25)
        expected = [0.25 * left(began + (1.0 - began) * place / 8) for place in range(8)]
        assert [one.velocity[1] for one in guard.ways[1]] == pytest.approx(expected)
        assert stepper.forbidden == Limit.WORKSPACE
    stepper.stop()
    assert stepper.forbidden == Limit(0)
