"""A bundle at work: the observations of training bit for bit, and no training library anywhere."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

from ppo_robot.errors import RunFailedError
from ppo_robot.policy.bundle import Bundle, load_bundle
from ppo_robot.policy.contract import describe
from ppo_robot.policy.export import make_graph
from ppo_robot.policy.runtime import PolicyRuntime
from ppo_robot.ppo import distribution
from ppo_robot.ppo.actor_critic import ActorCritic
from ppo_robot.sim.batch_env import BatchEnv
from ppo_robot.spec.experiment import Experiment
from ppo_robot.state import RobotState

MakeActor = Callable[..., ActorCritic]

ROOT = Path(__file__).resolve().parents[2]

# Runs in its own process: argv is the folder of the package, a bundle, and a JSON list of blocked libraries.
ROBOT = """
import importlib.abc, json, sys
sys.path.insert(0, sys.argv[1])
blocked = json.loads(sys.argv[3])

class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"{name} is blocked", name=name)
        return None

sys.meta_path.insert(0, Block())
import numpy as np
from ppo_robot.policy.bundle import load_bundle
from ppo_robot.state import RobotState
runner = load_bundle(sys.argv[2]).runner()
state = RobotState.zeros(1, 6)
runner.reset(state)
target = runner.tick(state, np.array([[0.5, 0.1, 0.4]]))
print(json.dumps(target.tolist()))
"""


@pytest.fixture(scope="module")
def bundle(bundle_path: Path) -> Bundle:
    return load_bundle(bundle_path)


def test_the_robot_needs_no_training_library(bundle_path: Path, bundle: Bundle) -> None:
    blocked = ["torch", "onnx", "pybullet", "pybullet_data", "gymnasium", "matplotlib", "rich", "safetensors"]
    done = subprocess.run(
        [sys.executable, "-c", ROBOT, str(ROOT), str(bundle_path), json.dumps(blocked)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    runner = bundle.runner()
    state = RobotState.zeros(1, 6)
    runner.reset(state)
    assert json.loads(done.stdout) == runner.tick(state, np.array([[0.5, 0.1, 0.4]])).tolist()


def test_robot_and_simulation_see_the_same_bits(bundle: Bundle, experiment: Experiment) -> None:
    """Four simulated robots; one runner each, fed with what the sensors measured: 1200 states, 8 resets."""
    batch, steps = 4, 300
    env = BatchEnv(experiment.robot, experiment.task, range(batch), seed=11)
    runners = [bundle.runner() for _ in range(batch)]
    states = 0
    try:
        seen = env.reset()
        begins = np.ones(batch, dtype=bool)
        for step in range(steps):
            action = np.zeros((batch, 6), dtype=np.float32)
            for row, runner in enumerate(runners):
                measured = env.sensors.measured.rows(np.array([row]))
                if begins[row]:
                    runner.reset(measured)
                target = runner.tick(measured, env.goal_position[row : row + 1])
                assert np.array_equal(runner.observation[0], seen[row]), (step, row)
                action[row] = runner.action[0]
                states += 1
            result = env.step(action)
            begins = result.terminated | result.truncated
            for row, runner in enumerate(runners):
                if not begins[row]:
                    assert np.array_equal(runner.path.actions.joint_target[0], env.actions.joint_target[row])
            seen = result.observation
        assert target.shape == (1, 6)
    finally:
        env.close()
    assert states == batch * steps >= 1000


def test_a_reset_leaves_no_trace(bundle: Bundle) -> None:
    rng = np.random.default_rng(0)
    goal = np.array([[0.5, 0.0, 0.4]])
    used, fresh = bundle.runner(), bundle.runner()
    state = RobotState.zeros(1, 6)
    used.reset(state)
    for _ in range(5):
        state.joint_position[:] = rng.uniform(-1.0, 1.0, (1, 6))
        state.joint_velocity[:] = rng.uniform(-1.0, 1.0, (1, 6))
        used.tick(state, goal)
    for runner in (used, fresh):
        runner.reset(state)
    for _ in range(5):
        assert np.array_equal(used.tick(state, goal), fresh.tick(state, goal))
        assert np.array_equal(used.observation, fresh.observation)


def test_targets_are_the_runners_own_copy(bundle: Bundle) -> None:
    runner = bundle.runner()
    state = RobotState.zeros(1, 6)
    runner.reset(state)
    first = runner.tick(state, np.array([[0.5, 0.1, 0.4]]))
    kept = first.copy()
    runner.tick(state, np.array([[0.4, -0.3, 0.4]]))
    assert np.array_equal(first, kept)


def test_one_and_many_agree(bundle: Bundle) -> None:
    observation = np.random.default_rng(1).normal(size=(50, bundle.runtime.observation_size)).astype(np.float32)
    mean, log_std = bundle.runtime.infer(observation)
    assert mean.dtype == log_std.dtype == np.float32 and mean.shape == log_std.shape == (50, 6)
    for row in range(50):
        one_mean, one_log_std = bundle.runtime.infer(observation[row : row + 1])
        np.testing.assert_allclose(one_mean[0], mean[row], rtol=1e-6, atol=1e-6)
        assert np.array_equal(one_log_std[0], log_std[row])
    assert np.array_equal(bundle.runtime.infer(observation[:0])[0], np.empty((0, 6), dtype=np.float32))


def test_answers_are_not_overwritten_by_the_next(bundle: Bundle) -> None:
    zeros = np.zeros((1, bundle.runtime.observation_size), dtype=np.float32)
    first, _ = bundle.runtime.infer(zeros)
    kept = first.copy()
    bundle.runtime.infer(zeros + 1)
    assert np.array_equal(first, kept)


def test_a_rehearsal_changes_nothing_and_fails_on_nothing(bundle: Bundle) -> None:
    observation = np.full((1, bundle.runtime.observation_size), 0.25, dtype=np.float32)
    load_bundle(bundle.path).runtime.rehearse()  # before anything was asked
    mean, log_std = bundle.runtime.infer(observation)
    seen = bundle.runtime.seen.copy()
    with pytest.raises(RunFailedError):
        bundle.runtime.infer(observation * np.float32(np.nan))
    bundle.runtime.rehearse()
    assert np.array_equal(bundle.runtime.seen, seen)
    again = bundle.runtime.infer(observation)
    assert np.array_equal(again[0], mean) and np.array_equal(again[1], log_std)


def test_drawn_actions_follow_the_policy(bundle: Bundle) -> None:
    rng = np.random.default_rng(7)
    observation = np.repeat(rng.normal(size=(1, bundle.runtime.observation_size)), 20000, axis=0).astype(np.float32)
    mean, log_std = bundle.runtime.infer(observation[:2])
    drawn = bundle.runtime.act(observation, rng)
    assert drawn.action.dtype == drawn.log_probability.dtype == np.float32
    np.testing.assert_allclose(drawn.action.mean(axis=0), mean[0], atol=0.02)
    np.testing.assert_allclose(drawn.action.std(axis=0), np.exp(log_std[0]), rtol=0.03)
    expected = distribution.log_probability(
        torch.from_numpy(drawn.action), torch.from_numpy(mean[0]), torch.from_numpy(log_std[0])
    )
    np.testing.assert_allclose(drawn.log_probability, expected.numpy(), atol=1e-3)
    again = bundle.runtime.act(observation[:3], np.random.default_rng(9))
    assert np.array_equal(again.action, bundle.runtime.act(observation[:3], np.random.default_rng(9)).action)
    still = bundle.runtime.act(observation[:2])
    assert np.array_equal(still.action, mean)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(bundle: Bundle, bad: float) -> None:
    observation = np.zeros((2, bundle.runtime.observation_size), dtype=np.float32)
    observation[1, 4] = bad
    with pytest.raises(RunFailedError, match=r"observation: components \[4\] are not finite"):
        bundle.runtime.infer(observation)
    runner = bundle.runner()
    state = RobotState.zeros(1, 6)
    runner.reset(state)
    before = runner.path.actions.joint_target.copy()
    state.joint_velocity[0, 2] = bad
    with pytest.raises(RunFailedError, match="observation: components"):
        runner.tick(state, np.array([[0.5, 0.1, 0.4]]))
    assert np.array_equal(runner.path.actions.joint_target, before)


def test_the_wrong_shape_or_type_is_refused(bundle: Bundle) -> None:
    size = bundle.runtime.observation_size
    for wrong in (np.zeros((1, size)), np.zeros((1, size + 1), np.float32), np.zeros(size, np.float32)):
        with pytest.raises(ValueError, match=r"expected float32 \(batch, "):
            bundle.runtime.infer(wrong)


def test_golden_states_cover_every_field(bundle_path: Path) -> None:
    arrays = np.load(bundle_path / "golden.npz")
    assert arrays["observation"].shape[0] * arrays["observation"].shape[1] >= 64
    assert {f"state_{field.name}" for field in fields(RobotState)} <= set(arrays.files)
    assert np.abs(arrays["applied_action"]).max() > 1.0  # so that the clip is covered
    assert arrays["joint_target"].std(axis=0).min() > 0.0


def test_the_normalised_observation_is_what_the_network_gets(bundle: Bundle, make_actor: MakeActor) -> None:
    actor = make_actor()
    rows = np.random.default_rng(5).normal(0.0, 20.0, (64, bundle.runtime.observation_size)).astype(np.float32)
    found = bundle.runtime.normalised(rows)
    expected = actor.normalise_observation(torch.from_numpy(rows)).numpy()
    assert np.allclose(found, expected, rtol=1e-5, atol=1e-6)
    clip = actor.network.observation_clip
    assert (np.abs(found) == clip).any() and (np.abs(found) < clip).any()
    single = np.concatenate([bundle.runtime.normalised(row[None]) for row in rows])
    assert np.array_equal(found, single)


def test_without_a_normaliser_observations_pass_unchanged(make_actor: MakeActor, experiment: Experiment) -> None:
    contract = describe(experiment.robot, experiment.task)
    runtime = PolicyRuntime(make_graph(make_actor(normalise=False), contract["action"]))
    rows = np.random.default_rng(5).normal(0.0, 20.0, (8, runtime.observation_size)).astype(np.float32)
    assert np.array_equal(runtime.normalised(rows), rows)
