"""Rotors of B floating robots: from a wanted wrench to the thrust of each rotor, and from thrusts to the wrench."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ppo_robot.mdp.airframe import Airframe

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

_LEAST = 1e-12
_NEXT, _LAST = np.array([1, 2, 0]), np.array([2, 0, 1])
"""Axes that follow and precede x, y, z: a cross product is v[_NEXT] w[_LAST] - v[_LAST] w[_NEXT]."""


class Mixer:
    """Shares a wanted wrench (B, 4) out to the rotors: collective thrust N, torques N·m about x y z.

    What the rotors cannot give is given up in this order: turning about z, then lift, then roll and pitch. A robot of
    which too much is asked stays upright, and sinks or climbs rather than tips.
    """

    def __init__(self, airframe: Airframe) -> None:
        """Invert the robot's allocation."""
        self._inverse = np.linalg.pinv(airframe.allocation)  # (n, 4)
        self._rotors = airframe.rotors
        self._lower, self._upper = airframe.spec.motor.thrust_lower, airframe.spec.motor.thrust_upper

    def share(self, wrench: Array) -> Array:
        """Return the thrusts (B, n) N, each within what a rotor can give."""
        inverse, low, high = self._inverse, self._lower, self._upper
        lift = wrench[:, :1] / self._rotors
        tip = wrench[:, 1, None] * inverse[:, 1] + wrench[:, 2, None] * inverse[:, 2]
        most, least = _across(np.maximum, tip), _across(np.minimum, tip)
        shrink = np.minimum(1.0, (high - low) / np.maximum(most - least, _LEAST))
        # Roll and pitch come before lift: it is shifted until they fit.
        lift = np.minimum(np.maximum(lift, low - shrink * least), high - shrink * most)
        thrust = lift + tip * shrink
        turn = wrench[:, 3, None] * inverse[:, 3]
        size = np.abs(turn)
        room = np.where(turn > 0.0, high - thrust, thrust - low)
        fits = np.where(size > _LEAST, np.maximum(room, 0.0) / np.maximum(size, _LEAST), 1.0)
        thrust = thrust + turn * np.minimum(1.0, _across(np.minimum, fits))
        return np.minimum(np.maximum(thrust, low), high)


class Motors:
    """First-order lag between the thrust that is asked of a rotor and the one that it gives.

    Attributes:
        asked: (B, n) N, what each would give at its nominal strength.
        thrust: (B, n) N, what each gives now.
    """

    def __init__(self, airframe: Airframe, period: float, batch: int) -> None:
        """Prepare `batch` robots whose motors advance by `period` s at a time."""
        self._constant, self._period = airframe.spec.motor.time_constant, period
        self._strength = np.ones((batch, airframe.rotors))
        self.asked = np.zeros((batch, airframe.rotors))
        self._gain = np.ones((batch, airframe.rotors))
        self.thrust = np.zeros((batch, airframe.rotors))
        self._set_gain(np.ones_like(self._gain), np.arange(batch))

    def apply(self, values: Mapping[str, Array], rows: Rows) -> None:
        """Take `rotor_lag` and `rotor_strength`, factors (B, n), for `rows` (k,)."""
        if "rotor_lag" in values:
            self._set_gain(values["rotor_lag"][rows], rows)
        if "rotor_strength" in values:
            self._strength[rows] = values["rotor_strength"][rows]

    def reset(self, thrust: Array, rows: Rows) -> None:
        """Let the rotors of `rows` (k,) spin as a thrust (k, n) N takes it."""
        self.asked[rows] = thrust
        self.thrust[rows] = self._strength[rows] * thrust

    def advance(self, thrust: Array) -> Array:
        """Ask for thrusts (B, n) N and return those given after one period.

        Exact for a thrust that is asked for all the while.
        """
        self.asked += self._gain * (thrust - self.asked)
        self.thrust = self._strength * self.asked
        return self.thrust

    def _set_gain(self, factor: Array, rows: Rows) -> None:
        with np.errstate(divide="ignore", invalid="ignore"):
            gain = 1.0 - np.exp(-self._period / (self._constant * factor))
        self._gain[rows] = np.where(self._constant * factor > 0.0, gain, 1.0)


def _across(pick: np.ufunc, value: Array) -> Array:
    """Return the largest or the smallest (B, 1) of each row of a few columns (B, n), which `reduce` is slow at."""
    found: Array = value[:, :1]
    for column in range(1, value.shape[1]):
        found = pick(found, value[:, column, None])
    return found


def wrench_of(allocation: Array, thrust: Array) -> Array:
    """Return collective thrust and torques (B, 4) of thrusts (B, n), adding in an order that no batch size changes."""
    part = thrust[:, None, :] * allocation
    total: Array = part[:, :, 0]
    for rotor in range(1, thrust.shape[1]):
        total = total + part[:, :, rotor]
    return total


class RateLoop:
    """The inner loop of a flight controller: what torque turns the robot at the wanted body rates.

    torque = I k (wanted - rate) + rate x I rate, with the nominal inertia I: it knows nothing of what is drawn.
    """

    def __init__(self, airframe: Airframe) -> None:
        """Take gains and inertia of the robot."""
        self._inertia, self._gain = airframe.inertia, airframe.rate_gain

    def torque(self, wanted: Array, rate: Array) -> Array:
        """Return torques (B, 3) N·m for wanted and present body rates (B, 3) rad/s."""
        inertia = self._inertia
        spin = inertia * rate
        gyroscopic = rate[:, _NEXT] * spin[:, _LAST] - rate[:, _LAST] * spin[:, _NEXT]
        return inertia * self._gain * (wanted - rate) + gyroscopic
