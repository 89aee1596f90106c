"""A simulated robot driven with the commands of another one: how differently do they follow?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppo_robot.kinematics import RobotModel
from ppo_robot.sim.actuator import PositionServo
from ppo_robot.sim.plants import Plant, PlantName, make_plant
from ppo_robot.spec.motion import Motion
from ppo_robot.spec.robot import RobotSpec
from ppo_robot.spec.task import TaskSpec

Array = NDArray[np.float64]

LONGEST_LAG = 0.2
"""s in both directions, in which a lag is looked for."""

LEAST_MOTION = 0.02
"""rad that a joint must move for its lag to mean anything."""

LEAST_OVERLAP = 0.5
"""Share of a motion that must overlap with the shifted other one."""

_ALL = np.arange(1)


@dataclass(frozen=True)
class JointTracking:
    """How a joint of the other robot differed from the simulated one.

    Attributes:
        name: of the joint.
        rms, largest: rad, of the other's measured position less the simulated one.
        lag: s by which the other came later; None where the joint hardly moved.
    """

    name: str
    rms: float
    largest: float
    lag: float | None

    def tree(self) -> dict[str, Any]:
        """Return it as plain values, named with their units."""
        return {"name": self.name, "rms_rad": self.rms, "max_rad": self.largest, "lag_s": self.lag}


def track(robot: RobotSpec, task: TaskSpec, motions: Sequence[Motion], plant: PlantName) -> list[JointTracking]:
    """Put a simulated robot where each motion begins, give it the same commands, and compare, joint by joint.

    Physics, servo and their delays are the task's. The lag is where the normalised correlation of both velocities is
    largest (Knapp and Carter 1976), between samples by a parabola.

    Raises:
        BadInputError: if the plant's library is not installed, or it cannot load the URDF.
    """
    model = RobotModel(robot)
    simulator = make_plant(plant, model, task.simulation, 1)
    try:
        simulated = [simulate(simulator, model, task, motion) for motion in motions]
    finally:
        simulator.close()
    error = np.concatenate([motion.position - found for motion, found in zip(motions, simulated, strict=True)])
    period = task.simulation.physics_period
    rows = []
    for joint, name in enumerate(robot.joint_names):
        pairs = [_resampled(motion, found, joint, period) for motion, found in zip(motions, simulated, strict=True)]
        rms, largest = float(np.sqrt(np.mean(error[:, joint] ** 2))), float(np.abs(error[:, joint]).max())
        rows.append(JointTracking(name, rms, largest, lag_of(pairs, period)))
    return rows


def simulate(plant: Plant, model: RobotModel, task: TaskSpec, motion: Motion) -> Array:
    """Return where the simulated robot is at the times of a motion, (n, J) rad.

    It begins at rest where the motion was first measured. A command counts from the physics step that begins nearest to
    its time, the first one at its very time.
    """
    period = task.simulation.physics_period
    first = float(motion.command_time[0])
    begin = first - period * np.ceil(max(0.0, first - float(motion.time[0])) / period)
    steps = int(np.ceil((float(motion.time[-1]) - begin) / period)) + 1
    plant.reset(motion.position[:1], _ALL)
    servo = PositionServo(task.simulation.actuator, model, period, 1, 1)
    servo.reset(motion.position[:1], _ALL)
    moments = begin + period * np.arange(steps + 1)
    newest = np.searchsorted(motion.command_time, moments + 0.5 * period, side="right") - 1
    reached = np.zeros((steps + 1, model.joints))
    reached[0] = motion.position[0]
    for step in range(steps):
        target = motion.command[newest[step]] if newest[step] >= 0 else motion.position[0]
        plant.step(servo.advance(target[None]))
        reached[step + 1] = plant.truth.joint_position[0]
    columns = [np.interp(motion.time, moments, reached[:, joint]) for joint in range(model.joints)]
    return np.stack(columns, axis=1)


def lag_of(pairs: Sequence[tuple[Array, Array]], period: float) -> float | None:
    """Return by how many s the first of each pair of positions (n,), sampled each `period` s, comes later.

    None where the second hardly moves, or the correlation has no peak within `LONGEST_LAG`.
    """
    if max((float(np.ptp(other)) for _, other in pairs), default=0.0) < LEAST_MOTION:
        return None
    most = round(LONGEST_LAG / period)
    sums = np.zeros((3, 2 * most + 1))  # of the product and of both squares, where they overlap
    for first, second in pairs:
        one, other = np.diff(first), np.diff(second)
        for place, shift in enumerate(range(-most, most + 1)):
            length = len(one) - abs(shift)
            if length > LEAST_OVERLAP * len(one):
                late, early = (one[-length:], other[:length]) if shift >= 0 else (one[:length], other[-length:])
                sums[:, place] += (late @ early, late @ late, early @ early)
    score = sums[0] / np.sqrt(np.maximum(sums[1] * sums[2], np.finfo(float).tiny))
    best = int(np.argmax(score))
    if best in (0, 2 * most):
        return None
    before, at, after = score[best - 1 : best + 2]
    bend = before - 2.0 * at + after
    between = 0.5 * (before - after) / bend if bend < 0.0 else 0.0
    return float((best - most + between) * period)


def _resampled(motion: Motion, simulated: Array, joint: int, period: float) -> tuple[Array, Array]:
    """Return measured and simulated positions of one joint on an even grid of time."""
    grid = np.arange(motion.time[0], motion.time[-1], period)
    return np.interp(grid, motion.time, motion.position[:, joint]), np.interp(grid, motion.time, simulated[:, joint])
