"""Tests that a robot (a batch of one) computes, bit for bit, what training computed in a batch of many."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppo_robot.kinematics import RobotModel
from ppo_robot.mdp.goals import inside_workspace
from ppo_robot.mdp.observations import OBSERVATIONS
from ppo_robot.mdp.observer import Observer
from ppo_robot.mdp.rewards import REWARDS, RewardSum
from ppo_robot.mdp.terminations import TERMINATIONS
from ppo_robot.mdp.view import View
from ppo_robot.spec.robot import load_robot
from ppo_robot.spec.task import load_task
from ppo_robot.state import RobotState

MODELS = {name: RobotModel(load_robot(name)) for name in ("arm6", "franka_panda")}
PARAMETERS = {
    ("reward", "tool_near"): {"std": 0.013},
    ("reward", "speed_at_goal"): {"std": 0.07},
    ("reward", "joint_limit"): {"margin": 0.3},
    ("termination", "tool_below"): {"height": 0.2},
}
TERMS = [(registry, name) for registry in (OBSERVATIONS, REWARDS, TERMINATIONS) for name in registry.names]


def random_view(model: RobotModel, batch: int, seed: int) -> View:
    rng = np.random.default_rng(seed)
    state = RobotState.zeros(batch, model.joints)
    state.joint_position[:] = rng.uniform(model.lower, model.upper, (batch, model.joints))
    state.joint_velocity[:] = rng.normal(0.0, 1.0, (batch, model.joints))
    distance = 10.0 ** rng.uniform(-4, 0)
    return View(
        model=model,
        state=state,
        goal_position=model.tool_position(state.joint_position) + rng.normal(0.0, distance, (batch, 3)),
        joint_target=state.joint_position + rng.normal(0.0, 0.1, (batch, model.joints)),
        joint_target_velocity=rng.normal(0.0, 1.0, (batch, model.joints)),
        joint_target_acceleration=rng.normal(0.0, 9.0, (batch, model.joints)),
        action=rng.uniform(-1.0, 1.0, (batch, model.joints)),
        previous_action=rng.uniform(-1.0, 1.0, (batch, model.joints)),
        self_collision=rng.random(batch) < 0.5,
    )


def one(view: View, row: int) -> View:
    index = np.array([row])
    return View(
        model=view.model,
        state=view.state.rows(index),
        goal_position=view.goal_position[index],
        joint_target=view.joint_target[index],
        joint_target_velocity=view.joint_target_velocity[index],
        joint_target_acceleration=view.joint_target_acceleration[index],
        action=view.action[index],
        previous_action=view.previous_action[index],
        self_collision=view.self_collision[index],
    )


@pytest.mark.parametrize("robot", MODELS)
@given(batch=st.integers(2, 33), seed=st.integers(0, 2**32), data=st.data())
@settings(max_examples=25)
def test_a_row_has_the_same_bits_in_any_batch(robot: str, batch: int, seed: int, data: st.DataObject) -> None:
    whole = random_view(MODELS[robot], batch, seed)
    row = data.draw(st.integers(0, batch - 1))
    single = one(whole, row)
    for registry, name in TERMS:
        function = registry.bind(name, PARAMETERS.get((registry.kind, name), {}), "x")
        expected, value = function(whole)[row], function(single)[0]
        assert np.array_equal(value, expected), (registry.kind, name, value - expected)


@pytest.mark.parametrize("robot", MODELS)
def test_observer_and_rewards_of_the_task_too(robot: str) -> None:
    task, batch = load_task("reach"), 19
    whole = random_view(MODELS[robot], batch, seed=1)
    observation = Observer(task.observations, batch).reset(whole, np.arange(batch))
    reward, shares = RewardSum(task.rewards, task.control_period).evaluate(whole)
    inside = inside_workspace(whole.goal_position, MODELS[robot].spec.workspace)
    for row in range(batch):
        single = one(whole, row)
        assert np.array_equal(Observer(task.observations, 1).reset(single, np.array([0]))[0], observation[row])
        one_reward, one_shares = RewardSum(task.rewards, task.control_period).evaluate(single)
        assert np.array_equal(one_reward[0], reward[row])
        assert np.array_equal(one_shares[0], shares[row])
        assert inside_workspace(single.goal_position, MODELS[robot].spec.workspace)[0] == inside[row]
