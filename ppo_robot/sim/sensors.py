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

    The delay need not be a multiple of the control period: between two samples the truth is interpolated. With
    `delay_spread` each episode draws its own: how old a state is when a policy acts on it depends on how the clocks of
    robot and policy happen to lie, and a policy that has seen one age only does not hold still at another.
    """

    def __init__(self, spec: SensorsSpec, control_period: float, batch: int, joints: int) -> None:
        """Prepare `batch` robots; call `reset` before the first `measure`."""
        self._spec = spec
        self._joints = joints
        self._period = control_period
        longest = int(np.floor((spec.delay + spec.delay_spread) / control_period + 1e-9))
        self._line = np.zeros((longest + 2, batch, 2 * joints))
        self._delay = np.full(batch, spec.delay)
        self._whole = np.zeros(batch, dtype=np.intp)
        self._fraction = np.zeros((batch, 1))
        self._set_delay(np.arange(batch))
        self.measured = RobotState.zeros(batch, joints)

    def reset(self, truth: RobotState, rows: NDArray[np.intp], streams: EnvironmentStreams) -> None:
        """Begin an episode in `rows` (k,): the delay line holds the true state of now."""
        self._line[:, rows, : self._joints] = truth.joint_position[rows]
        self._line[:, rows, self._joints :] = truth.joint_velocity[rows]
        if self._spec.delay_spread:
            self._delay[rows] = self._spec.delay + self._spec.delay_spread * streams.uniform(rows, 1)[:, 0]
            self._set_delay(rows)
        self._report(truth, rows, streams)

    def measure(self, truth: RobotState, streams: EnvironmentStreams) -> None:
        """Advance all robots by one control period and update `measured`."""
        self._line[1:] = self._line[:-1]
        self._line[0, :, : self._joints] = truth.joint_position
        self._line[0, :, self._joints :] = truth.joint_velocity
        self._report(truth, np.arange(truth.batch), streams)

    def _report(self, truth: RobotState, rows: NDArray[np.intp], streams: EnvironmentStreams) -> None:
        whole = self._whole[rows]
        newer, older = self._line[whole, rows], self._line[whole + 1, rows]
        late = newer + self._fraction[rows] * (older - newer)
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
        measured.stamp[rows] = truth.stamp[rows] - self._delay[rows]
        measured.age[rows] = self._delay[rows]

    def _set_delay(self, rows: NDArray[np.intp]) -> None:
        """Split the delays of rows into whole control periods and the fraction of one."""
        periods = self._delay[rows] / self._period
        self._whole[rows] = np.floor(periods + 1e-9)
        self._fraction[rows, 0] = np.maximum(0.0, periods - self._whole[rows])


def _distort(value: Array, spec: SensorSpec, noise: Array | None) -> Array:
    if noise is not None and spec.noise:
        value = value + spec.noise * noise
    if spec.quantisation:
        value = np.round(value / spec.quantisation) * spec.quantisation
    return value
