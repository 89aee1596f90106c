"""A motion: what a robot was told, and where it was then."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Motion:
    """An unbroken stretch of a robot's life, all times in s on one clock, joints in the order of its spec.

    Attributes:
        time: (n,) of the measurements, growing.
        position: (n, J) rad, as measured.
        command_time: (m,) when each command came, growing.
        command: (m, J) rad, joint positions that hold until the next.
    """

    time: Array
    position: Array
    command_time: Array
    command: Array

    @property
    def duration(self) -> float:
        """From the first measurement to the last, s."""
        return float(self.time[-1] - self.time[0])
