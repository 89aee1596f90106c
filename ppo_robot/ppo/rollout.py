"""One rollout: T steps of N environments, from the first `add` to the batch that the learner takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ppo_robot.ppo.gae import generalised_advantage

ValueFunction = Callable[[Tensor], Tensor]

_ALL = slice(None)


@dataclass(frozen=True)
class Batch:
    """What the learner takes: B = T * N samples, float32, contiguous; values and targets in units of the return."""

    observation: Tensor  # (B, O)
    critic_observation: Tensor  # (B, C)
    action: Tensor  # (B, A), as drawn, before any clip
    log_probability: Tensor  # (B,), of the policy that acted
    action_mean: Tensor  # (B, A), of the policy that acted
    value: Tensor  # (B,)
    advantage: Tensor  # (B,), not normalised
    value_target: Tensor  # (B,)

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.observation)


class RolloutBuffer:
    """Preallocated float32 arrays of shape (steps, envs, ...), filled step by step and used again each iteration.

    Values are not asked for while acting: `finish` computes all of them in one call of the critic, which costs a
    fraction of `steps` small calls. Of final observations it keeps only those of truncated episodes, the only
    ones with a value.
    """

    def __init__(
        self, steps: int, envs: int, observation_size: int, critic_observation_size: int, action_size: int
    ) -> None:
        """Allocate; all sizes at least 1."""
        sizes = (steps, envs, observation_size, critic_observation_size, action_size)
        if min(sizes) < 1:
            raise ValueError(f"steps, envs and sizes: given {sizes}; expected each at least 1")
        self.steps, self.envs = steps, envs
        self.observation = np.zeros((steps, envs, observation_size), np.float32)
        self.critic_observation = np.zeros((steps, envs, critic_observation_size), np.float32)
        self.action = np.zeros((steps, envs, action_size), np.float32)
        self.action_mean = np.zeros((steps, envs, action_size), np.float32)
        self.log_probability = np.zeros((steps, envs), np.float32)
        self.reward = np.zeros((steps, envs), np.float32)
        self.terminated = np.zeros((steps, envs), bool)
        self.truncated = np.zeros((steps, envs), bool)
        self.value = np.zeros((steps, envs), np.float32)
        self.advantage = np.zeros((steps, envs), np.float32)
        self.value_target = np.zeros((steps, envs), np.float32)
        # Of truncated episodes: step, environments, and the critic's final observations of them.
        self._cut_off: list[tuple[int, np.ndarray, np.ndarray]] = []
        self._filled = np.zeros(envs, np.int64)  # steps stored of each environment
        self._finished = False

    @property
    def full(self) -> bool:
        """True once `steps` steps were added."""
        return bool((self._filled == self.steps).all())

    def filled(self, rows: slice = _ALL) -> int:
        """Return how many steps the environments `rows` have; they must advance together."""
        return int(self._filled[rows][0])

    def clear(self) -> None:
        """Begin the next rollout in the same memory."""
        self._filled[:] = 0
        self._cut_off = []
        self._finished = False

    def add(
        self,
        observation: ArrayLike,
        critic_observation: ArrayLike,
        action: ArrayLike,
        log_probability: ArrayLike,
        action_mean: ArrayLike,
        reward: ArrayLike,
        terminated: ArrayLike,
        truncated: ArrayLike,
        final_critic_observation: ArrayLike,
        rows: slice = _ALL,
    ) -> None:
        """Copy one step of the environments `rows`, by default of all; N is their number.

        Groups of environments may advance each at its own pace: the order in which they do changes nothing.

        Args:
            observation: (N, O), what the actor saw before the step.
            critic_observation: (N, C), what the critic sees of the same moment.
            action: (N, A), as drawn.
            log_probability: (N,), of that action.
            action_mean: (N, A).
            reward: (N,).
            terminated: (N,) bool.
            truncated: (N,) bool.
            final_critic_observation: (N, C), the critic's observation after the step and before any reset. Read only
                where truncated and not terminated, so the observation after the reset may stand in the other rows.
            rows: which environments.

        Raises:
            RuntimeError: the buffer is full.
            ValueError: a shape does not fit.
        """
        step = self.filled(rows)
        if step == self.steps:
            raise RuntimeError(f"the buffer already holds {self.steps} steps; call clear() before the next rollout")
        _store(self.observation[step, rows], observation, "observation")
        _store(self.critic_observation[step, rows], critic_observation, "critic_observation")
        _store(self.action[step, rows], action, "action")
        _store(self.log_probability[step, rows], log_probability, "log_probability")
        _store(self.action_mean[step, rows], action_mean, "action_mean")
        _store(self.reward[step, rows], reward, "reward")
        _store(self.terminated[step, rows], terminated, "terminated")
        _store(self.truncated[step, rows], truncated, "truncated")
        cut_off = self.truncated[step, rows] & ~self.terminated[step, rows]
        if cut_off.any():
            final = np.asarray(final_critic_observation, np.float32)
            if final.shape != self.critic_observation[step, rows].shape:
                raise ValueError(
                    f"final_critic_observation: given shape {final.shape};"
                    f" expected {self.critic_observation[step, rows].shape}"
                )
            environments = np.arange(self.envs)[rows][cut_off]
            self._cut_off.append((step, environments, final[cut_off]))
        self._filled[rows] += 1

    def finish(
        self, value_function: ValueFunction, bootstrap_critic_observation: ArrayLike, gamma: float, gae_lambda: float
    ) -> None:
        """Compute values, advantages and value targets of a full buffer.

        Args:
            value_function: (M, C) tensor to V (M,) in units of the return; `ActorCritic.value`. Called once.
            bootstrap_critic_observation: (N, C), the critic's observation after the last step.
            gamma: discount per step.
            gae_lambda: see `generalised_advantage`.

        Raises:
            RuntimeError: steps are missing.
        """
        if not self.full:
            raise RuntimeError(f"the buffer holds {self._filled.min()} of {self.steps} steps; fill it before finish()")
        samples = self.steps * self.envs
        bootstrap = np.asarray(bootstrap_critic_observation, np.float32)
        if bootstrap.shape != self.critic_observation.shape[1:]:
            raise ValueError(
                f"bootstrap_critic_observation: given shape {bootstrap.shape};"
                f" expected {self.critic_observation.shape[1:]}"
            )
        seen = self.critic_observation.reshape(samples, -1)
        # By step and environment, whoever came first: where a row stands in a matrix product may change its last bit.
        cut_off = sorted(self._cut_off, key=lambda entry: (entry[0], entry[1][0]))
        inputs = np.concatenate([seen, bootstrap, *(final for _, _, final in cut_off)])
        values = value_function(torch.from_numpy(inputs)).numpy()
        self.value[...] = values[:samples].reshape(self.steps, self.envs)
        final_value = np.zeros_like(self.value)
        place = samples + self.envs
        for step, environments, _ in cut_off:
            final_value[step, environments] = values[place : place + len(environments)]
            place += len(environments)
        self.advantage[...], self.value_target[...] = generalised_advantage(
            self.reward,
            self.value,
            final_value,
            self.terminated,
            self.truncated,
            gamma,
            gae_lambda,
            bootstrap_value=values[samples : samples + self.envs],
        )
        self._finished = True

    def flat(self) -> Batch:
        """Return the batch of B = steps * envs samples. It shares this buffer's memory: use it before `clear`.

        Raises:
            RuntimeError: `finish` was not called.
        """
        if not self._finished:
            raise RuntimeError("advantages are missing; call finish() before flat()")
        return Batch(
            observation=self._flat(self.observation),
            critic_observation=self._flat(self.critic_observation),
            action=self._flat(self.action),
            log_probability=self._flat(self.log_probability),
            action_mean=self._flat(self.action_mean),
            value=self._flat(self.value),
            advantage=self._flat(self.advantage),
            value_target=self._flat(self.value_target),
        )

    def _flat(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array.reshape(self.steps * self.envs, *array.shape[2:]))


def _store(destination: np.ndarray, source: ArrayLike, name: str) -> None:
    """Copy, refusing what numpy would silently broadcast."""
    array = np.asarray(source)
    if array.shape != destination.shape:
        raise ValueError(f"{name}: given shape {array.shape}; expected {destination.shape}")
    destination[...] = array
