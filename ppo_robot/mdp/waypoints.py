"""Waypoints: where a floating robot should fly, in turn, and how far it has come."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ppo_robot.errors import BadInputError
from ppo_robot.mdp.airframe import Airframe
from ppo_robot.mdp.goals import Uniform
from ppo_robot.mdp.terms import Registry
from ppo_robot.mdp.view import norm
from ppo_robot.spec.flight import WaypointSpec

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

FLIGHT_GOALS: Registry[Callable[..., Array]] = Registry("flight goal")


@FLIGHT_GOALS.register()
def waypoints_in_cage(airframe: Airframe, count: int, rows: Rows, uniform: Uniform, *, margin: float = 0.4) -> Array:
    """Draw `count` waypoints (k, count, 3) m uniformly in the cage, `margin` metres from its walls.

    Raises:
        BadInputError: if the margin leaves no room.
    """
    lower, upper = airframe.cage
    if not (lower + margin < upper - margin).all():
        raise BadInputError(f"goal.params.margin: given {margin:g} m; it leaves no room in the cage of the robot")
    draw = uniform(rows, 3 * count).reshape(len(rows), count, 3)
    return lower + margin + draw * (upper - lower - 2.0 * margin)


def check_waypoint(position: Array, airframe: Airframe) -> None:
    """Refuse a waypoint (3,) that the robot must not be sent to.

    Raises:
        BadInputError: if it is not finite or lies outside the cage; the message says what is inside.
    """
    if not np.isfinite(position).all() or airframe.outside(position[None])[0]:
        shown = "[" + ", ".join(f"{value:g}" for value in position) + "]"
        lower, upper = (corner.tolist() for corner in airframe.cage)
        raise BadInputError(f"goal {shown} m: outside the cage; expected {lower} to {upper}, in the world's frame")


class WaypointTracker:
    """Follows which waypoint each of B robots flies to.

    Attributes:
        waypoints: (B, W, 3) m, world frame.
        index: (B,) how many were reached; W once all were.
        reached: (B,) bool, whether one was reached in the newest control period.
    """

    def __init__(self, spec: WaypointSpec, control_period: float, batch: int) -> None:
        """Prepare `batch` robots."""
        self._tolerance, self._count, self._period = spec.tolerance, spec.waypoints, control_period
        self.waypoints = np.zeros((batch, spec.waypoints, 3))
        self.index = np.zeros(batch, dtype=np.int64)
        self.reached = np.zeros(batch, dtype=bool)
        self._steps = np.zeros(batch, dtype=np.int64)
        self._finish = np.full(batch, np.inf)
        self._all = np.arange(batch)

    def reset(self, waypoints: Array, rows: Rows) -> None:
        """Begin an episode in `rows` (k,) with waypoints (k, W, 3) m."""
        self.waypoints[rows] = waypoints
        self.index[rows] = 0
        self.reached[rows] = False
        self._steps[rows] = 0
        self._finish[rows] = np.inf

    def update(self, position: Array) -> None:
        """Take the true positions (B, 3) m at the end of one control period."""
        self._steps += 1
        self.reached = (self.index < self._count) & (norm(self.current - position) <= self._tolerance)
        self.index += self.reached
        done = self.reached & (self.index == self._count)
        self._finish = np.where(done, self._steps * self._period, self._finish)

    @property
    def current(self) -> Array:
        """(B, 3) m, where to fly now; the last waypoint once all were reached."""
        return self.waypoints[self._all, np.minimum(self.index, self._count - 1)]

    @property
    def following(self) -> Array:
        """(B, 3) m, where to fly then; the last waypoint once there is no other."""
        return self.waypoints[self._all, np.minimum(self.index + 1, self._count - 1)]

    @property
    def success(self) -> NDArray[np.bool_]:
        """(B,) whether an episode that ended now would count as a success."""
        return self.index >= self._count

    @property
    def finish_time(self) -> Array:
        """(B,) s from the episode's start until the last waypoint was reached; infinite if it was not."""
        return self._finish
