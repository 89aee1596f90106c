"""Where a flight starts: anywhere in the cage, near to hovering."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ppo_robot.mdp.airframe import Airframe
from ppo_robot.mdp.rotation import from_vector, multiply, rotation_matrix, to_world
from ppo_robot.sim.randomness import EnvironmentStreams
from ppo_robot.spec.flight import FlightStartSpec
from ppo_robot.state import RobotState

Array = NDArray[np.float64]
Rows = NDArray[np.intp]


def flight_starts(
    airframe: Airframe, spec: FlightStartSpec, streams: EnvironmentStreams, rows: Rows, drawn: Mapping[str, Array]
) -> RobotState:
    """Return where `rows` (k,) start, each from its own stream; what is `drawn` (B, 3) of a start is added.

    No start lies outside the margin.
    """
    count = len(rows)
    uniform = streams.uniform(rows, 12)
    symmetric = 2.0 * uniform - 1.0
    lower, upper = airframe.cage[0] + spec.margin, airframe.cage[1] - spec.margin
    start = RobotState.zeros(count, 0)
    position = lower + uniform[:, :3] * np.maximum(upper - lower, 0.0) + _drawn(drawn, "position", rows)
    start.base_position[:] = np.minimum(np.maximum(position, np.minimum(lower, upper)), np.maximum(lower, upper))
    heading, tilt = np.zeros((count, 3)), np.zeros((count, 3))
    heading[:, 2] = np.pi * symmetric[:, 3]
    tilt[:, :2] = spec.tilt * symmetric[:, 4:6]
    turn = from_vector(tilt + _drawn(drawn, "attitude", rows))
    start.base_orientation[:] = multiply(from_vector(heading), turn)
    start.base_linear_velocity[:] = spec.speed * symmetric[:, 6:9] + _drawn(drawn, "velocity", rows)
    rotation = rotation_matrix(start.base_orientation)
    start.base_angular_velocity[:] = to_world(rotation, spec.body_rate * symmetric[:, 9:12])
    return start


def _drawn(drawn: Mapping[str, Array], name: str, rows: Rows) -> Array | float:
    value = drawn.get(f"flight_start_{name}")
    return 0.0 if value is None else value[rows]
