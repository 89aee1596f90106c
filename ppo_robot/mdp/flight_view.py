"""What a term of a flight may look at: one state of B floating robots, their waypoints, and the last actions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ppo_robot.mdp.airframe import Airframe
from ppo_robot.mdp.rotation import rotation_matrix, to_body
from ppo_robot.mdp.view import norm
from ppo_robot.state import RobotState

Array = NDArray[np.float64]


@dataclass
class FlightView:
    """B floating robots at one instant.

    Attributes:
        airframe: the robot's limits.
        state: `measured` for observations, `truth` for rewards and terminations; it has no joints.
        waypoint: (B, 3) m, where to fly now, world frame.
        next_waypoint: (B, 3) m, where to fly then; the same once there is no other.
        reached: (B,) bool, whether a waypoint was reached in this control period; always false on the robot.
        action: (B, 4) the newest action, in [-1, 1].
        previous_action: (B, 4) the one before it.
        drawn: (B, n) what randomization drew for these robots; nothing on the robot, where nobody knows.
    """

    airframe: Airframe
    state: RobotState
    waypoint: Array
    next_waypoint: Array
    reached: NDArray[np.bool_]
    action: Array
    previous_action: Array
    drawn: Array | None = None

    @cached_property
    def rotation(self) -> Array:
        """(B, 3, 3), body to world."""
        return rotation_matrix(self.state.base_orientation)

    @cached_property
    def to_waypoint(self) -> Array:
        """(B, 3) m, from the robot to the waypoint, world frame."""
        return self.waypoint - self.state.base_position

    @cached_property
    def distance(self) -> Array:
        """(B,) m, from the robot to the waypoint."""
        return norm(self.to_waypoint)

    @cached_property
    def body_rate(self) -> Array:
        """(B, 3) rad/s, about the axes of the base link."""
        return to_body(self.rotation, self.state.base_angular_velocity)
