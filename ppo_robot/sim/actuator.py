"""The position servo of an industrial arm: what lies between a joint target and the joint's motion."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ppo_robot.kinematics import RobotModel
from ppo_robot.sim.delay import FixedDelay, VariableDelay
from ppo_robot.spec.task import ActuatorSpec

Array = NDArray[np.float64]
Rows = NDArray[np.intp]


class PositionServo:
    """Dead time, then a rate limit, then a first-order lag; the plant's inner loop follows what comes out.

    Runs at the physics rate for all B robots at once.
    """

    def __init__(
        self,
        spec: ActuatorSpec,
        model: RobotModel,
        physics_period: float,
        substeps: int,
        batch: int,
        longest: float | None = None,
    ) -> None:
        """Prepare `batch` robots; call `reset` before the first `advance`.

        Args:
            spec: dead time, rate limit and lag of every robot, until `apply` says otherwise.
            model: the robot's velocity limits.
            physics_period: s.
            substeps: physics steps of a control period.
            batch: B.
            longest: s of dead time beyond the spec's for which there must be room where robots are to differ in dead
                time or pace; None: they do not.
        """
        self._spec = spec
        self._period = physics_period
        self._substeps = substeps
        self._step_limit = spec.rate_limit * model.velocity_limit * physics_period
        shape = (batch, model.joints)
        # Exact discretisation of the lag over one physics step.
        self._gain = np.full(shape, 1.0 - math.exp(-physics_period / spec.lag) if spec.lag > 0.0 else 1.0)
        self._steps = round(spec.delay / physics_period)
        self._delay: FixedDelay | VariableDelay = FixedDelay(self._steps, *shape)
        if longest is not None:
            room = math.ceil((spec.delay + longest) / physics_period + 1e-9)
            self._delay = VariableDelay(self._steps, max(room, self._steps), *shape)
        self._limited = np.zeros(shape)
        self._reference = np.zeros(shape)
        self._out = np.zeros((substeps, *shape))

    def apply(self, values: Mapping[str, Array], rows: Rows) -> None:
        """Take `servo_lag` (B, J), factors, and `action_latency` (B, 1) s beyond the spec's for `rows` (k,)."""
        lag = values.get("servo_lag")
        if lag is not None and self._spec.lag > 0.0:
            with np.errstate(divide="ignore"):
                self._gain[rows] = 1.0 - np.exp(-self._period / (self._spec.lag * lag[rows]))
        latency = values.get("action_latency")
        if latency is not None and isinstance(self._delay, VariableDelay):
            self._delay.steps[rows] = np.rint((self._spec.delay + latency[rows, 0]) / self._period)

    def reset(self, joint_position: Array, rows: Rows) -> None:
        """Hold `rows` (k,) at joint positions (k, J) rad, with empty delay lines."""
        self._delay.reset(joint_position, rows)
        self._limited[rows] = joint_position
        self._reference[rows] = joint_position

    def advance(self, joint_target: Array, substeps: NDArray[np.int64] | None = None) -> Array:
        """Take the targets of one control period, (B, J) rad or (S, B, J) where they differ from step to step.

        With `substeps` (B,) the period takes each robot another number of physics steps: the last target is held where
        it takes longer, and what a robot does not come to is lost where it takes less.

        Returns:
            (S, B, J) rad, the references of its physics steps; S is the longest period where they differ.
        """
        if substeps is not None:
            return self._advance_each(joint_target, substeps)
        targets = np.broadcast_to(joint_target, self._out.shape)
        for step in range(self._substeps):
            delayed = self._delay.push(targets[step])
            change = np.clip(delayed - self._limited, -self._step_limit, self._step_limit)
            self._limited += change
            self._reference += self._gain * (self._limited - self._reference)
            self._out[step] = self._reference
        return self._out

    def _advance_each(self, joint_target: Array, substeps: NDArray[np.int64]) -> Array:
        targets = joint_target if joint_target.ndim == 3 else joint_target[None]
        out = np.empty((int(substeps.max()), *self._reference.shape))
        for step in range(len(out)):
            moving = step < substeps
            delayed = self._delay.push(targets[min(step, len(targets) - 1)], moving)
            change = np.clip(delayed - self._limited, -self._step_limit, self._step_limit)
            self._limited += np.where(moving[:, None], change, 0.0)
            self._reference += np.where(moving[:, None], self._gain * (self._limited - self._reference), 0.0)
            out[step] = self._reference
        return out
