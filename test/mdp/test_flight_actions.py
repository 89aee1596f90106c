"""Tests of the path from a policy's output to thrust and body rates."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from flights import quad

from ppo_robot.errors import SpecError
from ppo_robot.mdp.airframe import Airframe
from ppo_robot.mdp.flight_actions import FlightActionPath
from ppo_robot.spec.flight import FlightActionSpec

AIRFRAME = Airframe(quad())
WEIGHT = 0.8 * 9.81


def path(batch: int = 1, **values: float) -> FlightActionPath:
    made = FlightActionPath(FlightActionSpec(**values), AIRFRAME, 9.81, 0.02, batch)  # type: ignore[arg-type]
    made.reset(np.arange(batch))
    return made


def test_zero_is_to_hover_and_one_is_all_that_may_be_asked() -> None:
    made = path(thrust_scale=0.5, rate_scale=0.5)
    assert made.apply(np.zeros((1, 4)))[0] == pytest.approx([WEIGHT, 0.0, 0.0, 0.0])
    assert made.apply(np.full((1, 4), 7.0))[0] == pytest.approx([1.5 * WEIGHT, 3.0, 3.0, 1.0])
    assert made.action.tolist() == [[1.0] * 4] and made.previous_action.tolist() == [[0.0] * 4]


def test_no_command_is_beyond_what_the_rotors_give() -> None:
    weak = dataclasses.replace(quad(), motor=dataclasses.replace(quad().motor, thrust_upper=2.5))
    made = FlightActionPath(FlightActionSpec(), Airframe(weak), 9.81, 0.02, 1)
    made.reset(np.arange(1))
    assert made.apply(np.ones((1, 4)))[0, 0] == 10.0


def test_the_filter_is_a_first_order_lag_and_a_reset_forgets_it() -> None:
    made = path(batch=2, filter_time_constant=0.05, rate_scale=1.0)
    for step in range(1, 4):
        rate = made.apply(np.ones((2, 4)))[0, 1]
        assert rate == pytest.approx(6.0 * (1.0 - math.exp(-0.02 * step / 0.05)))
    made.reset(np.array([1]))
    assert made.apply(np.zeros((2, 4)))[:, 1].tolist() == [pytest.approx(rate * math.exp(-0.4)), 0.0]


def test_an_action_that_is_no_number_changes_nothing() -> None:
    made = path()
    made.apply(np.full((1, 4), 0.5))
    before = made.command.copy()
    with pytest.raises(ValueError, match="not finite"):
        made.apply(np.array([[0.0, np.nan, 0.0, 0.0]]))
    assert np.array_equal(made.command, before) and made.action[0, 0] == 0.5


def test_a_robot_that_cannot_lift_itself_is_refused() -> None:
    weak = dataclasses.replace(quad(), motor=dataclasses.replace(quad().motor, thrust_upper=1.9))
    with pytest.raises(SpecError, match="its rotors lift 7.6 N at most; it weighs 7.848 N"):
        FlightActionPath(FlightActionSpec(), Airframe(weak), 9.81, 0.02, 1)
