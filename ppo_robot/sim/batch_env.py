"""The batched environment of robots with joints: B of them, their task, and the arrays that a learner reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ppo_robot.kinematics import RobotModel
from ppo_robot.mdp.actions import ActionPath
from ppo_robot.mdp.goals import GOALS, HoldTracker, check_goal
from ppo_robot.mdp.observer import Observer
from ppo_robot.mdp.rewards import RewardSum
from ppo_robot.mdp.terminations import TerminationAny
from ppo_robot.mdp.view import View, sum_of_squares
from ppo_robot.sim.actuator import PositionServo
from ppo_robot.sim.command import make_command_path
from ppo_robot.sim.critic import CriticObserver
from ppo_robot.sim.episodes import EpisodeBatch, StepResult
from ppo_robot.sim.plants import PlantName, make_plant
from ppo_robot.sim.randomization import Randomization
from ppo_robot.sim.sensors import Sensors
from ppo_robot.sim.start import start_poses
from ppo_robot.spec.robot import RobotSpec
from ppo_robot.spec.task import TaskSpec
from ppo_robot.state import RobotState

__all__ = ["EPISODE_METRICS", "BatchEnv", "StepResult"]

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

EPISODE_METRICS = (
    *("return", "length", "success", "final_error", "settle_time", "action_rate", "effort", "collision"),
    *("goal_x", "goal_y", "goal_z"),
)
"""Columns of an ended episode's summary; after them the safety envelope's intervention rate where it is simulated, the
end of a range that it pinned where there is a curriculum, and one for each reward term's share of the return."""


