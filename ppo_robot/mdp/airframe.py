"""A floating robot's numbers as arrays, in the order of its rotors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ppo_robot.spec.floating import FloatingSpec

Array = NDArray[np.float64]

COMMAND_NAMES = ("collective_thrust", "body_rate_x", "body_rate_y", "body_rate_z")
"""What a floating robot is told."""

COMMAND_UNITS = ("N", "rad/s", "rad/s", "rad/s")


class Airframe:
    """Mass, rotors and limits of a floating robot.

    Attributes:
        spec: the robot.
        mass: kg.
        inertia: (3,) kg·m^2, about the axes of the base link.
        allocation: (4, n): collective thrust N and torques N·m about x y z, for each N of each rotor.
        rate_limit: (3,) rad/s.
        drag: (3,) N·s/m.
        cage: lower and upper corner, (3,) m each.
    """

    def __init__(self, spec: FloatingSpec) -> None:
        """Gather the numbers."""
        self.spec = spec
        self.mass = spec.mass
        self.inertia = np.array(spec.inertia)
        position = np.array([rotor.position for rotor in spec.rotors])
        # A propeller that spins ccw drags the air along, and turns the body the other way.
        reaction = [-1.0 if rotor.spin == "ccw" else 1.0 for rotor in spec.rotors]
        self.allocation = np.stack(
            [
                np.ones(len(position)),
                position[:, 1],
                -position[:, 0],
                spec.motor.torque_per_thrust * np.array(reaction),
            ]
        )
        self.rate_limit = np.array(spec.controller.rate_limit)
        self.rate_gain = np.array(spec.controller.rate_gain)
        self.drag = np.array(spec.drag)
        self.cage = np.array(spec.cage.lower), np.array(spec.cage.upper)

    @property
    def rotors(self) -> int:
        """Number of rotors."""
        return self.allocation.shape[1]

    @property
    def command_limits(self) -> tuple[Array, Array]:
        """Lower and upper bound (4,) of a command: N, rad/s."""
        motor = self.spec.motor
        lower = np.concatenate([[self.rotors * motor.thrust_lower], -self.rate_limit])
        return lower, np.concatenate([[self.rotors * motor.thrust_upper], self.rate_limit])

    def outside(self, position: Array, margin: float = 0.0) -> NDArray[np.bool_]:
        """Return which positions (B, 3) m, world frame, are not in the cage and `margin` metres from its walls."""
        lower, upper = self.cage
        beyond: NDArray[np.bool_] = (position < lower + margin) | (position > upper - margin)
        return beyond[:, 0] | beyond[:, 1] | beyond[:, 2]
