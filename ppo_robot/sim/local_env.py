"""N robots in the calling process, for what is over before worker processes would have started."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppo_robot.sim.environments import check_any_goal, make_env
from ppo_robot.sim.plants import PlantName
from ppo_robot.spec.kinds import AnyRobot, AnyTask


class LocalVectorEnv:
    """What an evaluation needs of `WorkerVectorEnv`, and the same episodes bit for bit, without its processes.

    Starting a worker costs about a second: as long as sixteen episodes take, of which a search runs many.
    """

    def __init__(
        self, robot: AnyRobot, task: AnyTask, num_envs: int, seed: int = 0, plant: PlantName = "pybullet"
    ) -> None:
        """Build the robots in the simulator `plant`.

        Raises:
            BadInputError: if the plant's library is not installed.
            SpecError: if task and robot do not fit each other.
        """
        self.robot, self.num_envs = robot, num_envs
        self._env = make_env(robot, task, range(num_envs), seed, plant)
        self.metric_names = self._env.metric_names

    def reset(self, *, seed: int | None = None) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin an episode everywhere; with a seed, from fresh random streams."""
        if seed is not None:
            self._env.seed(seed)
        return self._env.reset(), {}

    def step(self, actions: NDArray[np.floating]) -> tuple[NDArray[np.float32], NDArray, NDArray, NDArray, dict]:
        """Advance all environments by one control period under actions (N, A) in [-1, 1].

        Raises:
            RunFailedError: if a number was not finite.
        """
        with np.errstate(all="ignore"):  # as in a worker: what is not finite is an error of its own
            result = self._env.step(actions)
        ended, info = result.terminated | result.truncated, {}
        if ended.any():
            info = {
                "final_obs": result.final_observation,
                "_final_obs": ended,
                "episode": result.episode,
                "_episode": ended,
            }
        return result.observation, result.reward, result.terminated, result.truncated, info

    def fix_goal(self, position: tuple[float, float, float] | None) -> None:
        """Send every later episode to the same goal (3,) m, or draw goals again with None.

        Raises:
            BadInputError: if the goal lies where the robot must not be sent; nothing is changed then.
        """
        goal = None if position is None else np.array(position, dtype=float)
        if goal is not None:
            check_any_goal(goal, self.robot)
        self._env.fix_goal(goal)

    def close(self) -> None:
        """Free the simulation."""
        self._env.close()
