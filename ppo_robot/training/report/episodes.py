"""The episodes that a report shows: run by the bundle's own network, in the physics that it was trained in."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from ppo_robot.policy.runtime import PolicyRuntime
from ppo_robot.sim.batch_env import BatchEnv
from ppo_robot.spec.robot import RobotSpec
from ppo_robot.spec.task import TaskSpec
from ppo_robot.training.evaluation import EVALUATION_SEED_OFFSET

Array = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class EpisodeTrace:
    """One episode at T + 1 instants, the start and the end of every control period.

    Attributes:
        time: (T + 1,) s from the episode's start.
        joint_position: (T + 1, J) rad, true.
        joint_target: (T + 1, J) rad, the newest target sent.
        tool_position: (T + 1, 3) m, base frame.
        error: (T + 1,) m, from the tool to the goal.
        goal: (3,) m, base frame.
        success: whether it counts as a success.
        settle_time: s, infinite where the error is not within tolerance at the end.
        terminated: whether it ended early, by a termination of the task.
    """

    time: Array
    joint_position: Array
    joint_target: Array
    tool_position: Array
    error: Array
    goal: Array
    success: bool
    settle_time: float
    terminated: bool


def record_episodes(
    robot: RobotSpec, task: TaskSpec, runtime: PolicyRuntime, seed: int, count: int = 3
) -> list[EpisodeTrace]:
    """Run `count` episodes of the deterministic policy, side by side.

    They are the first episode of each of the first `count` environments of an evaluation with the same seed: nobody
    picked them.

    Raises:
        BadInputError: if PyBullet cannot load the robot.
    """
    steps = task.episode_steps
    # One period more than the task has, or the last state would be gone to the next episode's start.
    longer = dataclasses.replace(task, episode_length=task.episode_length + task.control_period)
    env = BatchEnv(robot, longer, range(count), seed + EVALUATION_SEED_OFFSET)
    try:
        observation = env.reset()
        goal = env.goal_position.copy()
        positions, targets = [env.plant.truth.joint_position.copy()], [env.actions.joint_target.copy()]
        end = np.full(count, steps)
        ended = np.zeros(count, dtype=bool)
        success, settle = np.zeros(count, dtype=bool), np.full(count, np.inf)
        for step in range(steps):
            result = env.step(runtime.act(observation)[0])
            observation = result.observation
            # The state of an episode that just ended early is gone: its trace stops one period before.
            end = np.where(result.terminated & ~ended, step, end)
            ended |= result.terminated
            positions.append(env.plant.truth.joint_position.copy())
            targets.append(env.actions.joint_target.copy())
        success, settle = env.hold.success & ~ended, np.where(ended, np.inf, env.hold.settle_time)
        return [
            _trace(env, row, int(end[row]), positions, targets, goal[row], bool(success[row]), float(settle[row]))
            for row in range(count)
        ]
    finally:
        env.close()


def _trace(
    env: BatchEnv,
    row: int,
    end: int,
    positions: list[Array],
    targets: list[Array],
    goal: Array,
    success: bool,
    settle_time: float,
) -> EpisodeTrace:
    position = np.stack([frame[row] for frame in positions[: end + 1]])
    tool = env.model.tool_position(position)
    return EpisodeTrace(
        time=np.arange(end + 1, dtype=np.float64) * env.task.control_period,
        joint_position=position,
        joint_target=np.stack([frame[row] for frame in targets[: end + 1]]),
        tool_position=tool,
        error=np.linalg.norm(tool - goal, axis=1).astype(np.float64),
        goal=goal,
        success=success,
        settle_time=settle_time,
        terminated=end < env.task.episode_steps - 1,
    )
