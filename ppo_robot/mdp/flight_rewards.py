"""Reward terms of flights: functions of a view of the true state, (B, …) to (B,), before weight and control period."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ppo_robot.mdp.flight_view import FlightView
from ppo_robot.mdp.terms import Registry
from ppo_robot.mdp.view import sum_of_squares

Array = NDArray[np.float64]

FLIGHT_REWARDS: Registry[Callable[..., Array]] = Registry("flight reward")


@FLIGHT_REWARDS.register()
def closing_speed(view: FlightView, *, softening: float = 0.05) -> Array:
    """How fast the distance to the waypoint falls, m/s; its integral is the progress (Song et al. 2021).

    Shrinks smoothly to zero within `softening` metres of the waypoint.
    """
    product = view.to_waypoint * view.state.base_linear_velocity
    return (product[:, 0] + product[:, 1] + product[:, 2]) / (view.distance + softening)


@FLIGHT_REWARDS.register()
def distance(view: FlightView) -> Array:
    """Distance to the waypoint, m."""
    return view.distance


@FLIGHT_REWARDS.register()
def near(view: FlightView, *, std: float) -> Array:
    """1 at the waypoint, falling with distance over `std` metres: 1 - tanh(d / std)."""
    return 1.0 - np.tanh(view.distance / std)


@FLIGHT_REWARDS.register()
def reached(view: FlightView) -> Array:
    """1 in the control period in which a waypoint is reached."""
    return view.reached.astype(np.float64)


@FLIGHT_REWARDS.register()
def speed_above(view: FlightView, *, speed: float) -> Array:
    """Square of how much faster than `speed` the robot is, (m/s)^2."""
    fast = np.sqrt(sum_of_squares(view.state.base_linear_velocity))
    return np.square(np.maximum(fast - speed, 0.0))


@FLIGHT_REWARDS.register()
def turning(view: FlightView) -> Array:
    """Sum over axes of the squared body rate as a share of its limit."""
    return sum_of_squares(view.body_rate / view.airframe.rate_limit)


@FLIGHT_REWARDS.register()
def tilt(view: FlightView) -> Array:
    """1 - cos of the angle between the robot's +z and the world's."""
    return 1.0 - view.rotation[:, 2, 2]


@FLIGHT_REWARDS.register()
def action_rate(view: FlightView) -> Array:
    """Sum of the squared change of the action."""
    return sum_of_squares(view.action - view.previous_action)


@FLIGHT_REWARDS.register()
def action_size(view: FlightView) -> Array:
    """Sum of the squared action."""
    return sum_of_squares(view.action)


@FLIGHT_REWARDS.register()
def outside_cage(view: FlightView) -> Array:
    """1 outside the cage."""
    return view.airframe.outside(view.state.base_position).astype(np.float64)


@FLIGHT_REWARDS.register()
def tipped(view: FlightView, *, angle: float) -> Array:
    """1 while the robot's +z is more than `angle` rad from the world's."""
    return (view.rotation[:, 2, 2] < np.cos(angle)).astype(np.float64)
