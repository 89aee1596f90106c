"""Everything around the network of a policy for robots with joints: state in, joint target out, as in training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ppo_robot.kinematics import RobotModel
from ppo_robot.mdp.actions import ActionPath
from ppo_robot.mdp.observer import Observer
from ppo_robot.mdp.view import View
from ppo_robot.spec.robot import RobotSpec
from ppo_robot.spec.task import TaskSpec
from ppo_robot.state import RobotState

Array = NDArray[np.float64]


class ControlPath:
    """Everything around the network for B robots: observer before it, action path behind it.

    One control period is `observe`, then `apply` of the action that followed from it.
    """

    output = "joint_target"
    goal_size = 3

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

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the components of a target."""
        return self.model.spec.joint_names

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

    def example(self) -> View:
        """Return the view of robots at rest in their default pose, with the goal at the origin."""
        state = RobotState.zeros(self.batch, self.model.joints)
        state.joint_position[:] = self.model.default_position
        return self.view(state, np.zeros((self.batch, self.goal_size)))
