"""What tests of the simulated robot's core share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from ppo_robot.nodes.sim_core import SimRobotCore, StateSample
from ppo_robot.spec.deployment import ControllerSpec
from ppo_robot.spec.robot import RobotSpec, load_robot
from ppo_robot.spec.task import load_task

TASK = load_task("reach")
ARM6 = load_robot("arm6")
NAMES = ARM6.joint_names
FORWARD, TRAJECTORY = "forward_position_controller", "joint_trajectory_controller"

Make = Callable[..., SimRobotCore]


def cores() -> Iterator[Make]:
    """Yield what makes simulated robots, and close them all; a test's own `make` fixture is this."""
    made = []

    def build(robot: RobotSpec = ARM6, **options: Any) -> SimRobotCore:
        if options.get("plant") == "mujoco":
            pytest.importorskip("mujoco", reason="needs MuJoCo: pip install 'ppo_robot[mujoco]'")
        made.append(SimRobotCore(robot, TASK, **options))
        return made[-1]

    yield build
    for core in made:
        core.close()


def run(core: SimRobotCore, periods: int) -> list[StateSample | None]:
    """Let it run; return what it reported."""
    return [core.step() for _ in range(periods)]


def truths(core: SimRobotCore, periods: int) -> np.ndarray:
    """Let it run; return true positions and velocities (periods, 2 J)."""
    rows = []
    for _ in range(periods):
        core.step()
        rows.append(np.concatenate([core.plant.truth.joint_position[0], core.plant.truth.joint_velocity[0]]))
    return np.array(rows)


def controller(kind: str, interface: str, joints: tuple[str, ...] = (), name: str = "c") -> ControllerSpec:
    """Return a controller called "c"."""
    return ControllerSpec(name, kind, interface, joints)  # type: ignore[arg-type]
