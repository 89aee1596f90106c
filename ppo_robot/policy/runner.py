"""Runs a policy on robots: state in, joint target out, through the code that training used."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ppo_robot.kinematics import RobotModel
from ppo_robot.mdp.actions import ActionPath
from ppo_robot.mdp.observer import Observer
from ppo_robot.mdp.view import View
from ppo_robot.policy.runtime import PolicyRuntime
from ppo_robot.spec.robot import RobotSpec
from ppo_robot.spec.task import TaskSpec
from ppo_robot.state import RobotState

Array = NDArray[np.float64]


class ControlPath:
    """Everything around the network for B robots: observer before it, action path behind it.

    One control period is `observe`, then `apply` of the action that followed from it.
    """

    def __init__(self, robot: RobotSpec, task: TaskSpec, batch: int = 1) -> None:
        """Build both; call `reset` before the first `observe`.

        Raises:
            SpecError: if the robot's description lacks a joint or frame, or the task names an unknown term.
        """
        self.batch = batch
        self.model = RobotModel(robot)
        self.observer = Observer(task.observations, batch)
        self.actions = ActionPath(task.action, self.model, task.control_period, batch)
        self._rows = np.arange(batch)
        # The robot cannot feel its links touch.
        self._self_collision = np.zeros(batch, dtype=bool)
        self._first = True

    def reset(self, state: RobotState) -> None:
        """Begin anew, from the measured state of all B robots; what came before leaves no trace."""
        self.actions.reset(state.joint_position, self._rows)
        self._first = True

    def observe(self, state: RobotState, goal_position: Array) -> NDArray[np.float32]:
        """Return the observation (B, O) of a measured state and goals (B, 3) m in the base frame.

        The first one after `reset` fills the history; every other one advances it.
        """
        view = self.view(state, goal_position)
        if self._first:
            self._first = False
            return self.observer.reset(view, self._rows)
        return self.observer.observe(view, self._rows)

    def apply(self, action: NDArray[np.floating]) -> Array:
        """Advance by one control period under actions (B, A) in [-1, 1]; return a copy of the joint targets (B, J).

        Raises:
            ValueError: if an action is not finite; nothing is changed then.
        """
        return self.actions.apply(action).copy()

    def view(self, state: RobotState, goal_position: Array) -> View:
        """Return what the observation terms see of a measured state and goals (B, 3) m now."""
        return View(
            model=self.model,
            state=state,
            goal_position=goal_position,
            joint_target=self.actions.joint_target,
            joint_target_velocity=self.actions.joint_target_velocity,
            joint_target_acceleration=self.actions.joint_target_acceleration,
            action=self.actions.action,
            previous_action=self.actions.previous_action,
            self_collision=self._self_collision,
        )


class PolicyRunner:
    """A policy at the controls of B robots; on the robot B is 1.

    Attributes:
        observation: (B, O) float32, what the last tick saw.
        action: (B, A) float32, what the policy answered, before clip and filter.
        log_probability: (B,) float32, nats, of `action`.
    """

    def __init__(self, robot: RobotSpec, task: TaskSpec, runtime: PolicyRuntime, batch: int = 1) -> None:
        """Prepare `batch` robots; call `reset` before the first `tick`."""
        self.path = ControlPath(robot, task, batch)
        self.runtime = runtime
        self.observation = np.zeros((batch, runtime.observation_size), dtype=np.float32)
        self.action = np.zeros((batch, runtime.action_size), dtype=np.float32)
        self.log_probability = np.zeros(batch, dtype=np.float32)

    def reset(self, state: RobotState) -> None:
        """Begin anew, from the measured state of all B robots."""
        self.path.reset(state)

    def tick(self, state: RobotState, goal_position: Array, generator: np.random.Generator | None = None) -> Array:
        """Run one control period and return the joint targets (B, J) rad, in the joint order of the bundle's robot.

        Args:
            state: measured now; its first tick may use the very state given to `reset`.
            goal_position: (B, 3) m, base frame.
            generator: draws the action from the policy; None takes its mean.

        Raises:
            RunFailedError: if an observation or action is not finite; the targets stay what they were.
        """
        self.observation = self.path.observe(state, goal_position)
        chosen = self.runtime.act(self.observation, generator)
        self.action, self.log_probability = chosen.action, chosen.log_probability
        return self.path.apply(chosen.action)
