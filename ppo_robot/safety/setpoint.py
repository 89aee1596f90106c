"""What is sent to a robot."""

from __future__ import annotations

from typing import NamedTuple


class Setpoint(NamedTuple):
    """What a step sends: position (J,) rad, velocity (J,) rad/s and acceleration (J,) rad/s^2, of each joint."""

    position: tuple[float, ...]
    velocity: tuple[float, ...]
    acceleration: tuple[float, ...]
