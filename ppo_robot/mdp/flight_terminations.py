"""Termination terms of flights: functions of a view of the true state, (B, …) to (B,) bool."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ppo_robot.mdp.flight_view import FlightView
from ppo_robot.mdp.terms import Registry

Mask = NDArray[np.bool_]

FLIGHT_TERMINATIONS: Registry[Callable[..., Mask]] = Registry("flight termination")


@FLIGHT_TERMINATIONS.register()
def outside_cage(view: FlightView) -> Mask:
    """The robot's centre is outside the cage."""
    return view.airframe.outside(view.state.base_position)


@FLIGHT_TERMINATIONS.register()
def tipped(view: FlightView, *, angle: float) -> Mask:
    """The robot's +z is more than `angle` rad from the world's."""
    return view.rotation[:, 2, 2] < np.cos(angle)
