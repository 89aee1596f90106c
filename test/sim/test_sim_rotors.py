"""Tests of mixer, motors and the loop on body rates: pure arithmetic, against what can be worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from flights import quad
from hypothesis import given, settings
from hypothesis import strategies as st

from ppo_robot.mdp.airframe import Airframe
from ppo_robot.sim.rotors import Mixer, Motors, RateLoop, wrench_of

AIRFRAME = Airframe(quad())
LOW, HIGH = 0.1, 4.5
WRENCH = st.tuples(*(st.floats(-most, most) for most in (40.0, 5.0, 5.0, 2.0)))


def given_by(thrust: np.ndarray) -> np.ndarray:
    return wrench_of(AIRFRAME.allocation, thrust)


def test_a_rotor_lifts_tips_and_turns_the_robot_as_it_should() -> None:
    front_left, rear_left = np.array([[1.0, 0.0, 0.0, 0.0]]), np.array([[0.0, 1.0, 0.0, 0.0]])
    # On the left it rolls the robot to the right (+x), in front it raises the nose (-y); spinning cw, it turns it ccw.
    assert given_by(front_left)[0] == pytest.approx([1.0, 0.1, -0.1, 0.016])
    assert given_by(rear_left)[0] == pytest.approx([1.0, 0.1, 0.1, -0.016])


def test_what_fits_is_given_exactly() -> None:
    wanted = np.array([[7.848, 0.0, 0.0, 0.0], [8.0, 0.2, -0.1, 0.02], [6.0, -0.1, 0.15, -0.03]])
    thrust = Mixer(AIRFRAME).share(wanted)
    assert given_by(thrust) == pytest.approx(wanted, abs=1e-12)
    assert thrust[0] == pytest.approx([1.962] * 4)


@settings(max_examples=200, deadline=None)
@given(WRENCH)
def test_what_does_not_fit_is_given_up_in_order(wrench: tuple[float, ...]) -> None:
    wanted = np.array([wrench])
    thrust = Mixer(AIRFRAME).share(wanted)
    assert (thrust >= LOW).all() and (thrust <= HIGH).all()
    lift, roll, pitch, turn = given_by(thrust)[0]
    # Roll and pitch keep their direction, and no turn is given against what was asked.
    assert roll * wrench[2] == pytest.approx(pitch * wrench[1], abs=1e-9)
    assert roll * wrench[1] >= -1e-12 and pitch * wrench[2] >= -1e-12 and turn * wrench[3] >= -1e-12
    assert abs(turn) <= abs(wrench[3]) + 1e-12
    if abs(wrench[1]) + abs(wrench[2]) <= 0.2 * (HIGH - LOW):  # what tips the robot fits between both ends
        assert [roll, pitch] == pytest.approx(wrench[1:3], abs=1e-9)


def test_roll_comes_before_lift_and_lift_before_turning() -> None:
    share = Mixer(AIRFRAME).share
    assert given_by(share(np.array([[17.0, 0.4, 0.0, 0.0]])))[0] == pytest.approx([14.0, 0.4, 0.0, 0.0])
    assert given_by(share(np.array([[17.6, 0.0, 0.0, 1.0]])))[0] == pytest.approx([17.6, 0.0, 0.0, 0.016 * 0.4])
    assert given_by(share(np.array([[99.0, 0.0, 0.0, 0.0]])))[0, 0] == pytest.approx(18.0)
    assert given_by(share(np.array([[-9.0, 0.0, 0.0, 0.0]])))[0, 0] == pytest.approx(0.4)


def test_a_motor_is_a_first_order_lag() -> None:
    motors = Motors(AIRFRAME, 0.005, 2)
    motors.reset(np.full((2, 4), 2.0), np.arange(2))
    motors.apply({"rotor_lag": np.array([[1.0] * 4, [2.0, 0.0, 1.0, 1.0]])}, np.arange(2))
    for step in range(1, 20):
        thrust = motors.advance(np.full((2, 4), 3.0))
        passed = 0.005 * step
        assert thrust[0] == pytest.approx([3.0 - math.exp(-passed / 0.03)] * 4)
        assert thrust[1, :2] == pytest.approx([3.0 - math.exp(-passed / 0.06), 3.0])


def test_a_weak_rotor_gives_its_share_at_once_and_a_reset_forgets_what_was() -> None:
    motors = Motors(AIRFRAME, 0.005, 1)
    motors.apply({"rotor_strength": np.array([[0.5, 1.0, 1.0, 1.1]])}, np.arange(1))
    motors.reset(np.full((1, 4), 2.0), np.arange(1))
    assert motors.thrust[0] == pytest.approx([1.0, 2.0, 2.0, 2.2])
    for _ in range(500):
        motors.advance(np.full((1, 4), 4.0))
    assert motors.thrust[0] == pytest.approx([2.0, 4.0, 4.0, 4.4])
    motors.apply({"rotor_strength": np.ones((1, 4))}, np.arange(1))
    motors.reset(np.full((1, 4), 2.0), np.arange(1))
    assert np.array_equal(motors.thrust, np.full((1, 4), 2.0))


def test_the_rate_loop_asks_for_what_removes_the_error_and_holds_a_spin() -> None:
    loop, inertia = RateLoop(AIRFRAME), AIRFRAME.inertia
    still, wanted = np.zeros((1, 3)), np.array([[1.0, -2.0, 0.5]])
    assert loop.torque(wanted, still)[0] == pytest.approx(inertia * [20.0, -40.0, 4.0])
    rate = np.array([[1.0, 2.0, 3.0]])
    assert loop.torque(rate, rate)[0] == pytest.approx(np.cross(rate[0], inertia * rate[0]))


def test_rows_do_not_know_of_each_other() -> None:
    rng = np.random.default_rng(0)
    wanted = rng.normal(0.0, 1.0, (33, 4)) * [9.0, 1.0, 1.0, 0.1] + [8.0, 0.0, 0.0, 0.0]
    rate = rng.normal(0.0, 3.0, (33, 3))
    mixer, loop = Mixer(AIRFRAME), RateLoop(AIRFRAME)
    whole, torque = mixer.share(wanted), loop.torque(wanted[:, 1:], rate)
    for row in range(33):
        one = slice(row, row + 1)
        assert np.array_equal(mixer.share(wanted[one])[0], whole[row])
        assert np.array_equal(loop.torque(wanted[one, 1:], rate[one])[0], torque[row])
        assert np.array_equal(given_by(whole[one])[0], given_by(whole)[row])
