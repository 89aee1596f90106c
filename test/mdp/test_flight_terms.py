"""Tests of the terms of flights: values by hand, and a batch of one that computes what a batch of many does."""

from __future__ import annotations

import numpy as np
import pytest
from flights import quad, random_states

from ppo_robot.mdp.airframe import Airframe
from ppo_robot.mdp.flight_observations import FLIGHT_CRITIC_OBSERVATIONS, FLIGHT_OBSERVATIONS
from ppo_robot.mdp.flight_rewards import FLIGHT_REWARDS
from ppo_robot.mdp.flight_terminations import FLIGHT_TERMINATIONS
from ppo_robot.mdp.flight_view import FlightView
from ppo_robot.mdp.rotation import from_vector
from ppo_robot.state import RobotState

AIRFRAME = Airframe(quad())
PARAMETERS = {"near": {"std": 0.3}, "speed_above": {"speed": 2.0}, "tipped": {"angle": 1.7}}
REGISTRIES = (FLIGHT_CRITIC_OBSERVATIONS, FLIGHT_REWARDS, FLIGHT_TERMINATIONS)
TERMS = [(registry, name) for registry in REGISTRIES for name in registry.names]


def random_view(batch: int, seed: int) -> FlightView:
    rng = np.random.default_rng(seed)
    return FlightView(
        airframe=AIRFRAME,
        state=random_states(batch, seed),
        waypoint=rng.uniform(*AIRFRAME.cage, (batch, 3)),
        next_waypoint=rng.uniform(*AIRFRAME.cage, (batch, 3)),
        reached=rng.random(batch) < 0.5,
        action=rng.uniform(-1.0, 1.0, (batch, 4)),
        previous_action=rng.uniform(-1.0, 1.0, (batch, 4)),
        drawn=rng.random((batch, 5)),
    )


def at(position: tuple[float, ...], turned: tuple[float, ...] = (0.0, 0.0, 0.0), **more: np.ndarray) -> FlightView:
    """Return one robot there, turned by a rotation vector; its waypoint is (0, 0, 1), the next one (1, 0, 1)."""
    state = RobotState.zeros(1, 0)
    state.base_position[:] = position
    state.base_orientation[:] = from_vector(np.array([turned], dtype=float))
    for name, value in more.items():
        getattr(state, name)[:] = value
    waypoints = np.array([[0.0, 0.0, 1.0]]), np.array([[1.0, 0.0, 1.0]])
    return FlightView(AIRFRAME, state, *waypoints, np.zeros(1, dtype=bool), np.zeros((1, 4)), np.zeros((1, 4)))


def value(name: str, view: FlightView, **params: float) -> list[float]:
    for registry in REGISTRIES:
        if name in registry.names:
            return np.ravel(registry.bind(name, params, "x")(view)).tolist()  # type: ignore[no-any-return]
    raise AssertionError(name)


@pytest.mark.parametrize(("registry", "name"), TERMS, ids=[f"{r.kind} {n}" for r, n in TERMS])
def test_a_batch_of_one_is_a_row_of_many_bit_for_bit(registry, name: str) -> None:
    function = registry.bind(name, PARAMETERS.get(name, {}), "x")
    for seed, batch in ((1, 3), (2, 64)):
        view = random_view(batch, seed)
        whole = function(view)
        for row in range(0, batch, 7):
            index = np.array([row])
            fields = ("waypoint", "next_waypoint", "reached", "action", "previous_action", "drawn")
            single = FlightView(AIRFRAME, view.state.rows(index), *(getattr(view, field)[index] for field in fields))
            assert np.array_equal(function(single)[0], whole[row])


def test_errors_are_seen_from_the_robot() -> None:
    quarter = at((0.0, -1.0, 1.0), turned=(0.0, 0.0, np.pi / 2))  # facing +y, where the waypoint is
    assert value("waypoint_error", quarter) == pytest.approx([1.0, 0.0, 0.0])
    assert value("next_waypoint_error", quarter) == pytest.approx([1.0, -1.0, 0.0])
    assert value("waypoint_error_world", quarter) == pytest.approx([0.0, 1.0, 0.0])
    moving = at((0.0, 0.0, 0.0), turned=(0.0, 0.0, np.pi / 2), base_linear_velocity=np.array([0.0, 2.0, 0.5]))
    assert value("velocity", moving) == pytest.approx([2.0, 0.0, 0.5])
    turning = at((0.0, 0.0, 0.0), turned=(np.pi / 2, 0.0, 0.0), base_angular_velocity=np.array([0.0, 0.0, 3.0]))
    assert value("body_rate", turning) == pytest.approx([0.0, 3.0, 0.0])


def test_the_attitude_has_no_ambiguous_sign() -> None:
    view = random_view(8, 3)
    other = random_view(8, 3)
    other.state.base_orientation *= -1.0
    for name in ("up_direction", "rotation"):
        function = FLIGHT_OBSERVATIONS.bind(name, {}, "x")
        assert np.array_equal(function(view), function(other))
    assert value("up_direction", at((0, 0, 0), turned=(np.pi / 2, 0.0, 0.0))) == pytest.approx([0.0, 1.0, 0.0])


def test_rewards_by_hand() -> None:
    towards = at((0.0, 0.0, 0.0), base_linear_velocity=np.array([3.0, 0.0, 2.0]))
    assert value("closing_speed", towards, softening=1.0) == pytest.approx([1.0])
    assert value("distance", towards) == [1.0]
    assert value("near", towards, std=2.0) == pytest.approx([1.0 - np.tanh(0.5)])
    assert value("speed_above", towards, speed=2.0) == pytest.approx([(np.sqrt(13.0) - 2.0) ** 2])
    assert value("speed_above", towards, speed=4.0) == [0.0]
    assert value("tilt", at((0, 0, 0), turned=(0.0, np.pi / 3, 0.0))) == pytest.approx([0.5])
    fast = at((0, 0, 0), base_angular_velocity=AIRFRAME.rate_limit)
    assert value("turning", fast) == pytest.approx([3.0])


def test_the_cage_and_tipping_over() -> None:
    for position, outside in (((0, 0, 1), 0.0), ((2.01, 0, 1), 1.0), ((0, 0, 0.29), 1.0), ((0, -1.99, 2.79), 0.0)):
        view = at(position)
        assert value("outside_cage", view) == [outside]
        assert FLIGHT_TERMINATIONS.bind("outside_cage", {}, "x")(view).tolist() == [bool(outside)]
    for angle, tipped in ((1.6, False), (1.8, True), (3.1, True)):
        view = at((0, 0, 1), turned=(0.0, angle, 0.0))
        assert FLIGHT_TERMINATIONS.bind("tipped", {"angle": 1.7}, "x")(view).tolist() == [tipped]