class BatchEnv(EpisodeBatch[View]):
    """Arms and other robots with joints; see `EpisodeBatch`."""

    def __init__(
        self,
        robot: RobotSpec,
        task: TaskSpec,
        indices: Sequence[int],
        seed: int = 0,
        plant: PlantName = "pybullet",
    ) -> None:
        """Build the environments with the global `indices` in the simulator `plant`; `reset` before the first `step`.

        Raises:
            SpecError: if the task names an unknown term, or the robot's files do not fit together.
            BadInputError: if the plant's library is not installed, or it cannot load the URDF.
        """
        self.robot, self.task = robot, task
        self.model = RobotModel(robot)
        batch = len(indices)
        self.plant = make_plant(plant, self.model, task.simulation, batch)
        self.command = make_command_path(robot, task, batch)
        randomization = Randomization(task, self.model, self.plant.nominal, batch)
        terms = (
            Observer(task.observations, batch),
            CriticObserver(task, batch),
            RewardSum(task.rewards, task.control_period),
            TerminationAny(task.terminations),
        )
        super().__init__(task, indices, seed, self.model.joints, randomization, terms)
        self.servo, self.sensors = self._make_path()
        self.randomization.serve(self.plant, self.servo, self.sensors)
        self.actions = ActionPath(task.action, self.model, task.control_period, batch)
        self.hold = HoldTracker(task.success, task.control_period, batch)
        self._draw_goal = GOALS.bind(task.goal.term, task.goal.params, "goal")
        self.goal_position = np.zeros((batch, 3))
        self.fixed_goal: Array | None = None
        self._effort_limit = np.maximum(self.model.effort_limit, np.finfo(float).tiny)

    def close(self) -> None:
        """Free the plant."""
        self.plant.close()

    def fix_goal(self, position: Array | None) -> None:
        """Send every later episode to the same goal (3,) m, or draw goals again with None.

        Raises:
            BadInputError: if the goal lies outside the workspace.
        """
        if position is not None:
            check_goal(position, self.robot.workspace)
        self.fixed_goal = position

    def _begin(self, rows: Rows) -> None:
        """Draw a start pose free of self-collision, and a goal.

        Raises:
            RunFailedError: if no start pose is found.
        """
        drawn = self.randomization
        bounds = self.actions.lower, self.actions.upper
        shift, velocity = drawn.values.get("start_position"), drawn.values.get("start_velocity")
        start_poses(self.plant, self.task.start, *bounds, self.streams, rows, shift, velocity)
        if self.fixed_goal is None:
            self.goal_position[rows] = self._draw_goal(self.robot.workspace, rows, self.streams.uniform)
        else:
            self.goal_position[rows] = self.fixed_goal
        encoded = drawn.encode(self.plant.truth)
        rest = np.zeros_like(encoded.joint_velocity)  # an envelope arms where the robot stands
        self.command.reset(encoded if velocity is None else replace(encoded, joint_velocity=rest), rows)
        self.servo.reset(encoded.joint_position[rows], rows)
        self.sensors.reset(encoded, rows, self.streams)
        self.actions.reset(self.sensors.measured.joint_position[rows], rows)
        self.hold.reset(rows)

    def _advance(self, action: NDArray[np.floating]) -> None:
        target = self.actions.apply(action)
        drawn = self.randomization
        drawn.on_step(self.plant.truth)
        commanded = self.command.advance(target, drawn.encode(self.plant.truth))
        self.plant.step(drawn.decode(self.servo.advance(commanded, drawn.substeps)), drawn.substeps, drawn.load)
        self.sensors.measure(drawn.encode(self.plant.truth), self.streams, drawn.dropped)

    def _make_path(self) -> tuple[PositionServo, Sensors]:
        """Return servo and sensors, with room for what is drawn of their delays and of the control period."""
        spec, period, drawn = self.task.simulation, self.task.control_period, self.randomization
        paced = "control_period" in drawn.values
        longest = drawn.highest("action_latency") if paced or "action_latency" in drawn.values else None
        servo = PositionServo(
            spec.actuator, self.model, spec.physics_period, self.task.substeps, self.batch, longest
        )
        late, shortest = drawn.highest("observation_latency"), spec.physics_period if paced else None
        return servo, Sensors(spec.sensors, period, self.batch, self.model.joints, late, shortest)

    def _account(self, view: View) -> None:
        self.hold.update(view.goal_distance)

    def _squared_effort(self, view: View) -> Array:
        return sum_of_squares(view.state.joint_effort / self._effort_limit) / self.model.joints

    def _own_metric_names(self) -> tuple[str, ...]:
        return EPISODE_METRICS + (("intervention",) if self.command.intervention is not None else ())

    def _own_metrics(self, view: View, terminated: NDArray[np.bool_]) -> tuple[Array | NDArray[np.generic], ...]:
        intervention = self.command.intervention
        return (
            self._sums[:, 0],
            self.episode_step,
            self.hold.success & ~terminated,
            view.goal_distance,
            self.hold.settle_time,
            self._action_rate,
            self._effort,
            self.plant.self_collision,
            *self.goal_position.T,
            *((intervention,) if intervention is not None else ()),
        )

    def _true_view(self, rows: Rows) -> View:
        return self._view(self.plant.truth, rows)

    def _measured_view(self, rows: Rows) -> View:
        return self._view(self.sensors.measured, rows)

    def _view(self, state: RobotState, rows: Rows) -> View:
        whole, targets = len(rows) == self.batch, self.actions
        return View(
            model=self.model,
            state=state if whole else state.rows(rows),
            goal_position=self.goal_position if whole else self.goal_position[rows],
            joint_target=targets.joint_target if whole else targets.joint_target[rows],
            joint_target_velocity=targets.joint_target_velocity if whole else targets.joint_target_velocity[rows],
            joint_target_acceleration=targets.joint_target_acceleration[rows],
            action=targets.action if whole else targets.action[rows],
            previous_action=targets.previous_action if whole else targets.previous_action[rows],
            self_collision=self.plant.self_collision if whole else self.plant.self_collision[rows],
            drawn=self.randomization.drawn if whole else self.randomization.drawn[rows],
        )
