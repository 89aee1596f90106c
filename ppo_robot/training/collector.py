"""The collector: fills a rollout with the policy's steps, and keeps what they say of it."""

from __future__ import annotations

import time
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
    """What one rollout showed: ended episodes, rewards, actions, and where the time went (s)."""

    episodes: NDArray[np.float64]
    reward_variance: float
    action_histogram: list[int]
    simulation_seconds: float = 0.0
    inference_seconds: float = 0.0


@dataclass
class Collector:
    """Steps the environments under the current policy; owns the buffer and the newest observation."""

    env: WorkerVectorEnv
    actor_critic: ActorCritic
    spec: TrainingSpec
    generator: torch.Generator
    observation: NDArray[np.float32] = field(init=False)

    def __post_init__(self) -> None:
        """Allocate the buffer."""
        size, actions = self.env.observation_size, self.env.action_size
        self.buffer = RolloutBuffer(self.spec.rollout_steps, self.spec.num_envs, size, size, actions)

    def start(self, seed: int) -> None:
        """Begin an episode everywhere."""
        self.observation = self.env.reset(seed=seed)[0].copy()

    def collect(self) -> RolloutFigures:
        """Fill the buffer with one rollout and compute its advantages."""
        buffer, env = self.buffer, self.env
        buffer.clear()
        ended: list[NDArray[np.float64]] = []
        simulation = inference = 0.0
        mark = time.perf_counter()
        while not buffer.full:
            before = self.observation
            action, log_probability, mean = self.actor_critic.act(torch.from_numpy(before), self.generator)
            now = time.perf_counter()
            inference += now - mark
            observation, reward, terminated, truncated, info = env.step(action.numpy())
            mark = time.perf_counter()
            simulation += mark - now
            final = info.get("final_obs", observation)
            buffer.add(before, before, action, log_probability, mean, reward, terminated, truncated, final)
            if info:
                ended.append(info["episode"][info["_episode"]])
            self.observation = observation.copy()
        ppo = self.spec.ppo
        buffer.finish(self.actor_critic.value, self.observation, ppo.gamma, ppo.gae_lambda)
        inference += time.perf_counter() - mark
        counts, _ = np.histogram(np.clip(buffer.action, -1.0, 1.0), HISTOGRAM_EDGES)
        return RolloutFigures(
            episodes=np.concatenate(ended) if ended else np.empty((0, len(env.metric_names))),
            reward_variance=float(buffer.reward.var()),
            action_histogram=counts.tolist(),
            simulation_seconds=simulation,
            inference_seconds=inference,
        )
