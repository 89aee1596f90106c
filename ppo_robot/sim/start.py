"""Where an episode starts: a pose drawn around the default one, above the ground and free of self-collision."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ppo_robot.errors import RunFailedError
from ppo_robot.sim.plants import Plant
from ppo_robot.sim.randomness import EnvironmentStreams
from ppo_robot.spec.task import StartSpec

Array = NDArray[np.float64]

START_ATTEMPTS = 1000
"""Draws of a start pose before a task is called impossible."""


def start_poses(
    plant: Plant,
    start: StartSpec,
    lower: Array,
    upper: Array,
    streams: EnvironmentStreams,
    rows: NDArray[np.intp],
    shift: Array | None = None,
    velocity: Array | None = None,
) -> None:
    """Put `rows` (k,) of the plant at poses drawn within `lower` and `upper` (J,), each from its own stream.

    They are at rest unless given a velocity (B, J) as a share of the limits; `shift` (B, J) rad is added to the draws.

    Raises:
        RunFailedError: if no pose without self-collision and above the minimum tool height is found.
    """
    model, pending = plant.model, rows
    for _ in range(START_ATTEMPTS):
        spread = (2.0 * streams.uniform(pending, model.joints) - 1.0) * start.joint_position_range
        if shift is not None:
            spread = spread + shift[pending]
        position = np.clip(model.default_position + spread, lower, upper)
        plant.reset(position, pending, None if velocity is None else velocity[pending] * model.velocity_limit)
        low = model.tool_position(position)[:, 2] < start.minimum_tool_height
        pending = pending[low | plant.self_collision[pending]]
        if not len(pending):
            return
    raise RunFailedError(
        f"start.joint_position_range: no start pose without self-collision and above minimum_tool_height in"
        f" {START_ATTEMPTS} draws; narrow the range or change the robot's default pose"
    )
