"""Tests for ppo_robot.sim.critic: what the critic sees is the truth and what was drawn, at the same moments."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from ppo_robot.errors import RunFailedError, SpecError
from ppo_robot.mdp.observations import OBSERVATIONS
from ppo_robot.mdp.privileged import CRITIC_OBSERVATIONS
from ppo_robot.sim.batch_env import BatchEnv
from ppo_robot.sim.vector_env import WorkerVectorEnv
from ppo_robot.spec.randomization import RandomizationSpec
from ppo_robot.spec.robot import load_robot
from ppo_robot.spec.task import ObservationTermSpec, TaskSpec, load_task

ROBOT = load_robot("arm6")
REACH = load_task("reach")
TASK = dataclasses.replace(
    REACH,
    episode_length=0.12,
    terminations={},
    success=dataclasses.replace(REACH.success, hold=0.04),
    critic_observations={
        "joint_position": ObservationTermSpec(history=2),
        "drawn": ObservationTermSpec(),
        "joint_effort": ObservationTermSpec(),
    },
    simulation=dataclasses.replace(
        REACH.simulation,
        randomization={
            "payload": RandomizationSpec(range=(0.0, 1.0)),
            "bias": RandomizationSpec("joint_position_error", range=(-0.1, 0.1)),
        },
    ),
)
"""Six steps; the policy's joint positions are wrong by a bias, and the critic's history is two steps long."""


def actions(steps: int, batch: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).uniform(-1, 1, (steps, batch, 6)).astype(np.float32)


@pytest.fixture
def env() -> Iterator[BatchEnv]:
    made = BatchEnv(ROBOT, TASK, range(3), 4)
    yield made
    made.close()


def test_the_critic_sees_the_truth_and_what_was_drawn(env: BatchEnv) -> None:
    first = env.reset()
    truth = (env.plant.truth.joint_position - env.model.default_position).astype(np.float32)
    assert np.array_equal(env.critic.seen[:, :6], truth)
    assert np.array_equal(env.critic.seen[:, 6:12], truth)
    assert np.array_equal(env.critic.seen[:, 12:-6], env.drawn.astype(np.float32))
    assert np.abs(first[:, :6] - truth).max() > 0.02
    before = truth
    for step, action in enumerate(actions(5, 3)):
        result = env.step(action)
        truth = (env.plant.truth.joint_position - env.model.default_position).astype(np.float32)
        assert np.array_equal(result.critic_observation[:, :12], np.concatenate([before, truth], axis=1)), step
        effort = (env.plant.truth.joint_effort / env.model.effort_limit).astype(np.float32)
        assert np.array_equal(result.critic_observation[:, -6:], effort)
        assert np.array_equal(result.critic_observation, result.final_critic_observation)
        before = truth


def test_an_ended_episode_shows_its_last_observation_and_the_next_ones_first(env: BatchEnv) -> None:
    longer = BatchEnv(ROBOT, dataclasses.replace(TASK, episode_length=2.0), range(3), 4)
    env.reset()
    longer.reset()
    for action in actions(6, 3):
        result, expected = env.step(action), longer.step(action)
    longer.close()
    assert result.truncated.all()
    assert np.array_equal(result.final_critic_observation, expected.critic_observation)
    assert np.array_equal(result.critic_observation, env.critic.seen)
    assert np.array_equal(result.critic_observation[:, 12:-6], env.drawn.astype(np.float32))
    assert not result.critic_observation[:, -6:].any()  # at rest nothing was measured yet


def test_without_terms_of_its_own_it_sees_what_the_policy_sees() -> None:
    env = BatchEnv(ROBOT, dataclasses.replace(TASK, critic_observations={}), range(2), 4)
    assert np.array_equal(env.reset(), env.critic.seen)
    for action in actions(14, 2):
        result = env.step(action)
        assert np.array_equal(result.critic_observation, result.observation)
        assert np.array_equal(result.final_critic_observation, result.final_observation)
    env.close()


def test_workers_share_it_and_a_restored_run_has_it_again() -> None:
    chosen, runs = actions(9, 3), []
    for workers in (1, 2):
        env = WorkerVectorEnv(ROBOT, TASK, 3, workers, seed=4)
        try:
            env.reset()
            seen = [env.critic_observation.copy()]
            for action in chosen:
                env.step(action)
                seen += [env.critic_observation.copy(), env.shared["final_critic_observation"].copy()]
            env.restore(env.snapshot())
            assert np.array_equal(env.critic_observation, seen[-2])
        finally:
            env.close()
        runs.append(np.array(seen))
    assert np.array_equal(runs[0], runs[1])
    assert runs[0].shape[2] == 12 + 7 + 6


def broken(task: TaskSpec, term: str) -> TaskSpec:
    return dataclasses.replace(task, critic_observations={term: ObservationTermSpec()})


def test_what_only_the_critic_may_see_is_no_observation() -> None:
    assert set(CRITIC_OBSERVATIONS.names) == {*OBSERVATIONS.names, "drawn", "joint_effort"}
    with pytest.raises(SpecError, match=r"observations\.drawn: no observation term 'drawn'"):
        BatchEnv(ROBOT, dataclasses.replace(TASK, observations={"drawn": ObservationTermSpec()}), [0])
    with pytest.raises(SpecError, match=r"critic_observations\.drwan: no critic observation term 'drwan'; did"):
        BatchEnv(ROBOT, broken(TASK, "drwan"), [0])


def test_a_number_that_is_not_finite_is_named(env: BatchEnv) -> None:
    env.reset()
    column = env.drawn_names.index("payload")
    env.drawn[1, column] = np.nan
    with pytest.raises(RunFailedError, match="observation term 'drawn' is not finite in environment 1"):
        env.step(actions(1, 3)[0])
