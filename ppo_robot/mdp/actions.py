"""The actor's hand: the one path from the policy's output to joint targets."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ppo_robot.errors import SpecError
from ppo_robot.kinematics import RobotModel
from ppo_robot.spec.task import ActionSpec

Array = NDArray[np.float64]


class ActionPath:
    """Turns actions (B, A) in [-1, 1] into joint targets (B, J) rad; holds the filter and the last target.

    Increments start from the measured position, so that the first target never makes the robot jump; absolute
    positions start their filter there for the same reason.
    """

    def __init__(self, spec: ActionSpec, model: RobotModel, control_period: float, batch: int) -> None:
        """Prepare `batch` robots; call `reset` before the first `apply`.

        Raises:
            SpecError: if the margin leaves a joint no range.
        """
        self.spec = spec
        self.lower = model.lower + spec.joint_margin
        self.upper = model.upper - spec.joint_margin
        if not (self.lower < self.upper).all():
            name = model.spec.joint_names[int(np.argmin(self.upper - self.lower))]
            raise SpecError(f"action.joint_margin: given {spec.joint_margin}; it leaves joint '{name}' no range")
        if spec.type == "joint_position_increment":
            # rad per control period
            self.scale = spec.scale * model.velocity_limit * control_period
            self.offset = np.zeros(model.joints)
        else:
            self.scale = spec.scale * 0.5 * (model.upper - model.lower)
            self.offset = model.default_position.copy()
        # Exact discretisation of a first-order lag over one period.
        constant = spec.filter_time_constant
        self.filter_gain = 1.0 - math.exp(-control_period / constant) if constant > 0.0 else 1.0
        self.action = np.zeros((batch, model.joints))
        self.previous_action = np.zeros((batch, model.joints))
        self.joint_target = np.zeros((batch, model.joints))
        self._filtered = np.zeros((batch, model.joints))

    def reset(self, joint_position: Array, rows: NDArray[np.intp]) -> None:
        """Begin an episode in `rows` (k,) from the measured joint positions (k, J)."""
        self.action[rows] = 0.0
        self.previous_action[rows] = 0.0
        self.joint_target[rows] = np.clip(joint_position, self.lower, self.upper)
        if self.spec.type == "joint_position":
            self._filtered[rows] = (self.joint_target[rows] - self.offset) / self.scale
        else:
            self._filtered[rows] = 0.0

    def apply(self, action: NDArray[np.floating]) -> Array:
        """Advance by one control period and return the new joint targets (B, J) rad.

        Raises:
            ValueError: if an action is not finite; nothing is changed then.
        """
        if not np.isfinite(action).all():
            raise ValueError("action: not finite; the policy's output cannot be used")
        self.previous_action[:] = self.action
        np.clip(action, -1.0, 1.0, out=self.action)
        self._filtered += self.filter_gain * (self.action - self._filtered)
        scaled = self.offset + self.scale * self._filtered
        if self.spec.type == "joint_position_increment":
            scaled = self.joint_target + scaled
        np.clip(scaled, self.lower, self.upper, out=self.joint_target)
        return self.joint_target
