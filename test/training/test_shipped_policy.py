"""What the shipped policy must do beyond its two-second episodes: hold a goal for as long as a robot stands there."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ppo_robot.mdp.view import norm
from ppo_robot.paths import share_directory
from ppo_robot.policy.bundle import Bundle, load_bundle
from ppo_robot.sim.batch_env import BatchEnv

ROBOTS, SECONDS = 8, 60.0


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(share_directory() / "config" / "policies" / "reach")


def test_it_holds_a_goal_for_a_minute_without_drifting_away(bundle: Bundle) -> None:
    """A joint that does not move the tool may drift for long before anything is lost; then it is at its limit."""
    assert bundle.statistics is not None
    lower, upper = bundle.statistics.observation.bounds(0.5, 0.05)
    env = BatchEnv(bundle.robot, dataclasses.replace(bundle.task, episode_length=SECONDS), range(ROBOTS), seed=11)
    try:
        observation, poses = env.reset(), []
        for _ in range(round(SECONDS / bundle.task.control_period) - 1):
            result = env.step(bundle.runtime.infer(observation)[0], autoreset=False)
            assert not result.terminated.any()
            observation = result.observation
            assert ((observation >= lower) & (observation <= upper)).all()  # or the safety node would stop it
            poses.append(env.plant.truth.joint_position.copy())
        error = norm(env.goal_position - env.model.tool_position(env.plant.truth.joint_position))
    finally:
        env.close()
    assert error.max() < bundle.task.success.tolerance
    half = len(poses) // 2
    assert np.abs(poses[-1] - poses[half]).max() < 0.1
