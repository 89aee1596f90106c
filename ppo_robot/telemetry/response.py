"""How long a robot that stood takes to show the first sign of a command in what it measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ppo_robot.telemetry.histogram import Recent
from ppo_robot.telemetry.matrix import Kind

Array = NDArray[np.float64]

REST_TIME = 0.2
"""s for which setpoints and measured positions must have stayed where they are."""

THRESHOLD = 0.005
"""rad (m) that a setpoint, and then a position, must leave its rest by; above the noise of ordinary encoders."""

STILL = 1e-4
"""rad (m) by which a setpoint may differ and still be at rest; setpoints have no noise."""

SLOWEST_START = 0.5
"""s that a setpoint may take from leaving its rest to the threshold; slower is no start but a creep."""

PATIENCE = 1.0
"""s after which a robot that did not move has not answered."""


@dataclass
class _Rest:
    """Where something stands, and since when; (J,) and monotonic s."""

    position: Array
    since: float


@dataclass(frozen=True)
class _Asked:
    """A motion that was begun: when, of which joint, and the measured position that it must pass."""

    at: float
    joint: int
    direction: float
    rest: float


class Response:
    """Times from the command that first left its rest to the state that first had moved the same way.

    Command and state have to pass the same threshold, so the lag of the drive is in it, not only its delay. The state
    counts from when it was measured, by its stamp. There is a sample only where a robot had stood for `REST_TIME`: few,
    but each of them is of the whole robot. Noise that reaches half the threshold means that it does not stand.
    """

    def __init__(self, window: float, threshold: float = THRESHOLD) -> None:
        """Prepare; `window` s are recent, `threshold` is in rad (m)."""
        self.times = Recent(window)
        self.unanswered = 0
        self.threshold = threshold
        self._command: _Rest | None = None
        self._left: float | None = None
        self._state: _Rest | None = None
        self._asked: _Asked | None = None

    def safety(self, columns: Mapping[str, Array], now: float) -> None:
        """Take rows of `safety/telemetry`, in their order, at the monotonic time `now`."""
        kind, position = columns["kind"], columns["position"]
        commands = np.flatnonzero((kind == Kind.CYCLE) & np.isfinite(columns["published"]))
        cycles = np.count_nonzero(kind == Kind.CYCLE)
        states = np.flatnonzero(kind == Kind.STATE)
        if self._asked is None and len(commands) == cycles and self._nothing_new(position[commands], columns, commands):
            rows = states  # the usual case: all at rest, or all in motion
        else:
            rows = np.flatnonzero((kind == Kind.CYCLE) | (kind == Kind.STATE))
        scalars = (columns[name][rows].tolist() for name in ("kind", "now", "ros_now", "stamp", "published"))
        for what, received, ros_now, stamp, published, at in zip(*scalars, position[rows], strict=True):
            if what == Kind.CYCLE:
                self._on_command(at, published)
            else:
                self._on_state(at, received - (ros_now - stamp), now)

    def _nothing_new(self, position: Array, columns: Mapping[str, Array], rows: NDArray[np.intp]) -> bool:
        """Take commands (n, J) at once, and return True, where they all rest or all move on."""
        rest = self._command
        if rest is None or not len(position) or self._left is not None:
            return not len(position)
        if np.abs(position - rest.position).max() <= STILL:
            return True
        published = columns["published"][rows]
        steps = np.abs(np.diff(position, axis=0, prepend=rest.position[None])).max(axis=1)
        if (
            steps.min() <= STILL
            or published[0] - rest.since >= REST_TIME
            or np.diff(published).max(initial=0.0) >= REST_TIME
        ):
            return False
        self._command = _Rest(position[-1], float(published[-1]))
        return True

    def _on_command(self, position: Array, published: float) -> None:
        if not np.isfinite(published):  # nothing was sent
            self._command = self._asked = self._left = None
            return
        rest = self._command
        if rest is None:
            self._command = _Rest(position, published)
            return
        moved = position - rest.position
        joint = int(np.argmax(np.abs(moved)))
        distance = abs(moved[joint])
        if distance <= STILL:
            return
        if self._left is None and published - rest.since >= REST_TIME:
            self._left = published
        if self._left is not None and distance <= self.threshold and published - self._left <= SLOWEST_START:
            return
        started = self._left is not None and distance > self.threshold
        self._command, self._left = _Rest(position, published), None
        state = self._state
        if started and self._asked is None and state is not None and published - state.since >= REST_TIME:
            self._asked = _Asked(published, joint, float(np.sign(moved[joint])), float(state.position[joint]))

    def _on_state(self, position: Array, measured: float, now: float) -> None:
        asked = self._asked
        if asked is not None and measured > asked.at:
            if asked.direction * (position[asked.joint] - asked.rest) > self.threshold:
                self.times.record(measured - asked.at, now)
                self._asked = None
            elif measured - asked.at > PATIENCE:
                self.unanswered += 1
                self._asked = None
        rest = self._state
        if rest is None or np.abs(position - rest.position).max() > 0.5 * self.threshold:
            self._state = _Rest(position, measured)
