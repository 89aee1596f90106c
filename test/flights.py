"""What tests of floating robots share."""

from __future__ import annotations

from typing import Any

import numpy as np

from ppo_robot.mdp.airframe import Airframe
from ppo_robot.spec.experiment import Experiment, load_experiment
from ppo_robot.spec.flight import FlightTaskSpec
from ppo_robot.spec.floating import FloatingSpec
from ppo_robot.spec.kinds import build_task, load_any_robot
from ppo_robot.spec.robot import find_config
from ppo_robot.spec.strict import plain, read_yaml
from ppo_robot.state import RobotState


def quad() -> FloatingSpec:
    """Return our own quadrotor."""
    robot = load_any_robot("quad")
    assert isinstance(robot, FloatingSpec)
    return robot


def flight_task(name: str = "drone_waypoint", randomization: Any = None, **changes: Any) -> FlightTaskSpec:
    """Return a task of config/tasks with some of its top-level values changed, and other draws where given."""
    path = find_config("tasks", name)
    data = read_yaml(path) | changes
    if randomization is not None:
        data["simulation"] = data["simulation"] | {"randomization": randomization}
    task = build_task(data, str(path))
    assert isinstance(task, FlightTaskSpec)
    return task


def flight_experiment(*overrides: str) -> Experiment:
    """Return the smallest sensible run of the task."""
    small = ["num_envs=4", "num_workers=1", "rollout_steps=8", "ppo.minibatch_size=32", "network.hidden_sizes=[8]"]
    changes = [f"training.{change}" for change in small]
    return load_experiment("drone_waypoint", "quad", "flight", 0, [*changes, *overrides])


def random_states(batch: int, seed: int = 0) -> RobotState:
    """Return floating robots anywhere in the quad's cage, turned and moving anyhow."""
    rng, airframe = np.random.default_rng(seed), Airframe(quad())
    state = RobotState.zeros(batch, 0)
    state.base_position[:] = rng.uniform(*airframe.cage, (batch, 3))
    orientation = rng.normal(0.0, 1.0, (batch, 4))
    state.base_orientation[:] = orientation / np.linalg.norm(orientation, axis=1, keepdims=True)
    state.base_linear_velocity[:] = rng.normal(0.0, 2.0, (batch, 3))
    state.base_angular_velocity[:] = rng.normal(0.0, 2.0, (batch, 3))
    return state


def plain_task(task: FlightTaskSpec) -> dict[str, Any]:
    """Return a task as a mapping."""
    data = plain(task)
    assert isinstance(data, dict)
    return data
