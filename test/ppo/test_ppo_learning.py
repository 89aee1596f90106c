"""Small problems that PPO must solve in seconds: all parts together, with termination and truncation."""

import numpy as np
import pytest
import torch

from ppo_robot.ppo.actor_critic import ActorCritic
from ppo_robot.ppo.learner import Learner
from ppo_robot.ppo.rollout import RolloutBuffer
from ppo_robot.spec.training import NetworkSpec, PpoSpec

ENVS, STEPS, LIMIT = 32, 32, 40


class PointMass:
    """A point on a line, pushed to 0: position and velocity seen, acceleration chosen; over when it runs away."""

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.position, self.velocity, self.age = np.zeros(ENVS), np.zeros(ENVS), np.zeros(ENVS, int)
        self.reset(np.ones(ENVS, bool))

    def reset(self, where):
        self.position[where] = self.random.uniform(-1, 1, where.sum())
        self.velocity[where] = 0.0
        self.age[where] = 0

    def observation(self):
        return np.stack([100 * self.position, self.velocity], -1).astype(np.float32)

    def step(self, action):
        self.velocity += 0.2 * np.clip(action[:, 0], -1, 1)
        self.position += 0.2 * self.velocity
        self.age += 1
        reward = -np.abs(self.position) - 0.1 * np.abs(self.velocity)
        terminated, truncated = np.abs(self.position) > 2, self.age >= LIMIT
        reward[terminated] -= 10.0
        final = self.observation()
        self.reset(terminated | truncated)
        return reward, terminated, truncated, final


def train(iterations):
    generator = torch.Generator().manual_seed(0)
    actor_critic = ActorCritic(2, 2, 1, NetworkSpec(hidden_sizes=(32, 32)), generator)
    spec = PpoSpec(learning_rate=3e-3, minibatch_size=256, schedule="linear", stop_kl=0.1)
    learner, buffer, plant = Learner(actor_critic, spec), RolloutBuffer(STEPS, ENVS, 2, 2, 1), PointMass(0)
    seen = torch.from_numpy(plant.observation())
    learner.warm_start(seen, seen)
    rewards, explained = [], []
    for iteration in range(iterations):
        buffer.clear()
        while not buffer.full:
            seen = plant.observation()
            action, log_probability, mean = actor_critic.act(torch.from_numpy(seen), generator)
            reward, terminated, truncated, final = plant.step(action.numpy())
            buffer.add(seen, seen, action, log_probability, mean, reward, terminated, truncated, final)
        buffer.finish(actor_critic.value, plant.observation(), spec.gamma, spec.gae_lambda)
        metrics = learner.update(buffer.flat(), iteration / iterations, generator)
        rewards.append(buffer.reward.mean())
        explained.append(metrics.explained_variance)
    return np.array(rewards), explained


@pytest.fixture
def one_thread():
    """A result that depends neither on the machine's cores nor on the order of the tests."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_point_mass_is_learnt(one_thread):
    rewards, explained = train(40)
    # Standing still costs 0.5 a step; a bang-bang controller reaches about -0.1 over an episode of 40 steps.
    assert rewards[:2].mean() < -0.6
    assert rewards[-5:].mean() > -0.2
    assert np.mean(explained[-5:]) > 0.7
