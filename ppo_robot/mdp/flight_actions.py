"""The pilot's hand: the one path from the policy's output to collective thrust and body rates."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ppo_robot.errors import SpecError
from ppo_robot.mdp.airframe import Airframe
from ppo_robot.spec.flight import FlightActionSpec

Array = NDArray[np.float64]


class FlightActionPath:
    """Turns actions (B, 4) in [-1, 1] into commands (B, 4): thrust N, then body rates rad/s; holds the filter."""

    def __init__(
        self, spec: FlightActionSpec, airframe: Airframe, gravity: float, control_period: float, batch: int
    ) -> None:
        """Prepare `batch` robots; call `reset` before the first `apply`.

        Raises:
            SpecError: if the rotors cannot give what an action may ask for.
        """
        self.spec = spec
        weight = airframe.mass * gravity
        self.scale = np.concatenate([[spec.thrust_scale * weight], spec.rate_scale * airframe.rate_limit])
        self.offset = np.array([weight, 0.0, 0.0, 0.0])
        self.lower, self.upper = airframe.command_limits
        if self.upper[0] < weight:
            raise SpecError(
                f"robot {airframe.spec.name}: its rotors lift {self.upper[0]:g} N at most; it weighs {weight:g} N"
            )
        # Exact discretisation of a first-order lag over one period.
        constant = spec.filter_time_constant
        self.filter_gain = 1.0 - math.exp(-control_period / constant) if constant > 0.0 else 1.0
        self.action = np.zeros((batch, 4))
        self.previous_action = np.zeros((batch, 4))
        self.command = np.tile(self.offset, (batch, 1))
        self._filtered = np.zeros((batch, 4))

    def reset(self, rows: NDArray[np.intp]) -> None:
        """Begin an episode in `rows` (k,): what was told last is to hover."""
        self.action[rows] = 0.0
        self.previous_action[rows] = 0.0
        self.command[rows] = self.offset
        self._filtered[rows] = 0.0

    def apply(self, action: NDArray[np.floating]) -> Array:
        """Advance by one control period and return the new commands (B, 4).

        Raises:
            ValueError: if an action is not finite; nothing is changed then.
        """
        if not np.isfinite(action).all():
            raise ValueError("action: not finite; the policy's output cannot be used")
        self.previous_action[:] = self.action
        np.clip(action, -1.0, 1.0, out=self.action)
        self._filtered += self.filter_gain * (self.action - self._filtered)
        np.clip(self.offset + self.scale * self._filtered, self.lower, self.upper, out=self.command)
        return self.command
