"""A bundle's policy in another task than its own: that task's robot, seen and moved as the policy does it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from ppo_robot.errors import BadInputError
from ppo_robot.policy.bundle import Bundle
from ppo_robot.sim.plants import PlantName
from ppo_robot.sim.vector_env import WorkerVectorEnv
from ppo_robot.spec.kinds import AnyRobot, AnyTask
from ppo_robot.spec.randomization import RandomizationSpec
from ppo_robot.spec.strict import plain
from ppo_robot.training.evaluation import Evaluation
from ppo_robot.training.judge import judge


def try_in(
    bundle: Bundle,
    task: AnyTask,
    plant: PlantName,
    episodes: int,
    seed: int,
    workers: int = 2,
    on_progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Run the bundle's deterministic policy for many episodes in a task that `seen_by` gave; see `judge`."""
    trial = dataclasses.replace(bundle, any_task=task)
    return judge(trial, episodes, seed, workers=workers, on_progress=on_progress, plant=plant)


def seen_by(own: AnyTask, task: AnyTask) -> AnyTask:
    """Return `task` for a policy that was trained in `own`: with the observations and actions that the policy has.

    Without what only training needs: a critic's observations, a curriculum.

    Raises:
        BadInputError: if the policy runs another kind of robot, or at another control period.
    """
    if type(own) is not type(task):
        raise BadInputError(f"task {task.name}: is for another kind of robot than the policy's own task, {own.name}")
    if own.control_period != task.control_period:
        raise BadInputError(
            f"task {task.name}: its control period is {task.control_period:g} s; the policy was trained at"
            f" {own.control_period:g} s and must run at it"
        )
    changes: dict[str, Any] = {"observations": own.observations, "action": own.action}
    return dataclasses.replace(task, **changes, critic_observations={}, curriculum=None)


def with_entries(task: AnyTask, entries: Mapping[str, RandomizationSpec]) -> AnyTask:
    """Return the task with other entries of randomization."""
    changes: dict[str, Any] = {"simulation": dataclasses.replace(task.simulation, randomization=dict(entries))}
    return dataclasses.replace(task, **changes)


def nominal_values(robot: AnyRobot, task: AnyTask, plant: PlantName) -> dict[str, float]:
    """Return what holds in the plant without each entry of the task's randomization, by the entry's name.

    Raises:
        SpecError: if an entry does not fit the robot.
        BadInputError: if the plant's library is not installed.
    """
    env = WorkerVectorEnv(robot, task, 1, plant=plant)
    try:
        return {entry.name: entry.nominal for entry in env.entries}
    finally:
        env.close()


def identity(bundle: Bundle, task: AnyTask, plant: PlantName, episodes: int, seed: int) -> dict[str, Any]:
    """Return all that decides the figures of a trial, as plain values."""
    return {"bundle": bundle.id, "task": plain(task), "plant": plant, "episodes": episodes, "seed": seed}
