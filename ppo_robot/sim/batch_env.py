"""The batched environment: B robots, their task, and the arrays that a learner reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ppo_robot.errors import RunFailedError
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
from ppo_robot.sim.curriculum import BOUNDARY
from ppo_robot.sim.diagnosis import diagnose
from ppo_robot.sim.plants import PlantName, make_plant
from ppo_robot.sim.randomization import Randomization
from ppo_robot.sim.randomness import STATE_WORDS, EnvironmentStreams
from ppo_robot.sim.sensors import Sensors
from ppo_robot.sim.start import start_poses
from ppo_robot.spec.robot import RobotSpec
from ppo_robot.spec.task import TaskSpec
from ppo_robot.state import RobotState

Array = NDArray[np.float64]
Rows = NDArray[np.intp]

EPISODE_METRICS = (
    *("return", "length", "success", "final_error", "settle_time", "action_rate", "effort", "collision"),
    *("goal_x", "goal_y", "goal_z"),
)
"""Columns of an ended episode's summary; after them the safety envelope's intervention rate where it is simulated, the
end of a range that it pinned where there is a curriculum, and one for each reward term's share of the return."""


@dataclass
class StepResult:
    """One control period of B robots.

    Attributes:
        observation: (B, O) float32; where an episode ended, already the first one of the next episode.
        final_observation: (B, O) float32, the last one of the episode that ended; equal to `observation` elsewhere.
        critic_observation: (B, C) float32, what the critic sees when the policy sees `observation`.
        final_critic_observation: (B, C) float32, likewise for `final_observation`.
        reward: (B,).
        terminated: (B,) bool, the task ended for good.
        truncated: (B,) bool, time ran out without a termination.
        episode: (B, metrics) summary of the episode that ended, meaningless elsewhere.
    """

    observation: NDArray[np.float32]
    final_observation: NDArray[np.float32]
    critic_observation: NDArray[np.float32]
    final_critic_observation: NDArray[np.float32]
    reward: Array
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    episode: Array


@dataclass
class _Tick:
    """What one control period gave, before ended episodes begin anew."""

    view: View
    observation: NDArray[np.float32]
    reward: Array
    terminated: NDArray[np.bool_]


