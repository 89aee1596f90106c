"""Generalised advantage estimation, with truncation kept apart from termination."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float32]


def generalised_advantage(
    reward: ArrayLike,
    value: ArrayLike,
    final_value: ArrayLike,
    terminated: ArrayLike,
    truncated: ArrayLike,
    gamma: float,
    gae_lambda: float,
    bootstrap_value: ArrayLike,
) -> tuple[FloatArray, FloatArray]:
    """Return the advantage and the TD(lambda) value target of a rollout of T steps in N environments.

    Source: Schulman et al. 2016, arXiv:1506.02438, equations 11, 12 and 16. A truncated episode would have gone on,
    so its last step bootstraps with the value of the observation that it ended on; a terminated one is worth nothing
    afterwards (Pardo et al. 2018, arXiv:1712.00378). At both, the sum stops: the next row is another episode. A step
    which is both counts as terminated.

    Args:
        reward: (T, N), r_t of the step from observation t.
        value: (T, N), V(o_t) of the observation before the step, in units of the return.
        final_value: (T, N), V of the final observation of the episode that ended at step t. Read only where truncated
            and not terminated, so anything (also NaN) may stand elsewhere.
        terminated: (T, N) bool, the episode ended at step t in a state worth nothing afterwards.
        truncated: (T, N) bool, the episode was cut off at step t.
        gamma: discount per step, 0 to 1.
        gae_lambda: 0 gives the one-step TD error, 1 the discounted return minus the value.
        bootstrap_value: (N,), V of the observation after the last step. Read only where no episode ended there.

    Returns:
        advantage (T, N) and value target (T, N), float32; target = advantage + value.

    Raises:
        ValueError: the shapes disagree.
    """
    reward = np.asarray(reward, dtype=np.float32)
    value = np.asarray(value, dtype=np.float32)
    final_value = np.asarray(final_value, dtype=np.float32)
    terminated = np.asarray(terminated, dtype=bool)
    truncated = np.asarray(truncated, dtype=bool)
    bootstrap_value = np.asarray(bootstrap_value, dtype=np.float32)
    _require_shapes(reward, value, final_value, terminated, truncated, bootstrap_value)

    # V(o_{t+1}) of the same episode: the next row, the final observation where cut off, 0 where the episode is over.
    next_value = np.concatenate([value[1:], bootstrap_value[None]])
    next_value = np.where(truncated, final_value, next_value)
    next_value = np.where(terminated, np.float32(0.0), next_value)

    # delta_t = r_t + gamma V(o_{t+1}) - V(o_t)                                      (equation 11)
    delta = reward + np.float32(gamma) * next_value - value
    # A_t = delta_t + gamma lambda A_{t+1}, and A_{t+1} = 0 at an episode's end       (equation 16)
    decay = np.float32(gamma * gae_lambda) * ~(terminated | truncated)
    advantage = np.empty_like(delta)
    following = np.zeros_like(bootstrap_value)
    for step in range(len(delta) - 1, -1, -1):
        following = delta[step] + decay[step] * following
        advantage[step] = following
    return advantage, advantage + value


def _require_shapes(
    reward: NDArray,
    value: NDArray,
    final_value: NDArray,
    terminated: NDArray,
    truncated: NDArray,
    bootstrap_value: NDArray,
) -> None:
    if reward.ndim != 2:
        raise ValueError(f"reward: given shape {reward.shape}; expected (steps, environments)")
    named = {"value": value, "final_value": final_value, "terminated": terminated, "truncated": truncated}
    for name, array in named.items():
        if array.shape != reward.shape:
            raise ValueError(f"{name}: given shape {array.shape}; expected reward's shape {reward.shape}")
    if bootstrap_value.shape != reward.shape[1:]:
        raise ValueError(f"bootstrap_value: given shape {bootstrap_value.shape}; expected {reward.shape[1:]}")
