"""RobotState: the batched arrays that simulation and robot both fill, always in the robot spec's joint order."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_ORIGIN = np.zeros((1, 3))
_UPRIGHT = np.array([[0.0, 0.0, 0.0, 1.0]])
for _shared in (_ORIGIN, _UPRIGHT):
    _shared.flags.writeable = False


@dataclass
class RobotState:
    """The state of B robots.

    Attributes:
        joint_position: (B, J) rad (m for a prismatic joint).
        joint_velocity: (B, J) rad/s.
        joint_effort: (B, J) N·m.
        base_position: (B, 3) m, world frame.
        base_orientation: (B, 4) quaternion xyzw, base to world.
        base_linear_velocity: (B, 3) m/s, world frame.
        base_angular_velocity: (B, 3) rad/s, world frame.
        stamp: (B,) s, when it was measured, on the clock of whoever fills it.
        age: (B,) s, how old it is now.
    """

    joint_position: Array
    joint_velocity: Array
    joint_effort: Array
    base_position: Array
    base_orientation: Array
    base_linear_velocity: Array
    base_angular_velocity: Array
    stamp: Array
    age: Array

    @classmethod
    def zeros(cls, batch: int, joints: int) -> RobotState:
        """Return a state of `batch` robots with `joints` joints at rest, base upright at the origin."""
        orientation = np.zeros((batch, 4))
        orientation[:, 3] = 1.0
        return cls(
            joint_position=np.zeros((batch, joints)),
            joint_velocity=np.zeros((batch, joints)),
            joint_effort=np.zeros((batch, joints)),
            base_position=np.zeros((batch, 3)),
            base_orientation=orientation,
            base_linear_velocity=np.zeros((batch, 3)),
            base_angular_velocity=np.zeros((batch, 3)),
            stamp=np.zeros(batch),
            age=np.zeros(batch),
        )

    @classmethod
    def of_joints(cls, position: Array, velocity: Array, effort: Array, stamp: float, age: float) -> RobotState:
        """Return the state of one robot whose base stands still, around joint arrays (J,) that are not copied."""
        return cls(
            joint_position=position[None],
            joint_velocity=velocity[None],
            joint_effort=effort[None],
            base_position=_ORIGIN,
            base_orientation=_UPRIGHT,
            base_linear_velocity=_ORIGIN,
            base_angular_velocity=_ORIGIN,
            stamp=np.array([stamp]),
            age=np.array([age]),
        )

    @property
    def batch(self) -> int:
        """Number of robots."""
        return self.joint_position.shape[0]

    def rows(self, index: NDArray[np.intp]) -> RobotState:
        """Return a copy of the robots `index` (k,), in that order."""
        return RobotState(*(getattr(self, field.name)[index] for field in fields(self)))

    def copy(self) -> RobotState:
        """Return a state that shares no memory with this one."""
        return RobotState(*(getattr(self, field.name).copy() for field in fields(self)))
