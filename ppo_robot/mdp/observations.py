"""Observation terms: functions of a view of the measured state, (B, …) to (B, n), in SI units."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ppo_robot.mdp.terms import Registry
from ppo_robot.mdp.view import View

Array = NDArray[np.float64]

OBSERVATIONS: Registry[Callable[..., Array]] = Registry("observation")


@OBSERVATIONS.register(unit="rad", frame="joint")
def joint_position(view: View) -> Array:
    """Joint positions relative to the default pose, (B, J)."""
    return view.state.joint_position - view.model.default_position


@OBSERVATIONS.register(unit="rad/s", frame="joint")
def joint_velocity(view: View) -> Array:
    """Joint velocities, (B, J)."""
    return view.state.joint_velocity


@OBSERVATIONS.register(unit="rad", frame="joint")
def joint_target_error(view: View) -> Array:
    """How far each joint is behind the target that was sent, (B, J)."""
    return view.joint_target - view.state.joint_position


@OBSERVATIONS.register(unit="rad/s", frame="joint")
def joint_target_velocity(view: View) -> Array:
    """How fast the targets move, (B, J): with limited increments the next ones depend on it."""
    return view.joint_target_velocity


@OBSERVATIONS.register(unit="rad/s^2", frame="joint")
def joint_target_acceleration(view: View) -> Array:
    """How fast that changes, (B, J)."""
    return view.joint_target_acceleration


@OBSERVATIONS.register(unit="1", frame="joint")
def previous_action(view: View) -> Array:
    """The newest action, (B, A)."""
    return view.action


@OBSERVATIONS.register(unit="m", frame="base")
def tool_position(view: View) -> Array:
    """The tool's position, (B, 3)."""
    return view.tool_position


@OBSERVATIONS.register(unit="m", frame="base")
def goal_position(view: View) -> Array:
    """The goal's position, (B, 3)."""
    return view.goal_position


@OBSERVATIONS.register(unit="m", frame="base")
def tool_to_goal(view: View) -> Array:
    """From the tool to the goal, (B, 3)."""
    return view.tool_to_goal


@OBSERVATIONS.register(unit="m", frame="base")
def target_to_goal(view: View) -> Array:
    """From where the newest joint targets would have the tool to the goal, (B, 3).

    What was commanded is known at once and without noise, while what came of it is seen only after the drives' lag.
    """
    return view.goal_position - view.model.tool_position(view.joint_target)


@OBSERVATIONS.register(unit="1", frame="base")
def goal_direction(view: View, *, softening: float = 0.01) -> Array:
    """Direction from the tool to the goal, (B, 3); shrinks smoothly to zero within `softening` metres of it."""
    return view.tool_to_goal / (view.goal_distance + softening)[:, None]


@OBSERVATIONS.register(unit="m^2/rad", frame="joint")
def goal_gradient(view: View, *, softening: float = 0.05) -> Array:
    """How much each joint's motion would close the distance, (B, J): J^T e / (|e| + softening).

    The joint-space gradient of the distance to the goal (the Jacobian-transpose direction, Wolovich and Elliott 1984).
    """
    return _transpose_product(view.tool_jacobian, goal_direction(view, softening=softening))


def _transpose_product(jacobian: Array, vector: Array) -> Array:
    """Return J^T v for each row, (B, 3, J) and (B, 3) to (B, J), adding in an order that no batch size changes."""
    total = jacobian[:, 0, :] * vector[:, 0, None]
    for axis in range(1, vector.shape[1]):
        total = total + jacobian[:, axis, :] * vector[:, axis, None]
    return total
