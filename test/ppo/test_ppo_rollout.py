"""The rollout buffer: order of the samples, whose value bootstraps what, misuse."""

import numpy as np
import pytest
import torch

from ppo_robot.ppo.gae import generalised_advantage
from ppo_robot.ppo.rollout import RolloutBuffer

STEPS, ENVS = 4, 3


def value_function(critic_observation):
    """V is the sum of what the critic sees, so each row's value tells which row it was."""
    return critic_observation.sum(-1)


def fill(buffer, seed=0):
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(buffer.steps):
        row = {
            "observation": rng.normal(size=(ENVS, 5)),
            "critic_observation": rng.normal(size=(ENVS, 2)),
            "action": rng.normal(size=(ENVS, 1)),
            "log_probability": rng.normal(size=ENVS),
            "action_mean": rng.normal(size=(ENVS, 1)),
            "reward": rng.normal(size=ENVS),
            "terminated": rng.random(ENVS) < 0.3,
            "truncated": rng.random(ENVS) < 0.5,
            "final_critic_observation": rng.normal(size=(ENVS, 2)),
        }
        buffer.add(**row)
        rows.append(row)
    return rows, rng.normal(size=(ENVS, 2))


def test_advantages_and_flat_order():
    buffer = RolloutBuffer(STEPS, ENVS, 5, 2, 1)
    for seed in range(5):  # the same memory again and again
        buffer.clear()
        rows, last = fill(buffer, seed)
        stacked = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
        buffer.finish(value_function, last, gamma=0.9, gae_lambda=0.8)
        advantage, target = generalised_advantage(
            stacked["reward"], stacked["critic_observation"].sum(-1), stacked["final_critic_observation"].sum(-1),
            stacked["terminated"], stacked["truncated"], 0.9, 0.8, last.sum(-1),
        )
        batch = buffer.flat()
        assert len(batch) == STEPS * ENVS
        np.testing.assert_allclose(batch.advantage, advantage.reshape(-1), atol=1e-5)
        np.testing.assert_allclose(batch.value_target, target.reshape(-1), atol=1e-5)
        for name in ("observation", "critic_observation", "action", "log_probability", "action_mean"):
            tensor = getattr(batch, name)
            assert tensor.dtype == torch.float32 and tensor.is_contiguous()
            expected = stacked[name].reshape(STEPS * ENVS, *stacked[name].shape[2:])
            np.testing.assert_array_equal(tensor, expected.astype(np.float32))


def test_takes_inference_tensors_as_they_come():
    buffer = RolloutBuffer(1, 2, 1, 1, 1)
    with torch.inference_mode():
        column, row = torch.ones(2, 1), torch.ones(2)
    buffer.add(column, column, column, row, column, row, row.bool(), row.bool(), column)
    buffer.finish(value_function, column, 0.9, 0.9)
    assert buffer.flat().action.tolist() == [[1.0], [1.0]]


def test_misuse_is_told():
    buffer = RolloutBuffer(STEPS, ENVS, 5, 2, 1)
    with pytest.raises(RuntimeError, match="0 of 4"):
        buffer.finish(value_function, np.zeros((ENVS, 2)), 0.9, 0.9)
    fill(buffer)
    with pytest.raises(RuntimeError, match="finish"):
        buffer.flat()
    with pytest.raises(RuntimeError, match="clear"):
        fill(buffer)
    with pytest.raises(ValueError, match="bootstrap_critic_observation"):
        buffer.finish(value_function, np.zeros(2), 0.9, 0.9)
    with pytest.raises(ValueError, match="at least 1"):
        RolloutBuffer(0, 1, 1, 1, 1)


def test_nothing_is_broadcast():
    buffer = RolloutBuffer(1, 2, 1, 1, 1)
    column, row = np.ones((2, 1)), np.ones(2)
    with pytest.raises(ValueError, match="reward: given shape"):
        buffer.add(column, column, column, row, column, 1.0, row, row, column)
