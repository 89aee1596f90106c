"""What lies between the policy's targets and the servo: nothing, the envelope's curve, or the envelope itself."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ppo_robot.sim.enveloped import EnvelopedTargets
from ppo_robot.spec.robot import RobotSpec
from ppo_robot.spec.safety import SafetySpec
from ppo_robot.spec.task import TaskSpec
from ppo_robot.state import RobotState

Array = NDArray[np.float64]
Rows = NDArray[np.intp]


class CommandPath(Protocol):
    """From the joint targets of a control period to those of its physics steps, for B robots."""

    def reset(self, truth: RobotState, rows: Rows) -> None:
        """Begin an episode in `rows` (k,), where the robots stand at rest as `truth` says."""

    def advance(self, joint_target: Array, truth: RobotState) -> Array:
        """Take the targets (B, J) rad of one control period; return what is commanded, (B, J) or (S, B, J) rad."""

    @property
    def intervention(self) -> Array | None:
        """(B,) share of the episode's cycles in which the envelope changed the command; None where there is none."""


class HeldTargets:
    """Sends each target at once."""

    intervention = None

    def reset(self, truth: RobotState, rows: Rows) -> None:
        """There is nothing to forget."""

    def advance(self, joint_target: Array, truth: RobotState) -> Array:
        """Return the targets themselves."""
        return joint_target


class SplineTargets:
    """Lays the safety envelope's curve through the targets: their uniform cubic B-spline (`safety.actions`)."""

    intervention = None

    def __init__(self, batch: int, joints: int, substeps: int) -> None:
        """Prepare `batch` robots."""
        u = np.arange(1, substeps + 1) / substeps
        v = 1.0 - u
        weights = [v**3, 3.0 * u**3 - 6.0 * u * u + 4.0, 3.0 * v**3 - 6.0 * v * v + 4.0, u**3]
        self._weights = np.stack(weights)[:, :, None, None] / 6.0  # (4, S, 1, 1)
        self._targets = np.zeros((4, batch, joints))

    def reset(self, truth: RobotState, rows: Rows) -> None:
        """Begin at rest where the robots of `rows` (k,) stand."""
        self._targets[:, rows] = truth.joint_position[rows]

    def advance(self, joint_target: Array, truth: RobotState) -> Array:
        """Return the curve at the end of each physics step, (S, B, J) rad."""
        self._targets[:-1] = self._targets[1:]
        self._targets[-1] = joint_target
        weights, targets = self._weights, self._targets
        return weights[0] * targets[0] + weights[1] * targets[1] + weights[2] * targets[2] + weights[3] * targets[3]


def make_command_path(robot: RobotSpec, task: TaskSpec, batch: int) -> CommandPath:
    """Return the command path that `task.simulation.command` names."""
    kind, physics = task.simulation.command, task.simulation.physics_period
    if kind == "hold":
        return HeldTargets()
    if kind == "spline":
        return SplineTargets(batch, len(robot.joints), task.substeps)
    return EnvelopedTargets(robot, SafetySpec(), task.control_period, physics, batch)
