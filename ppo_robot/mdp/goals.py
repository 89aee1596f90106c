"""Goals: where the tool should go, who may send it there, and when it has arrived."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ppo_robot.errors import BadInputError
from ppo_robot.mdp.terms import Registry
from ppo_robot.spec.robot import WorkspaceSpec
from ppo_robot.spec.task import SuccessSpec

Array = NDArray[np.float64]

Uniform = Callable[[NDArray[np.intp], int], Array]
"""(rows (k,), n) to uniform numbers (k, n) in [0, 1), from each row's own stream."""

GOAL_ATTEMPTS = 10_000
"""Draws of a goal before a workspace is called empty; ours need two to five."""

GOALS: Registry[Callable[..., Array]] = Registry("goal")


def inside_workspace(position: Array, workspace: WorkspaceSpec, margin: float = 0.0) -> NDArray[np.bool_]:
    """Return which positions (k, 3), in the base frame, lie in the workspace and `margin` metres from its skin."""
    relative = position - np.array(workspace.centre)
    radius = np.sqrt(relative[:, 0] ** 2 + relative[:, 1] ** 2 + relative[:, 2] ** 2)
    azimuth = np.arctan2(position[:, 1], position[:, 0])
    height = position[:, 2]
    inside = (radius >= workspace.radius[0] + margin) & (radius <= workspace.radius[1] - margin)
    inside &= (azimuth >= workspace.azimuth[0]) & (azimuth <= workspace.azimuth[1])
    return inside & (height >= workspace.height[0] + margin) & (height <= workspace.height[1] - margin)


def check_goal(position: Array, workspace: WorkspaceSpec) -> None:
    """Refuse a goal (3,) that the robot must not be sent to.

    Raises:
        BadInputError: if it is not finite or lies outside the workspace; the message says what is inside.
    """
    shown = "[" + ", ".join(f"{value:g}" for value in position) + "]"
    if not np.isfinite(position).all() or not inside_workspace(position[None], workspace)[0]:
        raise BadInputError(
            f"goal {shown} m: outside the workspace; expected {workspace.radius[0]} to {workspace.radius[1]} m from"
            f" {list(workspace.centre)}, azimuth {workspace.azimuth[0]} to {workspace.azimuth[1]} rad,"
            f" height {workspace.height[0]} to {workspace.height[1]} m, in the base frame"
        )


@GOALS.register()
def tool_position_in_workspace(workspace: WorkspaceSpec, rows: NDArray[np.intp], uniform: Uniform) -> Array:
    """Draw tool positions (k, 3) m uniformly over the workspace's volume, one from the stream of each row.

    Raises:
        BadInputError: if the workspace is empty, or nearly so.
    """
    goal = np.empty((len(rows), 3))
    pending = np.arange(len(rows))
    lower, upper = bounding_box(workspace)
    for _ in range(GOAL_ATTEMPTS):
        draw = lower + uniform(rows[pending], 3) * (upper - lower)
        accepted = inside_workspace(draw, workspace)
        goal[pending[accepted]] = draw[accepted]
        pending = pending[~accepted]
        if not len(pending):
            return goal
    raise BadInputError(
        f"workspace: no position inside it was found in {GOAL_ATTEMPTS} draws; its radius, azimuth and height must"
        " overlap"
    )


def bounding_box(workspace: WorkspaceSpec) -> tuple[Array, Array]:
    """Return the lower and upper corner (3,) m of a box around the workspace."""
    centre = np.array(workspace.centre)
    lower, upper = centre - workspace.radius[1], centre + workspace.radius[1]
    lower[2] = max(lower[2], workspace.height[0])
    upper[2] = min(upper[2], workspace.height[1])
    return lower, upper


class HoldTracker:
    """Follows, for each of B robots, for how long the goal error has stayed within tolerance until now."""

    def __init__(self, spec: SuccessSpec, control_period: float, batch: int) -> None:
        """Prepare `batch` robots."""
        self.spec = spec
        self._hold_steps = max(1, round(spec.hold / control_period))
        self._within = np.zeros(batch, dtype=np.int64)
        self._steps = np.zeros(batch, dtype=np.int64)
        self._period = control_period

    def reset(self, rows: NDArray[np.intp]) -> None:
        """Begin an episode in `rows` (k,)."""
        self._within[rows] = 0
        self._steps[rows] = 0

    def update(self, error: Array) -> None:
        """Take the goal errors (B,) m of one control period."""
        self._steps += 1
        self._within = np.where(error <= self.spec.tolerance, self._within + 1, 0)

    @property
    def success(self) -> NDArray[np.bool_]:
        """(B,) whether an episode that ended now would count as a success."""
        return self._within >= self._hold_steps

    @property
    def settle_time(self) -> Array:
        """(B,) s from the episode's start until the error stayed within tolerance; infinite if it is not within now."""
        return np.where(self._within > 0, (self._steps - self._within) * self._period, np.inf)
