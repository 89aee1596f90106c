"""What the robot reports: the truth, late, noisy and quantised."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ppo_robot.sim.randomness import EnvironmentStreams
from ppo_robot.spec.task import SensorSpec, SensorsSpec
from ppo_robot.state import RobotState

Array = NDArray[np.float64]


class Sensors:
    """Turns the true state of B robots into the measured one; holds the delay line.

    The delay need not be a multiple of the control period: between two samples the truth is interpolated.
    """

    def __init__(self, spec: SensorsSpec, control_period: float, batch: int, joints: int) -> None:
        """Prepare `batch` robots; call `reset` before the first `measure`."""
        self._spec = spec
        self._joints = joints
        periods = spec.delay / control_period
        self._whole = int(np.floor(periods + 1e-9))
        self._fraction = max(0.0, periods - self._whole)
        self._line = np.zeros((self._whole + 2, batch, 2 * joints))
        self.measured = RobotState.zeros(batch, joints)

    def reset(self, truth: RobotState, rows: NDArray[np.intp], streams: EnvironmentStreams) -> None:
        """Begin an episode in `rows` (k,): the delay line holds the true state of now."""
        self._line[:, rows, : self._joints] = truth.joint_position[rows]
        self._line[:, rows, self._joints :] = truth.joint_velocity[rows]
        self._report(truth, rows, streams)

    def measure(self, truth: RobotState, streams: EnvironmentStreams) -> None:
        """Advance all robots by one control period and update `measured`."""
        self._line[1:] = self._line[:-1]
        self._line[0, :, : self._joints] = truth.joint_position
        self._line[0, :, self._joints :] = truth.joint_velocity
        self._report(truth, np.arange(truth.batch), streams)

    def _report(self, truth: RobotState, rows: NDArray[np.intp], streams: EnvironmentStreams) -> None:
        newer, older = self._line[self._whole, rows], self._line[self._whole + 1, rows]
        late = newer + self._fraction * (older - newer) if self._fraction else newer
        noise = None
        if self._spec.joint_position.noise or self._spec.joint_velocity.noise:
            noise = streams.normal(rows, 2 * self._joints)
        joints = self._joints
        measured = self.measured
        measured.joint_position[rows] = _distort(
            late[:, :joints], self._spec.joint_position, None if noise is None else noise[:, :joints]
        )
        measured.joint_velocity[rows] = _distort(
            late[:, joints:], self._spec.joint_velocity, None if noise is None else noise[:, joints:]
        )
        measured.joint_effort[rows] = truth.joint_effort[rows]
        measured.stamp[rows] = truth.stamp[rows] - self._spec.delay
        measured.age[rows] = self._spec.delay


def _distort(value: Array, spec: SensorSpec, noise: Array | None) -> Array:
    if noise is not None and spec.noise:
        value = value + spec.noise * noise
    if spec.quantisation:
        value = np.round(value / spec.quantisation) * spec.quantisation
    return value
