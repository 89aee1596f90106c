"""Episodes of B robots of whatever kind: random streams, terms, sums, how they begin, end and are built again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ppo_robot.errors import RunFailedError
from ppo_robot.mdp.observer import Observer
from ppo_robot.mdp.rewards import RewardSum
from ppo_robot.mdp.terminations import TerminationAny
from ppo_robot.mdp.view import AnyView, sum_of_squares
from ppo_robot.sim.critic import CriticObserver
from ppo_robot.sim.curriculum import BOUNDARY
from ppo_robot.sim.diagnosis import diagnose
from ppo_robot.sim.randomization import Randomization
from ppo_robot.sim.randomness import STATE_WORDS, EnvironmentStreams
from ppo_robot.spec.kinds import AnyTask

Array = NDArray[np.float64]
Rows = NDArray[np.intp]
V = TypeVar("V", bound=AnyView)


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
class _Tick(Generic[V]):
    """What one control period gave, before ended episodes begin anew."""

    view: V
    observation: NDArray[np.float32]
    reward: Array
    terminated: NDArray[np.bool_]


class EpisodeBatch(ABC, Generic[V]):
    """B robots in one process; an ended episode begins anew in the same step.

    Every random draw of a robot comes from its own stream, and a reset leaves no trace of what was before, so a
    trajectory depends on nothing but seed, global index and actions. What a robot is and how it moves, its kind says.
    """

    def __init__(
        self,
        task: AnyTask,
        indices: Sequence[int],
        seed: int,
        action_size: int,
        randomization: Randomization,
        terms: tuple[Observer, CriticObserver, RewardSum, TerminationAny],
    ) -> None:
        """Prepare the environments with the global `indices`; `reset` before the first `step`.

        Args:
            task: for this kind of robot.
            indices: global, one for each environment.
            seed: of all random streams.
            action_size: A.
            randomization: of as many robots, not yet drawn.
            terms: bound to the task.
        """
        self.batch = len(indices)
        self.indices = tuple(indices)
        self.action_size = action_size
        self.streams = EnvironmentStreams(seed, indices)
        self.randomization = randomization
        self.observer, self.critic, self.rewards, self.terminations = terms
        self.episode_step = np.zeros(self.batch, dtype=np.int64)
        self._length, self._period = task.episode_steps, task.control_period
        self._has_curriculum = task.curriculum is not None
        # What the running episodes are made of: enough to build them again (see `replay`).
        self.episode_action = np.zeros((self.batch, task.episode_steps, action_size), dtype=np.float32)
        self.episode_random = np.zeros((self.batch, STATE_WORDS), dtype=np.uint64)
        entries = len(self.randomization.entries)
        self.episode_share = np.ones((self.batch, entries, 2)) if self._has_curriculum else None
        # Return, squared action change, squared effort over its limit, and the reward terms.
        self._sums = np.zeros((self.batch, 3 + len(self.rewards.names)))
        self._all = np.arange(self.batch)

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
        pinned = (BOUNDARY,) if self._has_curriculum else ()
        return self._own_metric_names() + pinned + tuple(f"reward/{name}" for name in self.rewards.names)

    @abstractmethod
    def close(self) -> None:
        """Free the plant."""

    @abstractmethod
    def fix_goal(self, position: Array | None) -> None:
        """Send every later episode to the same goal (3,) m, or draw goals again with None.

        Raises:
            BadInputError: if the goal lies where the robot must not be sent.
        """

    @abstractmethod
    def _begin(self, rows: Rows) -> None:
        """Put `rows` (k,) where an episode starts; nothing was drawn from their streams yet."""

    @abstractmethod
    def _advance(self, action: NDArray[np.floating]) -> None:
        """Advance every robot by one control period under actions (B, A), and measure."""

    @abstractmethod
    def _true_view(self, rows: Rows) -> V:
        """Return what rewards, terminations and the critic see of `rows` (k,)."""

    @abstractmethod
    def _measured_view(self, rows: Rows) -> V:
        """Return what the policy sees of `rows` (k,)."""

    @abstractmethod
    def _account(self, view: V) -> None:
        """Take note of a control period that has ended as `view`, the truth, says."""

    @abstractmethod
    def _squared_effort(self, view: V) -> Array:
        """Return the mean square (B,) of what drives each robot over what it can give, as `view`, the truth, says."""

    @abstractmethod
    def _own_metric_names(self) -> tuple[str, ...]:
        """Return the names of what `_own_metrics` gives."""

    @abstractmethod
    def _own_metrics(self, view: V, terminated: NDArray[np.bool_]) -> tuple[Array | NDArray[np.generic], ...]:
        """Return the columns (B,) of the summary of episodes that would end now, but for those of the rewards."""

    def set_curriculum(self, share: Array, pinned: float, corners: float = 0.0) -> None:
        """Let episodes that begin from now on draw from shares (E, 2) of the ranges.

        A share `pinned` of them pin an end of one range, and of the others a share `corners` an end of each.

        Raises:
            ValueError: if the task has no curriculum.
        """
        if not self._has_curriculum:
            raise ValueError("set_curriculum: the task has no curriculum, and a replay would not know the shares")
        self.randomization.set_share(share)
        self.randomization.pinned, self.randomization.corners = pinned, corners

    def seed(self, seed: int) -> None:
        """Start every random stream anew."""
        self.streams.seed(seed, self.indices)

    def reset(self, rows: Rows | None = None) -> NDArray[np.float32]:
        """Begin an episode in `rows` (k,), or in all, and return their first observations (k, O).

        Raises:
            RunFailedError: if no episode can begin, or an observation is not finite.
        """
        rows = self._all if rows is None else rows
        for row in rows.tolist():
            self.episode_random[row] = self.streams.pack(row)
        if self.episode_share is not None:
            self.episode_share[rows] = self.randomization.share
        self.randomization.on_reset(rows, self.episode_random[rows])
        self._begin(rows)
        self.episode_step[rows] = 0
        self._sums[rows] = 0.0
        view = self._measured_view(rows)
        observation = self.observer.reset(view, rows)
        if not np.isfinite(observation).all():
            raise RunFailedError(diagnose([self.indices[row] for row in rows], view, self.observer.terms))
        truth = view if self.critic.observer is None else self._true_view(rows)
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
        ended = tick.terminated | (self.episode_step >= self._length)
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
                place = np.clip(step - (longest - episode_step), 0, self._length - 1)
                observation = self._tick(actions[self._all, place]).observation
        self.episode_action[:] = actions
        return observation

    def _tick(self, action: NDArray[np.floating]) -> _Tick[V]:
        """Advance every robot by one control period, whether or not its episode has ended."""
        self._advance(action)
        self.episode_step += 1
        view = self._true_view(self._all)
        reward, shares = self.rewards.evaluate(view)
        self._account(view)
        self._sums[:, 0] += reward
        self._sums[:, 1] += sum_of_squares(view.action - view.previous_action)
        self._sums[:, 2] += self._squared_effort(view)
        self._sums[:, 3:] += shares
        measured = self._measured_view(self._all)
        observation = self.observer.observe(measured, self._all)
        if not (np.isfinite(observation).all() and np.isfinite(reward).all()):
            names = self.rewards.names
            raise RunFailedError(diagnose(self.indices, measured, self.observer.terms, names, shares))
        self.critic.observe(view, observation, self._all)
        self._check_critic(view, self._all)
        return _Tick(view, observation, reward, self.terminations.evaluate(view))

    @property
    def _action_rate(self) -> Array:
        """(B,) root mean square of how fast the action changed so far, 1/s."""
        steps = np.maximum(self.episode_step, 1)
        return np.sqrt(self._sums[:, 1] / (steps * self.action_size)) / self._period

    @property
    def _effort(self) -> Array:
        """(B,) root mean square of effort over its limit so far."""
        return np.sqrt(self._sums[:, 2] / np.maximum(self.episode_step, 1))

    def _summaries(self, tick: _Tick[V]) -> Array:
        boundary = (self.randomization.boundary,) if self._has_curriculum else ()
        columns = (*self._own_metrics(tick.view, tick.terminated), *boundary)
        return np.concatenate([np.stack([np.asarray(c, dtype=float) for c in columns], axis=1), self._sums[:, 3:]], 1)

    def _check_critic(self, truth: V, rows: Rows) -> None:
        if self.critic.observer is not None and not np.isfinite(self.critic.seen[rows]).all():
            indices = [self.indices[row] for row in rows]
            raise RunFailedError(diagnose(indices, truth, self.critic.observer.terms))
