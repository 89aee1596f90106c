"""Advantages against numbers worked out by hand, in float-exact binary fractions where possible."""

import numpy as np
import pytest

from ppo_robot.ppo.gae import generalised_advantage


def column(*numbers):
    return np.array(numbers, np.float32)[:, None]


def flags(*numbers):
    return np.array(numbers, bool)[:, None]


def run(reward, value, terminated=(0, 0, 0), truncated=(0, 0, 0), final=(np.nan,) * 3, gamma=0.5, lam=0.5, last=16.0):
    advantage, target = generalised_advantage(
        column(*reward), column(*value), column(*final), flags(*terminated), flags(*truncated), gamma, lam,
        np.array([last], np.float32),
    )
    np.testing.assert_array_equal(target, advantage + column(*value))
    assert advantage.dtype == target.dtype == np.float32
    return advantage[:, 0]


REWARD, VALUE = (1.0, 2.0, 4.0), (2.0, 4.0, 8.0)


def test_episode_that_goes_on():
    # delta = 1 + 0.5*4 - 2 = 1;  2 + 0.5*8 - 4 = 2;  4 + 0.5*16 - 8 = 4;  gamma*lambda = 1/4
    # A_2 = 4;  A_1 = 2 + 4/4 = 3;  A_0 = 1 + 3/4 = 1.75
    np.testing.assert_array_equal(run(REWARD, VALUE), [1.75, 3.0, 4.0])


def test_termination_bootstraps_with_zero_and_cuts():
    # delta_1 = 2 + 0 - 4 = -2 and A_1 = -2;  A_0 = 1 - 2/4 = 0.5;  A_2 as before
    np.testing.assert_array_equal(run(REWARD, VALUE, terminated=(0, 1, 0)), [0.5, -2.0, 4.0])


def test_truncation_bootstraps_with_the_final_observation_and_cuts():
    # delta_1 = 2 + 0.5*10 - 4 = 3 and A_1 = 3;  A_0 = 1 + 3/4 = 1.75;  A_2 as before
    nan = np.nan
    np.testing.assert_array_equal(run(REWARD, VALUE, truncated=(0, 1, 0), final=(nan, 10.0, nan)), [1.75, 3.0, 4.0])


def test_both_at_once_is_termination():
    both = run(REWARD, VALUE, terminated=(0, 1, 0), truncated=(0, 1, 0))
    np.testing.assert_array_equal(both, run(REWARD, VALUE, terminated=(0, 1, 0)))


def test_end_at_the_last_step_does_not_read_the_bootstrap():
    # truncated: delta_2 = 4 + 0.5*6 - 8 = -1;  terminated: 4 - 8 = -4
    nan = np.nan
    ended = run(REWARD, VALUE, truncated=(0, 0, 1), final=(nan, nan, 6.0), last=nan)
    np.testing.assert_array_equal(ended, [1 + (2 - 0.25) / 4, 2 - 0.25, -1.0])
    np.testing.assert_array_equal(run(REWARD, VALUE, terminated=(0, 0, 1), last=nan), [1 + (2 - 1) / 4, 1.0, -4.0])


def test_lambda_zero_is_the_one_step_error():
    np.testing.assert_array_equal(run(REWARD, VALUE, lam=0.0), [1.0, 2.0, 4.0])


def test_lambda_one_is_the_return_minus_the_value():
    # G_0 = 1 + 2/2 + 4/4 + 16/8 = 5;  G_1 = 2 + 4/2 + 16/4 = 8;  G_2 = 4 + 16/2 = 12
    np.testing.assert_array_equal(run(REWARD, VALUE, lam=1.0), [5 - 2, 8 - 4, 12 - 8])


def test_constant_value_policy():
    # As in stable-baselines3: reward 1 a step, value 1 everywhere, gamma 1, one episode that terminates after
    # T steps. lambda 1: A_t = steps left - 1. lambda 0: delta = 1 before the last step, 0 on it.
    steps = 64
    ones, zeros = np.ones((steps, 1)), np.zeros((steps, 1))
    terminated = zeros.astype(bool)
    terminated[-1] = True
    args = (ones, ones, zeros, terminated, np.zeros_like(terminated))
    advantage, target = generalised_advantage(*args, 1.0, 1.0, np.ones(1))
    np.testing.assert_array_equal(advantage[:, 0], np.arange(steps, 0, -1) - 1)
    np.testing.assert_array_equal(target[:, 0], np.arange(steps, 0, -1))
    advantage, _ = generalised_advantage(*args, 1.0, 0.0, np.ones(1))
    np.testing.assert_array_equal(advantage[:, 0], [1.0] * (steps - 1) + [0.0])


def test_truncation_of_a_consistent_value_has_no_advantage():
    # Reward 1 for ever is worth 1 / (1 - gamma) = 2; cutting it off must look like nothing happened.
    steps, twos = 5, np.full((5, 1), 2.0)
    truncated = np.zeros((steps, 1), bool)
    truncated[[1, 4]] = True
    advantage, target = generalised_advantage(
        np.ones((steps, 1)), twos, twos, np.zeros((steps, 1)), truncated, 0.5, 0.9, np.zeros(1)
    )
    np.testing.assert_array_equal(advantage, 0.0)
    np.testing.assert_array_equal(target, twos)


def test_environments_do_not_mix_and_each_matches_a_scalar_loop():
    rng = np.random.default_rng(3)
    steps, envs, gamma, lam = 40, 7, 0.97, 0.9
    reward, value, final = (rng.normal(size=(steps, envs)).astype(np.float32) for _ in range(3))
    terminated, truncated = rng.random((steps, envs)) < 0.1, rng.random((steps, envs)) < 0.1
    last = rng.normal(size=envs).astype(np.float32)
    advantage, _ = generalised_advantage(reward, value, final, terminated, truncated, gamma, lam, last)
    for env in range(envs):
        for start in range(steps):  # the definition: a sum of discounted errors up to the episode's end
            total, weight = 0.0, 1.0
            for t in range(start, steps):
                over, cut = terminated[t, env], truncated[t, env]
                later = value[t + 1, env] if t + 1 < steps else last[env]
                later = 0.0 if over else final[t, env] if cut else later
                total += weight * (float(reward[t, env]) + gamma * float(later) - float(value[t, env]))
                weight *= gamma * lam
                if over or cut:
                    break
            assert advantage[start, env] == pytest.approx(total, abs=1e-5)


@pytest.mark.parametrize(
    "position, name", list(enumerate(["reward", "value", "final_value", "terminated", "truncated"]))
)
def test_shapes_must_agree(position, name):
    args = [np.zeros((3, 2)) for _ in range(5)]
    args[position] = np.zeros(3)
    with pytest.raises(ValueError, match=name):
        generalised_advantage(*args, 0.9, 0.9, np.zeros(2))
    with pytest.raises(ValueError, match="bootstrap_value"):
        generalised_advantage(*[np.zeros((3, 2))] * 5, 0.9, 0.9, np.zeros(3))
