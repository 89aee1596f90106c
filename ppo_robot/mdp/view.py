"""What a term may look at: one state of B robots, their goals, and the actions that led there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ppo_robot.kinematics import RobotModel
from ppo_robot.state import RobotState

Array = NDArray[np.float64]


class AnyView(Protocol):
    """What is common to the views of every kind of robot.

    Attributes:
        state: the state that is looked at.
        action: (B, A) the newest action, in [-1, 1].
        previous_action: (B, A) the one before it.
        drawn: (B, n) what randomization drew for these robots, or None where nobody knows.
    """

    state: RobotState
    action: Array
    previous_action: Array
    drawn: Array | None


@dataclass
class View:
    """B robots at one instant; kinematics are computed once, when a term first asks.

    Attributes:
        model: the robot's limits and kinematics.
        state: `measured` for observations, `truth` for rewards and terminations.
        goal_position: (B, 3) m, where the tool should be, base frame.
        joint_target: (B, J) rad, the newest target that was sent.
        joint_target_velocity: (B, J) rad/s, from the target before to the newest, in one control period.
        joint_target_acceleration: (B, J) rad/s^2, how that changed, where increments are limited; otherwise 0.
        action: (B, A) the newest action, in [-1, 1].
        previous_action: (B, A) the one before it.
        self_collision: (B,) bool, links of a listed pair touch; always false on the robot, which cannot feel it.
        drawn: (B, n) what randomization drew for these robots; nothing on the robot, where nobody knows.
    """

    model: RobotModel
    state: RobotState
    goal_position: Array
    joint_target: Array
    joint_target_velocity: Array
    joint_target_acceleration: Array
    action: Array
    previous_action: Array
    self_collision: NDArray[np.bool_]
    drawn: Array | None = None

    @cached_property
    def tool_position(self) -> Array:
        """(B, 3) m, the tool in the base frame."""
        return self.model.tool_position(self.state.joint_position)

    @cached_property
    def tool_jacobian(self) -> Array:
        """(B, 3, J) m/rad, the tool's linear Jacobian in the base frame."""
        return self.model.tool_jacobian(self.state.joint_position)

    @cached_property
    def tool_to_goal(self) -> Array:
        """(B, 3) m, from the tool to the goal, base frame."""
        return self.goal_position - self.tool_position

    @cached_property
    def goal_distance(self) -> Array:
        """(B,) m, from the tool to the goal."""
        return norm(self.tool_to_goal)


def sum_of_squares(vector: Array) -> Array:
    """Return the sum of squares over the last axis, (…, n) to (…,).

    Column by column, because numpy may add a row in another order when the batch has another size, and the robot's
    batch of one must give the very bits of training.
    """
    total = np.square(vector[..., 0])
    for column in range(1, vector.shape[-1]):
        total = total + np.square(vector[..., column])
    return total


def norm(vector: Array) -> Array:
    """Return the Euclidean norm over the last axis, (…, n) to (…,)."""
    return np.sqrt(sum_of_squares(vector))
