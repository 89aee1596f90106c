"""The environment for a robot of whatever kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppo_robot.mdp.airframe import Airframe
from ppo_robot.mdp.goals import check_goal
from ppo_robot.mdp.waypoints import check_waypoint
from ppo_robot.sim.batch_env import BatchEnv
from ppo_robot.sim.flight_env import FlightEnv
from ppo_robot.sim.plants import PlantName
from ppo_robot.spec.flight import FlightTaskSpec
from ppo_robot.spec.floating import FloatingSpec
from ppo_robot.spec.kinds import AnyRobot, AnyTask, as_arm, as_arm_task, check_kinds

AnyEnv: TypeAlias = BatchEnv | FlightEnv


def make_env(
    robot: AnyRobot, task: AnyTask, indices: Sequence[int], seed: int = 0, plant: PlantName = "pybullet"
) -> AnyEnv:
    """Return the environments with the global `indices`, in the simulator `plant`.

    Raises:
        SpecError: if robot and task are of different kinds, or the task names an unknown term.
        BadInputError: if the plant's library is not installed, or it cannot load the URDF.
    """
    check_kinds(robot, task)
    if isinstance(robot, FloatingSpec) and isinstance(task, FlightTaskSpec):
        return FlightEnv(robot, task, indices, seed, plant)
    return BatchEnv(as_arm(robot), as_arm_task(task), indices, seed, plant)


def check_any_goal(position: NDArray[np.float64], robot: AnyRobot) -> None:
    """Refuse a goal (3,) m that a robot must not be sent to.

    Raises:
        BadInputError: if it lies outside an arm's workspace, or a floating robot's cage.
    """
    if isinstance(robot, FloatingSpec):
        check_waypoint(position, Airframe(robot))
    else:
        check_goal(position, robot.workspace)
