"""What the robot reports: the truth, late, noisy and quantised."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

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
        self._period = control_period
        reach = (spec.delay + spec.delay_spread + longest) / (shortest_period or control_period)
        self._line = np.zeros((int(np.floor(reach + 1e-9)) + 2, batch, 2 * joints))
        self._times = np.zeros((len(self._line), batch)) if shortest_period is not None else None
        self._own_delay = np.full(batch, spec.delay)
        self._delay = self._own_delay.copy()
        self._whole = np.zeros(batch, dtype=np.intp)
        self._fraction = np.zeros((batch, 1))
        self._set_delay(np.arange(batch))
        self._drawn: Mapping[str, Array] = {}
        self.measured = RobotState.zeros(batch, joints)

    def apply(self, values: Mapping[str, Array], rows: Rows) -> None:
        """Take what is drawn for `rows` (k,): `observation_latency` (B, 1) s beyond the spec's, and distortions.

        The distortions are read anew at each report: `joint_position_error` and `joint_velocity_error` (B, J), added,
        and `joint_position_step` and `joint_velocity_step` (B, 1), quantisation beyond the spec's.
        """
        self._drawn = values
        latency = values.get("observation_latency")
        if latency is not None:
            self._delay[rows] = self._own_delay[rows] + latency[rows, 0]
            self._set_delay(rows)

    def reset(self, truth: RobotState, rows: Rows, streams: EnvironmentStreams) -> None:
        """Begin an episode in `rows` (k,): the delay line holds the true state of now."""
        self._line[:, rows, : self._joints] = truth.joint_position[rows]
        self._line[:, rows, self._joints :] = truth.joint_velocity[rows]
        if self._times is not None:
            self._times[:, rows] = truth.stamp[rows] - self._period * np.arange(len(self._times))[:, None]
        if self._spec.delay_spread:
            self._own_delay[rows] = self._spec.delay + self._spec.delay_spread * streams.uniform(rows, 1)[:, 0]
            latency = self._drawn.get("observation_latency")
            self._delay[rows] = self._own_delay[rows] + (0.0 if latency is None else latency[rows, 0])
            self._set_delay(rows)
        self._report(truth, rows, streams)

    def measure(
        self, truth: RobotState, streams: EnvironmentStreams, dropped: NDArray[np.bool_] | None = None
    ) -> None:
        """Advance all robots by one control period and update `measured`, but where it was `dropped` (B,)."""
        self._line[1:] = self._line[:-1]
        self._line[0, :, : self._joints] = truth.joint_position
        self._line[0, :, self._joints :] = truth.joint_velocity
        if self._times is not None:
            self._times[1:] = self._times[:-1]
            self._times[0] = truth.stamp
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
        if self._times is not None:
            self._find_delay(truth.stamp, rows)
        whole = self._whole[rows]
        newer, older = self._line[whole, rows], self._line[whole + 1, rows]
        late = newer + self._fraction[rows] * (older - newer)
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
        measured.stamp[rows] = truth.stamp[rows] - self._delay[rows]
        measured.age[rows] = self._delay[rows]

    def _distort(self, channel: str, rows: Rows, value: Array, spec: SensorSpec, noise: Array | None) -> Array:
        if noise is not None and spec.noise:
            value = value + spec.noise * noise
        error, step = self._drawn.get(f"{channel}_error"), self._drawn.get(f"{channel}_step")
        if error is not None:
            value = value + error[rows]
        if step is not None:
            grain = spec.quantisation + step[rows]
            return np.where(grain > 0.0, np.round(value / np.where(grain > 0.0, grain, 1.0)) * grain, value)
        if spec.quantisation:
            value = np.round(value / spec.quantisation) * spec.quantisation
        return value

    def _set_delay(self, rows: Rows) -> None:
        """Split the delays of rows into whole control periods and the fraction of one."""
        periods = self._delay[rows] / self._period
        self._whole[rows] = np.floor(periods + 1e-9)
        self._fraction[rows, 0] = np.maximum(0.0, periods - self._whole[rows])

    def _find_delay(self, now: Array, rows: Rows) -> None:
        """Find between which samples the delays of rows lie, where samples are not a control period apart."""
        assert self._times is not None  # noqa: S101 - the caller asked
        wanted = now[rows] - self._delay[rows]
        times = self._times[:, rows]
        reached = times <= wanted + 1e-9
        older = np.clip(np.where(reached.any(axis=0), reached.argmax(axis=0), len(times) - 1), 1, None)
        places = np.arange(len(rows))
        newer_time, older_time = times[older - 1, places], times[older, places]
        gap = np.maximum(newer_time - older_time, 1e-12)
        self._whole[rows] = older - 1
        self._fraction[rows, 0] = np.clip((newer_time - wanted) / gap, 0.0, 1.0)
