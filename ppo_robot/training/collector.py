"""The collector: fills a rollout with the policy's steps, and keeps what they say of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from ppo_robot.ppo.actor_critic import ActorCritic
from ppo_robot.ppo.rollout import RolloutBuffer
from ppo_robot.sim.vector_env import WorkerVectorEnv
from ppo_robot.spec.training import TrainingSpec

HISTOGRAM_EDGES = np.linspace(-1.0, 1.0, 21)
"""Edges of the action histogram; actions beyond them, which the environment clips, count in the outer bins."""


@dataclass
class RolloutFigures:
    """What one rollout showed: ended episodes, rewards, actions, and where the time went (s).

    `simulation_seconds` is what the learner waited for the simulation; the rest of the rollout is inference.
    """

    episodes: NDArray[np.float64]
    reward_variance: float
    action_histogram: list[int]
    simulation_seconds: float = 0.0
    inference_seconds: float = 0.0


@dataclass
class Collector:
    """Steps the environments under the current policy; owns the buffer and the newest observation.

    The environments are two lanes that advance each at its own pace: while one is simulated, the policy acts on the
    other, and neither waits for the other's workers. Each lane draws its actions from a generator of its own, so the
    order in which they get ready changes no bit.
    """

    env: WorkerVectorEnv
    actor_critic: ActorCritic
    spec: TrainingSpec
    generators: Sequence[torch.Generator]
    observation: NDArray[np.float32] = field(init=False)
    critic_observation: NDArray[np.float32] = field(init=False)

    def __post_init__(self) -> None:
        """Allocate the buffer."""
        size, actions = self.env.observation_size, self.env.action_size
        self._own_critic = "critic_observation" in self.env.shared.arrays
        critic = self.env.critic_observation.shape[1]
        self.buffer = RolloutBuffer(self.spec.rollout_steps, self.spec.num_envs, size, critic, actions)

    def start(self, seed: int) -> None:
        """Begin an episode everywhere."""
        self.env.reset(seed=seed)
        self.take_over()

    def take_over(self) -> None:
        """Go on from what the environments show now."""
        self.observation = self.env.shared["observation"].copy()
        # Where critic and policy see the same, it is one array: nothing is copied twice.
        self.critic_observation = self.env.critic_observation.copy() if self._own_critic else self.observation

    def collect(self) -> RolloutFigures:
        """Fill the buffer with one rollout and compute its advantages."""
        buffer, env = self.buffer, self.env
        buffer.clear()
        ended: dict[tuple[int, int], NDArray[np.float64]] = {}
        began = time.perf_counter()
        waiting = 0.0
        acted = [self._act(lane) for lane in range(len(env.lanes))]
        while not buffer.full:
            mark = time.perf_counter()
            lane = env.wait_any()
            waiting += time.perf_counter() - mark
            summaries = self._store(lane, acted[lane])
            if len(summaries):
                ended[buffer.filled(env.lanes[lane]), lane] = summaries
            if buffer.filled(env.lanes[lane]) < self.spec.rollout_steps:
                acted[lane] = self._act(lane)
        ppo = self.spec.ppo
        buffer.finish(self.actor_critic.value, self.critic_observation, ppo.gamma, ppo.gae_lambda)
        counts, _ = np.histogram(np.clip(buffer.action, -1.0, 1.0), HISTOGRAM_EDGES)
        episodes = [ended[key] for key in sorted(ended)]
        return RolloutFigures(
            episodes=np.concatenate(episodes) if episodes else np.empty((0, len(env.metric_names))),
            reward_variance=float(buffer.reward.var()),
            action_histogram=counts.tolist(),
            simulation_seconds=waiting,
            inference_seconds=time.perf_counter() - began - waiting,
        )

    def _act(self, lane: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Draw actions for a lane and send them; return action, log-probability and mean."""
        seen = torch.from_numpy(self.observation[self.env.lanes[lane]])
        drawn = self.actor_critic.act(seen, self.generators[lane])
        self.env.send(lane, drawn[0].numpy())
        return drawn

    def _store(self, lane: int, acted: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> NDArray[np.float64]:
        """Put what a lane's step gave into the buffer; return the summaries of the episodes that ended (k, metrics)."""
        rows = self.env.lanes[lane]
        shared = {name: array[rows] for name, array in self.env.shared.arrays.items()}
        before = self.observation[rows]
        action, log_probability, mean = acted
        terminated, truncated = shared["terminated"], shared["truncated"]
        critic = self.critic_observation[rows]
        final = shared["final_critic_observation" if self._own_critic else "final_observation"]
        outcome = (shared["reward"], terminated, truncated, final)
        self.buffer.add(before, critic, action, log_probability, mean, *outcome, rows=rows)
        before[:] = shared["observation"]
        if self._own_critic:
            critic[:] = shared["critic_observation"]
        return shared["episode"][terminated | truncated]
