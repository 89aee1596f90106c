"""Tests for ppo_robot.safety.stepper: limits by construction, a stop from every setpoint, and it arrives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppo_robot.safety.limits import SafetyLimits
from ppo_robot.safety.setpoint import Setpoint
from ppo_robot.safety.stepper import Stepper
from ppo_robot.safety.witness import Bounds, Violations, judge_setpoints

PERIOD = 0.004
STILL = (0.0, 0.0, 0.0)
LIMITS = SafetyLimits(
    joint_names=("a", "b", "c"),
    lower=(-1.0, -0.5, -3.0),
    upper=(1.0, 0.2, 3.0),
    velocity=(3.0, 1.0, 6.0),
    acceleration=(15.0, 5.0, 60.0),
    jerk=(300.0, 100.0, 3000.0),
    effort=(100.0, 50.0, 10.0),
)
BOUNDS = Bounds(*(np.array(getattr(LIMITS, name)) for name in ("lower", "upper", "velocity", "acceleration", "jerk")))


def make(latency: float = 0.02, position: tuple[float, ...] = (0.0, 0.0, 0.0)) -> Stepper:
    stepper = Stepper(LIMITS, PERIOD, latency)
    stepper.begin(position)
    return stepper


def judge(sent: list[Setpoint], bounds: Bounds = BOUNDS) -> Violations:
    columns = (np.array([getattr(one, name) for one in sent]) for name in ("position", "velocity", "acceleration"))
    position, velocity, acceleration = columns
    return judge_setpoints(position, bounds, PERIOD, velocity, acceleration)


def test_it_arrives_and_rests_there() -> None:
    stepper = make()
    for _ in range(500):
        assert stepper.advance([0.7, -0.3, 2.0], [0.0] * 3, [0.0] * 3) == (False, False, False)
    assert stepper.setpoint.position == pytest.approx((0.7, -0.3, 2.0), abs=1e-9)
    assert stepper.setpoint.velocity == pytest.approx((0.0,) * 3, abs=1e-9)


def test_it_follows_a_moving_target_without_lag() -> None:
    stepper, sent, errors = make(), [], []
    for step in range(1, 1001):
        time = step * PERIOD
        position, velocity = 0.15 * np.sin(2.0 * time), 0.3 * np.cos(2.0 * time)
        stepper.advance([position] * 3, [velocity] * 3, [-4.0 * position] * 3)
        sent.append(stepper.setpoint)
        errors.append(np.abs(np.array(stepper.setpoint.position) - position).max())
    assert max(errors[200:]) < 2e-3  # what is left of the jump to the target's velocity at the start
    assert judge(sent).total == 0
    assert judge(sent[200:]).jerk_used < 0.3  # and it does not chatter


@pytest.mark.parametrize("latency", [0.0, 0.02, 0.1])
def test_a_target_beyond_every_limit_is_stopped_before_the_limit(latency: float) -> None:
    stepper, sent = make(latency), [make(latency).setpoint]
    for _ in range(1500):
        stepper.advance([1e6, -1e6, 1e6], [1e6, -1e6, 1e6], [1e6, -1e6, 1e6])
        sent.append(stepper.setpoint)
    found = judge(sent)
    assert found.total == 0
    assert found.velocity_used > 0.9  # it used what it was given
    assert stepper.setpoint.position == pytest.approx((1.0, -0.5, 3.0), abs=0.02 + 0.3 * latency)


def test_a_target_at_the_limit_is_reached() -> None:
    stepper = make()
    for _ in range(1500):
        stepper.advance([1.0, 0.2, -3.0], STILL, STILL)
    assert stepper.setpoint.position == pytest.approx((1.0, 0.2, -3.0), abs=1e-3)


def test_all_joints_stop_together_where_there_is_room() -> None:
    stepper = make()
    for _ in range(40):
        stepper.advance([0.9, 0.15, 2.5], STILL, STILL)
    sent, rested = [stepper.setpoint], []
    while not stepper.at_rest and len(sent) < 1000:
        stepper.stop()
        sent.append(stepper.setpoint)
        moving = np.abs(stepper.setpoint.velocity) > 1e-9
        rested.append(tuple(moving.tolist()))
    assert len(sent) < 300
    assert judge(sent).total == 0
    assert (True, False, True) not in rested[:-3]  # none is done long before the others
    assert rested[-1] == (False, False, False)


def test_no_room_to_stop_together_means_each_as_fast_as_it_can() -> None:
    stepper = make(latency=0.0)
    for _ in range(1000):
        stepper.advance([-0.9, 0.2, 2.5], STILL, STILL)
        if stepper.setpoint.position[1] >= 0.12:
            break
    sent = [stepper.setpoint]
    for _ in range(400):
        stepper.stop()
        sent.append(stepper.setpoint)
    assert judge(sent).total == 0
    assert stepper.at_rest


def test_from_outside_it_moves_inward_only_and_never_out_again() -> None:
    stepper = make(position=(1.3, -0.9, 0.0))
    sent = [stepper.setpoint]
    for step in range(1500):
        target = [2.0, -2.0, 0.0] if step % 200 < 100 else [0.9, -0.4, 0.0]
        stepper.advance(target, STILL, STILL)
        sent.append(stepper.setpoint)
    position = np.array([one.position for one in sent])
    outside = position[:, 0] > 1.0
    assert outside[0]
    assert (np.diff(position[outside, 0]) <= 1e-9).all()
    assert (np.diff(position[position[:, 1] < -0.5, 1]) >= -1e-9).all()
    assert position[-1, 0] <= 1.0 + 1e-9
    wide = Bounds(BOUNDS.lower - 1.0, BOUNDS.upper + 1.0, BOUNDS.velocity, BOUNDS.acceleration, BOUNDS.jerk)
    assert judge(sent, wide).total == 0


def test_the_speed_may_be_cut_while_it_moves() -> None:
    stepper, sent = make(), [make().setpoint]
    for step in range(600):
        stepper.advance(
            [0.9, 0.1, 2.9] if step < 300 else [-0.9, -0.4, -2.9], STILL, STILL, 0.1 if step % 40 < 20 else 1.0
        )
        sent.append(stepper.setpoint)
    assert judge(sent).total == 0


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    latency=st.sampled_from([0.0, 0.004, 0.02, 0.08]),
    hold=st.integers(1, 60),
    scale=st.sampled_from([0.01, 0.3, 1.0, 30.0]),
)
def test_no_sequence_of_targets_breaks_a_limit(seed: int, latency: float, hold: int, scale: float) -> None:
    generator = np.random.default_rng(seed)
    start = generator.uniform(BOUNDS.lower, BOUNDS.upper)
    stepper = make(latency, tuple(start))
    sent = [stepper.setpoint]
    for step in range(400):
        if step % hold == 0:
            target = generator.uniform(BOUNDS.lower, BOUNDS.upper) * scale
            velocity = generator.normal(size=3) * BOUNDS.velocity * generator.choice([0.0, 1.0, 100.0])
            speed = float(generator.choice([0.05, 0.5, 1.0]))
            stopping = generator.random() < 0.1
        if stopping:
            stepper.stop()
        else:
            stepper.advance(target, velocity, velocity * 10.0, speed)
        sent.append(stepper.setpoint)
    found = judge(sent)
    assert found.total == 0, found
