"""What the robot reports: the truth, late, noisy and quantised."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ppo_robot.sim.late import LateSamples, distort
from ppo_robot.sim.randomness import EnvironmentStreams
from ppo_robot.spec.task import SensorSpec, SensorsSpec
from ppo_robot.state import RobotState

Array = NDArray[np.float64]
Rows = NDArray[np.intp]


class Sensors:
    """Turns the true state of B robots into the measured one; holds the delay line.

    The delay need not be a multiple of the control period: between two samples the truth is interpolated. With
    `delay_spread` each episode draws its own: how old a state is when a policy acts on it depends on how the clocks of
    robot and policy happen to lie, and a policy that has seen one age only does not hold still at another.
    """

    def __init__(
        self,
        spec: SensorsSpec,
        control_period: float,
        batch: int,
        joints: int,
        longest: float = 0.0,
        shortest_period: float | None = None,
    ) -> None:
        """Prepare `batch` robots; call `reset` before the first `measure`.

        `longest` is the delay beyond the spec's for which there must be room, s, and `shortest_period` that between two
        samples where it differs, s; None: it is always the control period.
        """
        self._spec = spec
        self._joints = joints
        self._samples = LateSamples(spec, control_period, batch, 2 * joints, longest, shortest_period)
        self._drawn: Mapping[str, Array] = {}
        self.measured = RobotState.zeros(batch, joints)

    def apply(self, values: Mapping[str, Array], rows: Rows) -> None:
        """Take what is drawn for `rows` (k,): `observation_latency` (B, 1) s beyond the spec's, and distortions.

        The distortions are read anew at each report: `joint_position_error` and `joint_velocity_error` (B, J), added,
        and `joint_position_step` and `joint_velocity_step` (B, 1), quantisation beyond the spec's.
        """
        self._drawn = values
        self._samples.apply(values, rows)

    def reset(self, truth: RobotState, rows: Rows, streams: EnvironmentStreams) -> None:
        """Begin an episode in `rows` (k,): the delay line holds the true state of now."""
        sample = np.concatenate([truth.joint_position[rows], truth.joint_velocity[rows]], axis=1)
        self._samples.reset(sample, truth.stamp[rows], rows, streams)
        self._report(truth, rows, streams)

    def measure(
        self, truth: RobotState, streams: EnvironmentStreams, dropped: NDArray[np.bool_] | None = None
    ) -> None:
        """Advance all robots by one control period and update `measured`, but where it was `dropped` (B,)."""
        self._samples.push(np.concatenate([truth.joint_position, truth.joint_velocity], axis=1), truth.stamp)
        rows = np.arange(truth.batch)
        if dropped is None or not dropped.any():
            self._report(truth, rows, streams)
            return
        kept, lost = self.measured.rows(rows[dropped]), rows[dropped]
        self._report(truth, rows, streams)  # of all: the noise of a lost state is drawn too
        for name in ("joint_position", "joint_velocity", "joint_effort", "stamp"):
            getattr(self.measured, name)[lost] = getattr(kept, name)
        self.measured.age[lost] = truth.stamp[lost] - kept.stamp

    def _report(self, truth: RobotState, rows: Rows, streams: EnvironmentStreams) -> None:
        late = self._samples.read(truth.stamp, rows)
        noise = None
        if self._spec.joint_position.noise or self._spec.joint_velocity.noise:
            noise = streams.normal(rows, 2 * self._joints)
        joints = self._joints
        position = late[:, :joints], self._spec.joint_position, None if noise is None else noise[:, :joints]
        velocity = late[:, joints:], self._spec.joint_velocity, None if noise is None else noise[:, joints:]
        measured = self.measured
        measured.joint_position[rows] = self._distort("joint_position", rows, *position)
        measured.joint_velocity[rows] = self._distort("joint_velocity", rows, *velocity)
        measured.joint_effort[rows] = truth.joint_effort[rows]
        measured.stamp[rows] = truth.stamp[rows] - self._samples.delay[rows]
        measured.age[rows] = self._samples.delay[rows]

    def _distort(self, channel: str, rows: Rows, value: Array, spec: SensorSpec, noise: Array | None) -> Array:
        error, step = self._drawn.get(f"{channel}_error"), self._drawn.get(f"{channel}_step")
        drawn = (None if error is None else error[rows], None if step is None else step[rows])
        return distort(value, spec.noise, spec.quantisation, noise, *drawn)
