"""What a floating robot reports: odometry and gyroscope, late, noisy and quantised."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ppo_robot.mdp.rotation import aligned, from_vector, multiply, normalised, rotation_matrix, to_body, to_world
from ppo_robot.sim.late import LateSamples, distort
from ppo_robot.sim.randomness import EnvironmentStreams
from ppo_robot.spec.flight import FlightSensorsSpec
from ppo_robot.state import RobotState

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

_CHANNELS = ("position", "velocity", "attitude", "body_rate")
_POSITION, _VELOCITY, _RATE, _ORIENTATION = slice(0, 3), slice(3, 6), slice(6, 9), slice(9, 13)
_LOST = (
    *("base_position", "base_orientation", "base_linear_velocity", "base_angular_velocity"),
    "stamp",
)


class FlightSensors:
    """Turns the true state of B floating robots into the measured one; holds the delay line.

    An error of the attitude turns the robot about its own axes; position and velocity are off in the world's frame,
    body rates in the body's.

    Attributes:
        measured: what they report, (B rows).
    """

    def __init__(
        self,
        spec: FlightSensorsSpec,
        control_period: float,
        batch: int,
        longest: float = 0.0,
        shortest_period: float | None = None,
    ) -> None:
        """Prepare `batch` robots; call `reset` before the first `measure`. The last two are those of `LateSamples`."""
        self._channels = {name: getattr(spec, name) for name in _CHANNELS}
        self._noisy = any(channel.noise for channel in self._channels.values())
        self._samples = LateSamples(spec, control_period, batch, 13, longest, shortest_period)
        self._drawn: Mapping[str, Array] = {}
        self.measured = RobotState.zeros(batch, 0)

    def apply(self, values: Mapping[str, Array], rows: Rows) -> None:
        """Take what is drawn for `rows` (k,): `observation_latency` (B, 1) s beyond the spec's, and errors.

        `position_error`, `velocity_error`, `attitude_error` and `body_rate_error` (B, 3) are read anew at each report.
        """
        self._drawn = values
        self._samples.apply(values, rows)

    def reset(self, truth: RobotState, rows: Rows, streams: EnvironmentStreams) -> None:
        """Begin an episode in `rows` (k,): the delay line holds the true state of now."""
        self._samples.reset(_sample(truth.rows(rows)), truth.stamp[rows], rows, streams)
        self._report(truth, rows, streams)

    def measure(
        self, truth: RobotState, streams: EnvironmentStreams, dropped: NDArray[np.bool_] | None = None
    ) -> None:
        """Advance all robots by one control period and update `measured`, but where it was `dropped` (B,)."""
        sample = _sample(truth)
        # Between q and -q, which are one rotation, no interpolation may pass through zero.
        sample[:, _ORIENTATION] = aligned(sample[:, _ORIENTATION], self._samples.newest[:, _ORIENTATION])
        self._samples.push(sample, truth.stamp)
        rows = np.arange(truth.batch)
        if dropped is None or not dropped.any():
            self._report(truth, rows, streams)
            return
        kept, lost = self.measured.rows(rows[dropped]), rows[dropped]
        self._report(truth, rows, streams)  # of all: the noise of a lost state is drawn too
        for name in _LOST:
            getattr(self.measured, name)[lost] = getattr(kept, name)
        self.measured.age[lost] = truth.stamp[lost] - kept.stamp

    def _report(self, truth: RobotState, rows: Rows, streams: EnvironmentStreams) -> None:
        late = self._samples.read(truth.stamp, rows)
        draws = streams.normal(rows, 3 * len(_CHANNELS)) if self._noisy else None
        measured = self.measured
        measured.base_position[rows] = self._distort("position", rows, late[:, _POSITION], draws)
        measured.base_linear_velocity[rows] = self._distort("velocity", rows, late[:, _VELOCITY], draws)
        turn = self._distort("attitude", rows, np.zeros((len(rows), 3)), draws)
        orientation = multiply(normalised(late[:, _ORIENTATION]), from_vector(turn))
        measured.base_orientation[rows] = orientation
        rate = self._distort("body_rate", rows, late[:, _RATE], draws)
        # A gyroscope knows its own axes alone; what it says is told in the world's as the attitude has it.
        measured.base_angular_velocity[rows] = to_world(rotation_matrix(orientation), rate)
        measured.stamp[rows] = truth.stamp[rows] - self._samples.delay[rows]
        measured.age[rows] = self._samples.delay[rows]

    def _distort(self, channel: str, rows: Rows, value: Array, draws: Array | None) -> Array:
        spec, place = self._channels[channel], 3 * _CHANNELS.index(channel)
        draw = None if draws is None else draws[:, place : place + 3]
        error = self._drawn.get(f"{channel}_error")
        return distort(value, spec.noise, spec.quantisation, draw, None if error is None else error[rows], None)


def _sample(truth: RobotState) -> Array:
    """Return position, velocity, body rates and orientation, (k, 13)."""
    rate = to_body(rotation_matrix(truth.base_orientation), truth.base_angular_velocity)
    parts = [truth.base_position, truth.base_linear_velocity, rate, truth.base_orientation]
    return np.concatenate(parts, axis=1)
