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
    positions start their filter there for the same reason. With `acceleration_share` the targets' second and third
    differences keep to the joints' acceleration and jerk limits, so that a robot can follow them.
    """

    def __init__(self, spec: ActionSpec, model: RobotModel, control_period: float, batch: int) -> None:
        """Prepare `batch` robots; call `reset` before the first `apply`.

        Raises:
            SpecError: if the margin leaves a joint no range, or absolute positions shall keep to acceleration limits.
        """
        if spec.type == "joint_position" and spec.acceleration_share is not None:
            raise SpecError("action.acceleration_share: given with type joint_position; it needs increments")
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
        self.joint_target_velocity = np.zeros((batch, model.joints))
        self._period = control_period
        self._jerk = spec.jerk_share * model.jerk_limit
        self._largest = (spec.acceleration_share or 0.0) * model.acceleration_limit
        self.joint_target_acceleration = np.zeros((batch, model.joints))
        self._filtered = np.zeros((batch, model.joints))

    def reset(self, joint_position: Array, rows: NDArray[np.intp]) -> None:
        """Begin an episode in `rows` (k,) from the measured joint positions (k, J)."""
        self.action[rows] = 0.0
        self.previous_action[rows] = 0.0
        self.joint_target_velocity[rows] = 0.0
        self.joint_target_acceleration[rows] = 0.0
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
            if self.spec.acceleration_share is not None:
                scaled = self._limited(scaled)
            scaled = self.joint_target + scaled
        np.clip(scaled, self.lower, self.upper, out=scaled)
        np.divide(scaled - self.joint_target, self._period, out=self.joint_target_velocity)
        self.joint_target[:] = scaled
        return self.joint_target

    def _limited(self, increment: Array) -> Array:
        """Return the increments (B, J) rad nearest to the given that acceleration and jerk limits allow now.

        The acceleration is the largest from which the velocity that is asked for can still be met without going beyond
        it: a T + a^2 / 2 j = |e|, solved for a.
        """
        period, jerk = self._period, self._jerk
        error = increment / period - self.joint_target_velocity
        most = jerk * (np.sqrt(period * period + 2.0 * np.abs(error) / jerk) - period)
        wanted = np.copysign(np.minimum(most, self._largest), error)
        step = jerk * period
        now = self.joint_target_acceleration
        np.clip(wanted, now - step, now + step, out=now)
        return (self.joint_target_velocity + now * period) * period