class BatchEnv:
    """B robots in one process; an ended episode begins anew in the same step.

    Every random draw of a robot comes from its own stream, and a reset leaves no trace of what was before, so a
    trajectory depends on nothing but seed, global index and actions.
    """

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
        self.batch = len(indices)
        self.indices = tuple(indices)
        self.model = RobotModel(robot)
        self.streams = EnvironmentStreams(seed, indices)
        self.plant = make_plant(plant, self.model, task.simulation, self.batch)
        self.command = make_command_path(robot, task, self.batch)
        self.randomization = Randomization(task, self.model, self.plant.nominal, self.batch)
        self.servo, self.sensors = self._make_path()
        self.randomization.serve(self.plant, self.servo, self.sensors)
        self.actions = ActionPath(task.action, self.model, task.control_period, self.batch)
        self.observer = Observer(task.observations, self.batch)
        self.critic = CriticObserver(task, self.batch)
        self.rewards = RewardSum(task.rewards, task.control_period)
        self.terminations = TerminationAny(task.terminations)
        self.hold = HoldTracker(task.success, task.control_period, self.batch)
        self._draw_goal = GOALS.bind(task.goal.term, task.goal.params, "goal")
        self.goal_position = np.zeros((self.batch, 3))
        self.fixed_goal: Array | None = None
        self.episode_step = np.zeros(self.batch, dtype=np.int64)
        # What the running episodes are made of: enough to build them again (see `replay`).
        self.episode_action = np.zeros((self.batch, task.episode_steps, self.action_size), dtype=np.float32)
        self.episode_random = np.zeros((self.batch, STATE_WORDS), dtype=np.uint64)
        entries = len(self.randomization.entries)
        self.episode_share = np.ones((self.batch, entries, 2)) if task.curriculum is not None else None
        # Return, squared action change, squared effort over its limit, and the reward terms.
        self._sums = np.zeros((self.batch, 3 + len(self.rewards.names)))
        self._effort_limit = np.maximum(self.model.effort_limit, np.finfo(float).tiny)
        self._all = np.arange(self.batch)

    @property
    def action_size(self) -> int:
        """Length of an action."""
        return self.model.joints

    @property
    def drawn(self) -> Array:
        """(B, n) what is drawn for the running episodes, by `drawn_names`; see `Randomization.drawn`."""
        return self.randomization.drawn

    @property
    def drawn_names(self) -> tuple[str, ...]:
        """(n,) names of the columns of `drawn`."""
        return self.randomization.names

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Names of the columns of `StepResult.episode`."""
        guarded = ("intervention",) if self.command.intervention is not None else ()
        pinned = (BOUNDARY,) if self.task.curriculum is not None else ()
        return EPISODE_METRICS + guarded + pinned + tuple(f"reward/{name}" for name in self.rewards.names)

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

    def set_curriculum(self, share: Array, pinned: float) -> None:
        """Let episodes that begin from now on draw from shares (E, 2) of the ranges, and a share of them pin an end.

        Raises:
            ValueError: if the task has no curriculum.
        """
        if self.task.curriculum is None:
            raise ValueError("set_curriculum: the task has no curriculum, and a replay would not know the shares")
        self.randomization.set_share(share)
        self.randomization.pinned = pinned

    def seed(self, seed: int) -> None:
        """Start every random stream anew."""
        self.streams.seed(seed, self.indices)

    def reset(self, rows: Rows | None = None) -> NDArray[np.float32]:
        """Begin an episode in `rows` (k,), or in all, and return their first observations (k, O).

        Raises:
            RunFailedError: if no start pose without self-collision is found, or an observation is not finite.
        """
        rows = self._all if rows is None else rows
        for row in rows.tolist():
            self.episode_random[row] = self.streams.pack(row)
        drawn = self.randomization
        if self.episode_share is not None:
            self.episode_share[rows] = drawn.share
        drawn.on_reset(rows, self.episode_random[rows])
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
        self.episode_step[rows] = 0
        self._sums[rows] = 0.0
        view = self._measured_view(rows)
        observation = self.observer.reset(view, rows)
        if not np.isfinite(observation).all():
            raise RunFailedError(diagnose([self.indices[row] for row in rows], view, self.observer.terms))
        truth = view if self.critic.observer is None else self._view(self.plant.truth, rows)
        self.critic.reset(truth, observation, rows)
        self._check_critic(truth, rows)
        return observation

    def step(self, action: NDArray[np.floating], autoreset: bool = True) -> StepResult:
        """Advance all B robots by one control period under actions (B, A) in [-1, 1], in single precision.

        Without `autoreset` an ended episode waits for `reset`, and no robot may be stepped before that.

        Raises:
            ValueError: if an action is not finite.
            RunFailedError: if an observation or reward is not finite; it names the term.
        """
        self.episode_action[self._all, self.episode_step] = action
        # What is kept for `replay` is what is acted upon, whatever precision the caller's actions have.
        tick = self._tick(self.episode_action[self._all, self.episode_step])
        ended = tick.terminated | (self.episode_step >= self.task.episode_steps)
        result = StepResult(
            observation=tick.observation,
            final_observation=tick.observation,
            critic_observation=self.critic.seen,
            final_critic_observation=self.critic.seen,
            reward=tick.reward,
            terminated=tick.terminated,
            truncated=ended & ~tick.terminated,
            episode=self._summaries(tick),
        )
        rows = np.flatnonzero(ended)
        if autoreset and len(rows):
            result.final_observation = tick.observation.copy()
            result.observation[rows] = self.reset(rows)
            result.critic_observation = self.critic.seen
        return result

    def replay(self, episode_step: NDArray[np.int64]) -> NDArray[np.float32]:
        """Build the running episodes again from `episode_random` and `episode_action`; return the observation (B, O).

        Each robot begins its episode in time to be `episode_step` (B,) steps into it when the replay ends. PyBullet's
        own saved state omits motors and delay lines; the same actions from the same start omit nothing.
        """
        random, actions = self.episode_random.copy(), self.episode_action.copy()
        shares = None if self.episode_share is None else self.episode_share.copy()
        longest = int(episode_step.max(initial=0))
        observation = self.reset()
        for step in range(longest + 1):
            begins = np.flatnonzero(episode_step == longest - step)
            for row in begins.tolist():
                self.streams.unpack(row, random[row])
            for rows in self.randomization.under(shares, begins):
                observation[rows] = self.reset(rows)
            if step < longest:
                place = np.clip(step - (longest - episode_step), 0, self.task.episode_steps - 1)
                observation = self._tick(actions[self._all, place]).observation
        self.episode_action[:] = actions
        return observation

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

    def _tick(self, action: NDArray[np.floating]) -> _Tick:
        """Advance every robot by one control period, whether or not its episode has ended."""
        target = self.actions.apply(action)
        drawn = self.randomization
        drawn.on_step(self.plant.truth)
        commanded = self.command.advance(target, drawn.encode(self.plant.truth))
        self.plant.step(drawn.decode(self.servo.advance(commanded, drawn.substeps)), drawn.substeps, drawn.load)
        self.sensors.measure(drawn.encode(self.plant.truth), self.streams, drawn.dropped)
        self.episode_step += 1
        view = self._view(self.plant.truth, self._all)
        reward, shares = self.rewards.evaluate(view)
        self._account(view, reward, shares)
        measured = self._measured_view(self._all)
        observation = self.observer.observe(measured, self._all)
        if not (np.isfinite(observation).all() and np.isfinite(reward).all()):
            names = self.rewards.names
            raise RunFailedError(diagnose(self.indices, measured, self.observer.terms, names, shares))
        self.critic.observe(view, observation, self._all)
        self._check_critic(view, self._all)
        return _Tick(view, observation, reward, self.terminations.evaluate(view))

    def _account(self, view: View, reward: Array, shares: Array) -> None:
        self.hold.update(view.goal_distance)
        self._sums[:, 0] += reward
        self._sums[:, 1] += sum_of_squares(view.action - view.previous_action)
        self._sums[:, 2] += sum_of_squares(view.state.joint_effort / self._effort_limit)
        self._sums[:, 3:] += shares

    def _summaries(self, tick: _Tick) -> Array:
        steps, intervention = np.maximum(self.episode_step, 1), self.command.intervention
        columns = (
            self._sums[:, 0],
            self.episode_step,
            self.hold.success & ~tick.terminated,
            tick.view.goal_distance,
            self.hold.settle_time,
            np.sqrt(self._sums[:, 1] / (steps * self.action_size)) / self.task.control_period,
            np.sqrt(self._sums[:, 2] / (steps * self.model.joints)),
            self.plant.self_collision,
            *self.goal_position.T,
            *((intervention,) if intervention is not None else ()),
            *((self.randomization.boundary,) if self.task.curriculum is not None else ()),
        )
        return np.concatenate([np.stack([np.asarray(c, dtype=float) for c in columns], axis=1), self._sums[:, 3:]], 1)

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

    def _check_critic(self, truth: View, rows: Rows) -> None:
        if self.critic.observer is not None and not np.isfinite(self.critic.seen[rows]).all():
            indices = [self.indices[row] for row in rows]
            raise RunFailedError(diagnose(indices, truth, self.critic.observer.terms))
