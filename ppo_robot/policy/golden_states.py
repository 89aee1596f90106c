"""States and goals to record golden vectors from: made up, within a robot's limits, half of them as it would move."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ppo_robot.mdp.goals import GOALS
from ppo_robot.mdp.rotation import from_vector, multiply, normalised, rotation_matrix, to_world
from ppo_robot.mdp.waypoints import FLIGHT_GOALS
from ppo_robot.policy.control_path import ControlPath
from ppo_robot.policy.flight_path import AnyPath, FlightPath
from ppo_robot.spec.kinds import AnyTask, as_arm_task
from ppo_robot.spec.task import TaskSpec
from ppo_robot.state import RobotState

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

_LARGEST_SPEED = 3.0
"""m/s of a robot that floats."""


class States(Protocol):
    """Sequences of states of B robots; even ones follow what they are told, odd ones jump anywhere within limits."""

    def first(self, rng: np.random.Generator) -> RobotState:
        """Return where the sequences begin."""

    def following(self, state: RobotState, target: Array, rng: np.random.Generator) -> RobotState:
        """Return states one control period after `state`, in which robots were told `target` (B, A)."""

    def goals(self, rows: Rows, rng: np.random.Generator) -> Array:
        """Return goals (k, goal_size) m."""


def make_states(path: AnyPath, task: AnyTask) -> States:
    """Return the states for a path and its task."""
    return FlightStates(path, task) if isinstance(path, FlightPath) else ArmStates(path, as_arm_task(task))


class ArmStates:
    """Of robots with joints."""

    def __init__(self, path: ControlPath, task: TaskSpec) -> None:
        """Take the limits of the path's robot."""
        self._path, self._task = path, task
        self._draw = GOALS.bind(task.goal.term, task.goal.params, "goal")

    def first(self, rng: np.random.Generator) -> RobotState:
        """Return states at rest around the default pose."""
        path = self._path
        state = RobotState.zeros(path.batch, path.model.joints)
        spread = rng.uniform(-1.0, 1.0, state.joint_position.shape) * self._task.start.joint_position_range
        state.joint_position[:] = np.clip(path.model.default_position + spread, path.actions.lower, path.actions.upper)
        return state

    def following(self, state: RobotState, target: Array, rng: np.random.Generator) -> RobotState:
        """Return states one control period later."""
        path, period = self._path, self._task.control_period
        model, shape = path.model, state.joint_position.shape
        follows = (np.arange(path.batch) % 2 == 0)[:, None]
        followed = state.joint_position + 0.5 * (target - state.joint_position) + rng.normal(0.0, 5e-4, shape)
        position = np.where(follows, followed, rng.uniform(model.lower, model.upper, shape))
        velocity = (position - state.joint_position) / period
        after = RobotState.zeros(path.batch, model.joints)
        after.joint_position[:] = position
        after.joint_velocity[:] = np.where(
            follows, velocity, rng.uniform(-model.velocity_limit, model.velocity_limit, shape)
        )
        after.joint_effort[:] = rng.uniform(-model.effort_limit, model.effort_limit, shape)
        after.stamp[:] = state.stamp + period
        return after

    def goals(self, rows: Rows, rng: np.random.Generator) -> Array:
        """Return tool positions (k, 3) m."""
        return self._draw(self._path.model.spec.workspace, rows, lambda rows, n: rng.random((len(rows), n)))


class FlightStates:
    """Of floating robots."""

    def __init__(self, path: FlightPath, task: AnyTask) -> None:
        """Take the limits of the path's robot."""
        self._path, self._task = path, task
        self._draw = FLIGHT_GOALS.bind(task.goal.term, task.goal.params, "goal")

    def first(self, rng: np.random.Generator) -> RobotState:
        """Return states at rest, upright, anywhere in the cage."""
        path = self._path
        state = RobotState.zeros(path.batch, 0)
        state.base_position[:] = rng.uniform(*path.airframe.cage, (path.batch, 3))
        return state

    def following(self, state: RobotState, target: Array, rng: np.random.Generator) -> RobotState:
        """Return states one control period later: the even ones turn at the rates that they were told, and speed up."""
        path, period = self._path, self._task.control_period
        shape = state.base_position.shape
        follows = (np.arange(path.batch) % 2 == 0)[:, None]
        turned = multiply(state.base_orientation, from_vector(target[:, 1:] * period))
        anywhere = normalised(rng.normal(0.0, 1.0, (path.batch, 4)))
        after = RobotState.zeros(path.batch, 0)
        after.base_orientation[:] = np.where(follows, normalised(turned), anywhere)
        rotation = rotation_matrix(after.base_orientation)
        lift = np.zeros(shape)
        lift[:, 2] = target[:, 0] / path.airframe.mass
        weight = np.array([0.0, 0.0, self._task.simulation.gravity])
        faster = state.base_linear_velocity + (to_world(rotation, lift) - weight) * period
        faster = np.clip(faster, -_LARGEST_SPEED, _LARGEST_SPEED)
        velocity = np.where(follows, faster, rng.uniform(-_LARGEST_SPEED, _LARGEST_SPEED, shape))
        after.base_linear_velocity[:] = velocity
        moved = np.clip(state.base_position + velocity * period, *path.airframe.cage)
        after.base_position[:] = np.where(follows, moved, rng.uniform(*path.airframe.cage, shape))
        limit = path.airframe.rate_limit
        rate = np.where(follows, target[:, 1:], rng.uniform(-limit, limit, shape))
        after.base_angular_velocity[:] = to_world(rotation, rate)
        after.stamp[:] = state.stamp + period
        return after

    def goals(self, rows: Rows, rng: np.random.Generator) -> Array:
        """Return a waypoint and the next one, (k, 6) m."""
        draw = self._draw(self._path.airframe, 2, rows, lambda rows, n: rng.random((len(rows), n)))
        return draw.reshape(len(rows), 6)
