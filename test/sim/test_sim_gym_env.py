"""Tests for ppo_robot.sim.gym_env: gymnasium's checker, stable-baselines3 as it is, and the bits of training."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from ppo_robot.errors import BadInputError
from ppo_robot.sim import gym_env
from ppo_robot.sim.batch_env import BatchEnv
from ppo_robot.sim.gym_env import ENVIRONMENT_ID, TaskEnv
from ppo_robot.spec.experiment import load_experiment

SHORT = ("task.episode_length=0.2", "task.success.hold=0.06")


@pytest.fixture
def env() -> Iterator[TaskEnv]:
    env = TaskEnv(overrides=SHORT, seed=5)
    yield env
    env.close()


def test_gymnasiums_checker_finds_nothing_but_an_unbounded_observation() -> None:
    env = gymnasium.make(ENVIRONMENT_ID, overrides=SHORT)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(env.unwrapped)
    env.close()
    unexpected = [str(each.message) for each in caught if "A Box observation space m" not in str(each.message)]
    assert unexpected == []


def test_it_is_found_by_name_without_the_physics_engine() -> None:
    script = (
        "import gymnasium, sys, ppo_robot.sim.gym_env; spec = gymnasium.spec('ppo_robot/Reach-v0');"
        "print(spec.entry_point, sorted(set(sys.modules) & {'pybullet', 'pinocchio', 'torch'}))"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "ppo_robot.sim.gym_env:TaskEnv []"


def test_one_line_makes_it() -> None:
    script = (
        f"import gymnasium; env = gymnasium.make('ppo_robot.sim.gym_env:ppo_robot/Reach-v0', overrides={SHORT});"
        "print(env.reset(seed=0)[0].dtype, env.spec.id)"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "float32 ppo_robot/Reach-v0"


def test_registering_twice_is_harmless() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gym_env.register()
    assert gymnasium.spec(ENVIRONMENT_ID).id == ENVIRONMENT_ID


def test_stable_baselines3_trains_it_unchanged() -> None:
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_checker import check_env as check_for_sb3
    from stable_baselines3.common.logger import Logger

    env = gymnasium.make(ENVIRONMENT_ID, overrides=SHORT)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_for_sb3(env.unwrapped)
    model = PPO("MlpPolicy", env, n_steps=128, batch_size=64, n_epochs=2, seed=0, device="cpu")
    model.set_logger(Logger(None, []))  # its own leaves a folder in /tmp
    before = [parameter.detach().clone() for parameter in model.policy.parameters()]
    model.learn(256)
    assert model.num_timesteps == 256
    assert len(model.ep_info_buffer) == 25  # type: ignore[arg-type] - every tenth step ends an episode
    assert len(model.ep_success_buffer) == 25  # type: ignore[arg-type]
    assert any((old != new).any() for old, new in zip(before, model.policy.parameters(), strict=True))
    env.close()


def test_it_is_environment_0_of_training_bit_for_bit(env: TaskEnv) -> None:
    experiment = load_experiment("reach", "arm6", "default", overrides=SHORT)
    batch = BatchEnv(experiment.robot, experiment.task, range(2), seed=9)
    first = batch.reset()[0]
    assert np.array_equal(env.reset(seed=9)[0], first)
    for action in np.random.default_rng(0).uniform(-1, 1, (25, 6)).astype(np.float32):
        expected = batch.step(np.stack([action, action]))
        observation, reward, terminated, truncated, _ = env.step(action)
        assert np.array_equal(observation, expected.final_observation[0])
        assert (reward, terminated, truncated) == (expected.reward[0], expected.terminated[0], expected.truncated[0])
        if terminated or truncated:
            assert np.array_equal(env.reset()[0], expected.observation[0])
    batch.close()


def episode(env: TaskEnv) -> list[Any]:
    return [env.step(np.full(6, 0.1, np.float32)) for _ in range(10)]


def test_info_says_how_it_stands_and_how_it_ended(env: TaskEnv) -> None:
    env.reset()
    steps = episode(env)
    for observation, reward, terminated, truncated, info in steps[:-1]:
        assert not terminated
        assert not truncated
        assert type(reward) is float
        assert observation in env.observation_space
        assert info.keys() == {"is_success", "goal_error"}
    *_, terminated, truncated, info = steps[-1]
    assert (terminated, truncated) == (False, True)
    assert info["goal_error"] == info["episode_metrics"]["final_error"]
    assert info["is_success"] is False
    assert info["episode_metrics"]["return"] == pytest.approx(sum(step[1] for step in steps))


def test_success_is_told() -> None:
    env = TaskEnv(overrides=[*SHORT, "task.success.tolerance=5.0"])
    env.reset(seed=0)
    assert [step[4]["is_success"] for step in episode(env)] == [False, False] + [True] * 8
    env.close()


def test_an_ended_or_unbegun_episode_wants_a_reset(env: TaskEnv) -> None:
    action = np.zeros(6, np.float32)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(action)
    env.reset()
    episode(env)
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(action)
    env.reset()
    env.step(action)


def test_seeds(env: TaskEnv) -> None:
    first = env.reset()[0]
    second = env.reset()[0]
    assert np.array_equal(env.reset(seed=5)[0], first)  # the constructor's seed was that of the first reset
    assert np.array_equal(env.reset()[0], second)
    assert env.np_random_seed == 5
    unseeded = [TaskEnv(overrides=SHORT) for _ in range(2)]
    assert not np.array_equal(*(each.reset()[0] for each in unseeded))
    for each in unseeded:
        each.close()


def test_wrong_actions_and_arguments_are_refused(env: TaskEnv) -> None:
    env.reset()
    for wrong in (np.zeros((1, 6)), np.zeros(7), np.float32(0.0)):
        with pytest.raises(ValueError, match=r"action: given shape"):
            env.step(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not finite"):
        env.step(np.full(6, np.nan, np.float32))
    for arguments in ({"render_mode": "human"}, {"robot": "arm5"}, {"task": "raech"}, {"overrides": ["task.x=1"]}):
        with pytest.raises(BadInputError):
            TaskEnv(**arguments)  # type: ignore[arg-type]


def test_pictures_show_the_robot_that_moved() -> None:
    env = gymnasium.make(ENVIRONMENT_ID, render_mode="rgb_array", overrides=SHORT)
    assert env.metadata["render_fps"] == 50
    env.reset(seed=0)
    before: Any = env.render()
    for _ in range(5):
        env.step(np.ones(6, np.float32))
    after: Any = env.render()
    assert before.dtype == np.uint8
    assert before.ndim == 3
    assert before.shape[2] == 3
    assert (before != after).any()
    env.close()
    env.close()
    assert gym_env.TaskEnv.metadata["render_modes"] == ["rgb_array"]


def test_another_robot_is_an_argument() -> None:
    env = gymnasium.make(ENVIRONMENT_ID, robot="franka_panda", overrides=SHORT)
    env.reset(seed=0)
    assert env.action_space.shape == (7,)
    assert env.step(env.action_space.sample())[0] in env.observation_space
    env.close()
