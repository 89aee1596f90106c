"""What was true a while ago: samples of B robots, read at an age that need not be a whole number of control periods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ppo_robot.sim.randomness import EnvironmentStreams

Array = NDArray[np.float64]
Rows = NDArray[np.intp]


class Lateness(Protocol):
    """How late sensors report."""

    @property
    def delay(self) -> float:
        """s, at least."""

    @property
    def delay_spread(self) -> float:
        """s; each episode adds a delay drawn uniformly up to this."""


class LateSamples:
    """The newest samples (B, W) of each robot, one a control period; between two of them they are interpolated.

    Attributes:
        delay: (B,) s, how old what each robot reports is.
    """

    def __init__(
        self,
        spec: Lateness,
        control_period: float,
        batch: int,
        width: int,
        longest: float = 0.0,
        shortest_period: float | None = None,
    ) -> None:
        """Prepare `batch` robots; call `reset` before the first `push`.

        `longest` is the delay beyond the spec's for which there must be room, s, and `shortest_period` that between two
        samples where it differs, s; None: it is always the control period.
        """
        self._spec, self._period = spec, control_period
        reach = (spec.delay + spec.delay_spread + longest) / (shortest_period or control_period)
        self._line = np.zeros((int(np.floor(reach + 1e-9)) + 2, batch, width))
        self._times = np.zeros((len(self._line), batch)) if shortest_period is not None else None
        self._own_delay = np.full(batch, spec.delay)
        self._latency: Array | None = None
        self.delay = self._own_delay.copy()
        self._whole = np.zeros(batch, dtype=np.intp)
        self._fraction = np.zeros((batch, 1))
        self._split(np.arange(batch))

    @property
    def newest(self) -> Array:
        """(B, W), what was pushed last."""
        return self._line[0]

    def apply(self, values: Mapping[str, Array], rows: Rows) -> None:
        """Take `observation_latency` (B, 1) s beyond the spec's for `rows` (k,)."""
        self._latency = values.get("observation_latency")
        if self._latency is not None:
            self.delay[rows] = self._own_delay[rows] + self._latency[rows, 0]
            self._split(rows)

    def reset(self, sample: Array, stamp: Array, rows: Rows, streams: EnvironmentStreams) -> None:
        """Begin an episode in `rows` (k,): all that was, is the sample (k, W) of now, at stamps (k,) s."""
        self._line[:, rows] = sample
        if self._times is not None:
            self._times[:, rows] = stamp - self._period * np.arange(len(self._times))[:, None]
        if self._spec.delay_spread:
            self._own_delay[rows] = self._spec.delay + self._spec.delay_spread * streams.uniform(rows, 1)[:, 0]
            late = 0.0 if self._latency is None else self._latency[rows, 0]
            self.delay[rows] = self._own_delay[rows] + late
            self._split(rows)

    def push(self, sample: Array, stamp: Array) -> None:
        """Take the samples (B, W) of a control period that ended at stamps (B,) s."""
        self._line[1:] = self._line[:-1]
        self._line[0] = sample
        if self._times is not None:
            self._times[1:] = self._times[:-1]
            self._times[0] = stamp

    def read(self, stamp: Array, rows: Rows) -> Array:
        """Return what `rows` (k,) report at stamps (B,) s, (k, W)."""
        if self._times is not None:
            self._find(self._times, stamp, rows)
        whole = self._whole[rows]
        newer, older = self._line[whole, rows], self._line[whole + 1, rows]
        late: Array = newer + self._fraction[rows] * (older - newer)
        return late

    def _split(self, rows: Rows) -> None:
        """Split the delays of rows into whole control periods and the fraction of one."""
        periods = self.delay[rows] / self._period
        self._whole[rows] = np.floor(periods + 1e-9)
        self._fraction[rows, 0] = np.maximum(0.0, periods - self._whole[rows])

    def _find(self, all_times: Array, now: Array, rows: Rows) -> None:
        """Find between which samples the delays of rows lie, where samples are not a control period apart."""
        wanted = now[rows] - self.delay[rows]
        times = all_times[:, rows]
        reached = times <= wanted + 1e-9
        older = np.clip(np.where(reached.any(axis=0), reached.argmax(axis=0), len(times) - 1), 1, None)
        places = np.arange(len(rows))
        newer_time, older_time = times[older - 1, places], times[older, places]
        gap = np.maximum(newer_time - older_time, 1e-12)
        self._whole[rows] = older - 1
        self._fraction[rows, 0] = np.clip((newer_time - wanted) / gap, 0.0, 1.0)


def distort(
    value: Array, noise: float, quantisation: float, draw: Array | None, error: Array | None, step: Array | None
) -> Array:
    """Return what a channel reports for a value (k, n): noise, then error, then quantisation.

    Args:
        value: (k, n).
        noise: standard deviation of the white noise.
        quantisation: grain of the sensor, 0 for none.
        draw: (k, n) standard normal numbers, or None.
        error: (k, n) added, or None.
        step: (k, 1) grain beyond the sensor's, or None.
    """
    if draw is not None and noise:
        value = value + noise * draw
    if error is not None:
        value = value + error
    if step is not None:
        grain = quantisation + step
        return np.where(grain > 0.0, np.round(value / np.where(grain > 0.0, grain, 1.0)) * grain, value)
    if quantisation:
        value = np.round(value / quantisation) * quantisation
    return value
