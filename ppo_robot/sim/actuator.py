"""The position servo of an industrial arm: what lies between a joint target and the joint's motion."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ppo_robot.kinematics import RobotModel
from ppo_robot.spec.task import ActuatorSpec

Array = NDArray[np.float64]


class PositionServo:
    """Dead time, then a rate limit, then a first-order lag; the plant's inner loop follows what comes out.

    Runs at the physics rate for all B robots at once.
    """

    def __init__(self, spec: ActuatorSpec, model: RobotModel, physics_period: float, substeps: int, batch: int) -> None:
        """Prepare `batch` robots; call `reset` before the first `advance`."""
        self._substeps = substeps
        self._delay_steps = round(spec.delay / physics_period)
        self._step_limit = spec.rate_limit * model.velocity_limit * physics_period
        # Exact discretisation of the lag over one physics step.
        self._gain = 1.0 - math.exp(-physics_period / spec.lag) if spec.lag > 0.0 else 1.0
        shape = (batch, model.joints)
        self._pipeline = np.zeros((self._delay_steps, *shape))
        self._limited = np.zeros(shape)
        self._reference = np.zeros(shape)
        self._out = np.zeros((substeps, *shape))

    def reset(self, joint_position: Array, rows: NDArray[np.intp]) -> None:
        """Hold `rows` (k,) at joint positions (k, J) rad, with empty delay lines."""
        self._pipeline[:, rows] = joint_position
        self._limited[rows] = joint_position
        self._reference[rows] = joint_position

    def advance(self, joint_target: Array) -> Array:
        """Take the targets of one control period, (B, J) rad or (S, B, J) where they differ from step to step.

        Returns:
            (S, B, J) rad, the references of its physics steps.
        """
        targets = np.broadcast_to(joint_target, self._out.shape)
        for step in range(self._substeps):
            delayed = targets[step]
            if self._delay_steps:
                delayed = self._pipeline[0].copy()
                self._pipeline[:-1] = self._pipeline[1:]
                self._pipeline[-1] = targets[step]
            change = np.clip(delayed - self._limited, -self._step_limit, self._step_limit)
            self._limited += change
            self._reference += self._gain * (self._limited - self._reference)
            self._out[step] = self._reference
        return self._out
