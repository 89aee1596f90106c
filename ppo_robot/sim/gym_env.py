"""The task as a single `gymnasium.Env`, registered as `ppo_robot/Reach-v0`.

gymnasium no longer loads plugins by itself; either of these finds the environment:

    import ppo_robot.sim.gym_env; gymnasium.make("ppo_robot/Reach-v0")
    gymnasium.make("ppo_robot.sim.gym_env:ppo_robot/Reach-v0")
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ppo_robot.sim.batch_env import StepResult
    from ppo_robot.sim.camera import Camera, Image

ENVIRONMENT_ID = "ppo_robot/Reach-v0"


class TaskEnv(gymnasium.Env[NDArray[np.float32], NDArray[np.float32]]):
    """One robot and its task; the very environment that training runs, with a batch of one.

    Observation: (O,) float32, the task's observation terms in their order. Action: (A,) float32 in [-1, 1]; what lies
    outside is clipped. `info` of each step holds `is_success` (an episode that ended now would be a success) and
    `goal_error` (m); of an ended episode also `episode_metrics`, the summary that training logs.

    A seed given to `reset` starts the random streams anew, a reset without one continues them: `reset(seed=s)` and
    every episode after it are those of environment 0 of a `WorkerVectorEnv` with the seed s, bit for bit.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 50}  # noqa: RUF012 - gymnasium's own form

    def __init__(
        self,
        robot: str = "arm6",
        task: str = "reach",
        seed: int | None = None,
        overrides: Sequence[str] = (),
        render_mode: str | None = None,
    ) -> None:
        """Load robot and task and build the simulation.

        Args:
            robot: a name in `config/robots`, or the path of a YAML file.
            task: a name in `config/tasks`, or the path of a YAML file.
            seed: of the first reset, where that is given none; None draws one from the system's entropy.
            overrides: changes such as `task.success.tolerance=0.02`.
            render_mode: None or `rgb_array`.

        Raises:
            BadInputError: if a file or override is wrong, or `render_mode` is unknown.
        """
        # Not at the top: registering the environment must not load the physics engine.
        from ppo_robot.errors import BadInputError
        from ppo_robot.sim.batch_env import BatchEnv
        from ppo_robot.spec.experiment import load_experiment

        if render_mode not in (None, *self.metadata["render_modes"]):
            raise BadInputError(f"render_mode: given {render_mode!r}; expected None or 'rgb_array'")
        experiment = load_experiment(task, robot, "default", overrides=overrides)
        self.render_mode = render_mode
        self._first_seed = seed
        self._batch = BatchEnv(experiment.arm, experiment.arm_task, range(1))
        self._needs_reset = True
        self._camera: Camera | None = None
        self.metadata = self.metadata | {"render_fps": round(1.0 / experiment.task.control_period)}
        size = self._batch.reset().shape[1]
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (self._batch.action_size,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin an episode and return its first observation; `options` has no keys and is ignored."""
        if self._np_random is None and seed is None:
            seed = self._first_seed
        first = self._np_random is None
        super().reset(seed=seed)
        if seed is not None:
            self._batch.seed(seed)
        elif first:
            self._batch.seed(int(self.np_random.integers(2**63)))
        self._needs_reset = False
        return self._batch.reset()[0], {}

    def step(
        self, action: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Advance by one control period under an action (A,) in [-1, 1].

        Raises:
            gymnasium.error.ResetNeeded: if the episode has ended, or none has begun.
            ValueError: if the action has another shape or is not finite.
            RunFailedError: if an observation or reward is not finite; it names the term.
        """
        if self._needs_reset:
            raise gymnasium.error.ResetNeeded("step: the episode has ended or none has begun; call reset first")
        action = np.asarray(action)
        if action.shape != self.action_space.shape:
            raise ValueError(f"action: given shape {action.shape}; expected {self.action_space.shape}")
        result = self._batch.step(action[None], autoreset=False)
        terminated, truncated = bool(result.terminated[0]), bool(result.truncated[0])
        self._needs_reset = terminated or truncated
        return result.observation[0], float(result.reward[0]), terminated, truncated, self._info(result)

    def render(self) -> Image | None:  # type: ignore[override]
        """Return a picture (H, W, 3) uint8 of the robot and its goal, or None without a render mode."""
        if self.render_mode is None:
            return None
        from ppo_robot.sim.camera import Camera, GoalMark

        batch = self._batch
        if self._camera is None:
            self._camera = Camera(batch.model, batch.task.simulation)
        position, goal = batch.plant.truth.joint_position[0], batch.goal_position[0]
        tolerance = batch.task.success.tolerance
        error = np.linalg.norm(batch.model.tool_position(position[None])[0] - goal)
        return self._camera.render(position, GoalMark(goal, tolerance, bool(error <= tolerance)))

    def close(self) -> None:
        """Free the physics clients; harmless when repeated."""
        self._needs_reset = True
        self._batch.close()
        if self._camera is not None:
            self._camera.close()
            self._camera = None

    def _info(self, result: StepResult) -> dict[str, Any]:
        metrics = dict(zip(self._batch.metric_names, result.episode[0].tolist(), strict=True))
        info: dict[str, Any] = {"is_success": metrics["success"] > 0.5, "goal_error": metrics["final_error"]}
        if self._needs_reset:
            info["episode_metrics"] = metrics
        return info


def register() -> None:
    """Add the environment to gymnasium's registry; harmless when repeated."""
    if ENVIRONMENT_ID not in gymnasium.registry:
        gymnasium.register(ENVIRONMENT_ID, entry_point="ppo_robot.sim.gym_env:TaskEnv")


register()
