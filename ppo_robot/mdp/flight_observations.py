"""Observation terms of flights: functions of a view of the measured state, (B, …) to (B, n), in SI units."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ppo_robot.mdp.flight_view import FlightView
from ppo_robot.mdp.rotation import to_body
from ppo_robot.mdp.terms import Registry

Array = NDArray[np.float64]

FLIGHT_OBSERVATIONS: Registry[Callable[..., Array]] = Registry("flight observation")


@FLIGHT_OBSERVATIONS.register(unit="m", frame="body")
def waypoint_error(view: FlightView) -> Array:
    """From the robot to the waypoint, (B, 3), as the robot sees it."""
    return to_body(view.rotation, view.to_waypoint)


@FLIGHT_OBSERVATIONS.register(unit="m", frame="body")
def next_waypoint_error(view: FlightView) -> Array:
    """From the robot to the waypoint after it, (B, 3)."""
    return to_body(view.rotation, view.next_waypoint - view.state.base_position)


@FLIGHT_OBSERVATIONS.register(unit="m", frame="world")
def waypoint_error_world(view: FlightView) -> Array:
    """From the robot to the waypoint, (B, 3)."""
    return view.to_waypoint


@FLIGHT_OBSERVATIONS.register(unit="m", frame="world")
def position(view: FlightView) -> Array:
    """Position, (B, 3)."""
    return view.state.base_position


@FLIGHT_OBSERVATIONS.register(unit="m/s", frame="body")
def velocity(view: FlightView) -> Array:
    """Velocity, (B, 3)."""
    return to_body(view.rotation, view.state.base_linear_velocity)


@FLIGHT_OBSERVATIONS.register(unit="1", frame="body")
def up_direction(view: FlightView) -> Array:
    """The world's +z, (B, 3): the attitude but for the heading, without an ambiguity of sign."""
    return view.rotation[:, 2]


@FLIGHT_OBSERVATIONS.register(unit="1", frame="world")
def rotation(view: FlightView) -> Array:
    """The rotation matrix, row by row, (B, 9)."""
    return view.rotation.reshape(-1, 9)


@FLIGHT_OBSERVATIONS.register(unit="rad/s", frame="body")
def body_rate(view: FlightView) -> Array:
    """Angular velocity, (B, 3)."""
    return view.body_rate


@FLIGHT_OBSERVATIONS.register(unit="1", frame="none")
def previous_action(view: FlightView) -> Array:
    """The newest action, (B, 4)."""
    return view.action


FLIGHT_CRITIC_OBSERVATIONS: Registry[Callable[..., Array]] = Registry("flight critic observation", FLIGHT_OBSERVATIONS)
"""The observation terms, which see the true state here, and those below."""


@FLIGHT_CRITIC_OBSERVATIONS.register(unit="SI", frame="none")
def drawn(view: FlightView) -> Array:
    """What randomization drew, (B, n), in the order of `drawn_names`; nothing where nothing is drawn."""
    return np.zeros((view.state.batch, 0)) if view.drawn is None else view.drawn
