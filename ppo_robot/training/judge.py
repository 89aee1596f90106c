"""Judging a bundle: its ONNX policy, in simulation, over many episodes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from ppo_robot.policy.bundle import Bundle
from ppo_robot.policy.statistics import Gathering
from ppo_robot.sim.local_env import LocalVectorEnv
from ppo_robot.sim.plants import PlantName
from ppo_robot.sim.vector_env import WorkerVectorEnv
from ppo_robot.spec.kinds import AnyTask
from ppo_robot.spec.task import TaskSpec
from ppo_robot.training.evaluation import EVALUATION_SEED_OFFSET, Evaluation, evaluate

T = TypeVar("T", bound=AnyTask)
ActionMode = Literal["deterministic", "stochastic"]

ENVIRONMENTS = 64
"""Environments of an evaluation: part of which episodes a seed means, so it is not the user's to vary."""


def judge(
    bundle: Bundle,
    episodes: int,
    seed: int,
    action: ActionMode = "deterministic",
    workers: int = 2,
    goal: Sequence[float] | None = None,
    on_progress: Callable[[int], None] | None = None,
    plant: PlantName = "pybullet",
    gathering: Gathering | None = None,
) -> Evaluation:
    """Run the bundle's policy in its task, in the simulator that it was trained in or in the other.

    Where it was trained on the curve that the safety envelope follows, the envelope itself now follows it.

    Args:
        bundle: loaded and checked.
        episodes: how many.
        seed: of starts, goals, noise and, for the stochastic policy, of its actions.
        action: the policy's mean, or a draw from it.
        workers: simulation processes, or 0 to simulate in this one; no figure depends on it.
        goal: (3,) m, the same goal for every episode; by default each episode draws its own.
        on_progress: called with the number of episodes done.
        plant: what simulates the robot.
        gathering: keeps what the policy saw and did.

    Raises:
        BadInputError: if the goal lies outside the robot's workspace, or the plant's library is not installed.
    """
    count = min(ENVIRONMENTS, episodes)
    robot, task = bundle.any_robot, guarded(bundle.any_task)
    env: WorkerVectorEnv | LocalVectorEnv
    if workers:
        env = WorkerVectorEnv(robot, task, count, min(workers, count), seed, plant)
    else:
        env = LocalVectorEnv(robot, task, count, seed, plant)
    try:
        if goal is not None:
            env.fix_goal((float(goal[0]), float(goal[1]), float(goal[2])))
        generator = np.random.default_rng([seed, EVALUATION_SEED_OFFSET]) if action == "stochastic" else None

        def act(observation: NDArray[np.float32]) -> NDArray[np.float32]:
            chosen = bundle.runtime.act(observation, generator)[0]
            if gathering is not None:
                gathering.add(observation, chosen)
            return chosen

        return evaluate(env, act, episodes, seed, on_progress)
    finally:
        env.close()


def guarded(task: T) -> T:
    """Return the task as it is judged: with the envelope itself where it was trained on the curve that it follows."""
    if not isinstance(task, TaskSpec) or task.simulation.command != "spline":
        return task
    return dataclasses.replace(task, simulation=dataclasses.replace(task.simulation, command="envelope"))
