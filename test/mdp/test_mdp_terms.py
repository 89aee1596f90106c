"""Tests for the terms of ppo_robot.mdp: each against numbers worked out by hand, and how a task's YAML finds them."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from ppo_robot.errors import SpecError
from ppo_robot.kinematics import RobotModel
from ppo_robot.mdp.goals import GOALS
from ppo_robot.mdp.observations import OBSERVATIONS
from ppo_robot.mdp.observer import Observer
from ppo_robot.mdp.rewards import REWARDS, RewardSum
from ppo_robot.mdp.terminations import TERMINATIONS, TerminationAny
from ppo_robot.mdp.terms import Registry
from ppo_robot.mdp.view import View, norm, sum_of_squares
from ppo_robot.spec.task import RewardTermSpec, TermSpec, load_task
from ppo_robot.state import RobotState

Array = NDArray[np.float64]


def hand_view() -> View:
    """Two robots of two joints whose kinematics are given outright.

    Tool to goal: (3, 0, 4) cm and (0, 0, 0). Jacobian of the first: columns (0, 2, 0) and (1, 0, 0.5).
    """
    tool = np.array([[0.1, 0.2, 0.3], [0.4, 0.5, -0.6]])
    jacobian = np.array([[[0.0, 1.0], [2.0, 0.0], [0.0, 0.5]], [[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]])
    model = SimpleNamespace(
        lower=np.array([-1.0, -2.0]),
        upper=np.array([1.0, 2.0]),
        default_position=np.array([0.25, -0.5]),
        velocity_limit=np.array([2.0, 4.0]),
        tool_position=lambda position: tool + (position[:, :1] - [[0.5], [0.95]]) * [1.0, 0.0, 0.0],
        tool_jacobian=lambda position: jacobian,
    )
    state = RobotState.zeros(2, 2)
    state.joint_position[:] = [[0.5, 0.5], [0.95, -1.9]]
    state.joint_velocity[:] = [[1.0, -1.0], [0.0, 4.0]]
    return View(
        model=cast(RobotModel, model),
        state=state,
        goal_position=tool + [[0.03, 0.0, 0.04], [0.0, 0.0, 0.0]],
        joint_target=np.array([[0.6, 0.3], [0.9, -1.9]]),
        joint_target_velocity=np.array([[2.0, 0.0], [-1.0, 0.5]]),
        joint_target_acceleration=np.array([[9.0, -1.0], [0.0, 4.0]]),
        action=np.array([[1.0, -0.5], [0.2, 0.0]]),
        previous_action=np.array([[0.5, 0.5], [0.2, 0.0]]),
        self_collision=np.array([False, True]),
    )


OBSERVED: dict[str, tuple[dict[str, float], list[list[float]]]] = {
    "joint_position": ({}, [[0.25, 1.0], [0.7, -1.4]]),
    "joint_velocity": ({}, [[1.0, -1.0], [0.0, 4.0]]),
    "joint_target_error": ({}, [[0.1, -0.2], [-0.05, 0.0]]),
    "joint_target_velocity": ({}, [[2.0, 0.0], [-1.0, 0.5]]),
    "joint_target_acceleration": ({}, [[9.0, -1.0], [0.0, 4.0]]),
    "previous_action": ({}, [[1.0, -0.5], [0.2, 0.0]]),
    "tool_position": ({}, [[0.1, 0.2, 0.3], [0.4, 0.5, -0.6]]),
    "goal_position": ({}, [[0.13, 0.2, 0.34], [0.4, 0.5, -0.6]]),
    "tool_to_goal": ({}, [[0.03, 0.0, 0.04], [0.0, 0.0, 0.0]]),
    # Targets (0.6, 0.3) and (0.9, -1.9) against (0.5, 0.5) and (0.95, -1.9): the tool goes with the first joint.
    "target_to_goal": ({}, [[-0.07, 0.0, 0.04], [0.05, 0.0, 0.0]]),
    "goal_direction": ({"softening": 0.05}, [[0.3, 0.0, 0.4], [0.0, 0.0, 0.0]]),
    "goal_gradient": ({"softening": 0.05}, [[0.0, 0.3 + 0.5 * 0.4], [0.0, 0.0]]),
}
REWARDED: dict[str, tuple[dict[str, float], list[float]]] = {
    "tool_distance": ({}, [0.05, 0.0]),
    "tool_near": ({"std": 0.1}, [1.0 - math.tanh(0.5), 1.0]),
    "action_rate": ({}, [0.25 + 1.0, 0.0]),
    "action_size": ({}, [1.25, 0.04]),
    "joint_speed": ({}, [0.25 + 0.0625, 1.0]),
    "speed_at_goal": ({"std": 0.05}, [math.sqrt(0.3125) * math.exp(-1.0), 1.0]),
    "posture": ({}, [0.25**2 + 1.0**2, 0.7**2 + 1.4**2]),
    # 0.95 is 0.05 inside the margin below 1, -1.9 is 0.0 of it above -2: (0.1 - 0.05) / 0.1 and (0.1 - 0.1) / 0.1.
    "joint_limit": ({"margin": 0.1}, [0.0, 0.5]),
    "self_collision": ({}, [0.0, 1.0]),
}
TERMINATED: dict[str, tuple[dict[str, float], list[bool]]] = {
    "self_collision": ({}, [False, True]),
    "tool_below": ({"height": 0.0}, [False, True]),
}


def test_every_term_has_its_numbers_here() -> None:
    assert set(OBSERVATIONS.names) == set(OBSERVED)
    assert set(REWARDS.names) == set(REWARDED)
    assert set(TERMINATIONS.names) == set(TERMINATED)


@pytest.mark.parametrize("name", OBSERVED)
def test_observation(name: str) -> None:
    params, expected = OBSERVED[name]
    value = OBSERVATIONS.bind(name, params, "x")(hand_view())
    assert value == pytest.approx(np.array(expected), abs=1e-12)
    assert set(OBSERVATIONS.facts(name)) == {"unit", "frame"}


@pytest.mark.parametrize("name", REWARDED)
def test_reward(name: str) -> None:
    params, expected = REWARDED[name]
    value = REWARDS.bind(name, params, "x")(hand_view())
    assert value == pytest.approx(np.array(expected), abs=1e-12)
    assert value.dtype == np.float64


@pytest.mark.parametrize("name", TERMINATED)
def test_termination(name: str) -> None:
    params, expected = TERMINATED[name]
    assert TERMINATIONS.bind(name, params, "x")(hand_view()).tolist() == expected


def test_joint_limits_count_on_both_sides_and_beyond() -> None:
    view = hand_view()
    view.state.joint_position[:] = [[-0.97, 1.96], [1.1, -2.0]]
    expected = [math.hypot(0.7, 0.6), math.hypot(2.0, 1.0)]
    assert REWARDS.bind("joint_limit", {"margin": 0.1}, "x")(view) == pytest.approx(expected)


def test_the_direction_has_no_jump_at_the_goal() -> None:
    view = hand_view()
    view.goal_position = view.tool_position + [[1e-9, 0.0, 0.0], [0.0, 0.0, 0.0]]
    assert abs(OBSERVATIONS.bind("goal_direction", {}, "x")(view)).max() < 1e-6


def test_rewards_are_rates_weighted_and_summed() -> None:
    terms = {
        "tool_distance": RewardTermSpec(weight=-2.0),
        "near": RewardTermSpec("tool_near", {"std": 0.1}, 3.0),
        "self_collision": RewardTermSpec(weight=-50.0),
    }
    rewards = RewardSum(terms, control_period=0.02)
    total, shares = rewards.evaluate(hand_view())
    near = 3.0 * 0.02 * (1.0 - math.tanh(0.5))
    assert rewards.names == ("tool_distance", "near", "self_collision")
    assert shares == pytest.approx(np.array([[-0.002, near, 0.0], [0.0, 0.06, -1.0]]), abs=1e-15)
    assert total == pytest.approx([near - 0.002, -0.94])


def test_any_termination_ends_and_none_ends_nothing() -> None:
    view = hand_view()
    view.self_collision = np.array([True, False])
    both = {"self_collision": TermSpec(), "low": TermSpec("tool_below", {"height": 0.0})}
    assert TerminationAny(both).evaluate(view).tolist() == [True, True]
    assert TerminationAny({}).evaluate(view).tolist() == [False, False]
    assert view.self_collision.tolist() == [True, False]  # what a term returned is not written to


def test_norm_and_squares() -> None:
    vector = np.array([[[3.0, 4.0], [0.0, -2.0]]])
    assert sum_of_squares(vector).tolist() == [[25.0, 4.0]]
    assert norm(vector).tolist() == [[5.0, 2.0]]


@pytest.mark.parametrize(
    ("registry", "name", "params", "message"),
    [
        (OBSERVATIONS, "joint_positon", {}, "here: no observation term 'joint_positon'; did you mean 'joint_position'"),
        (REWARDS, "", {}, "here: no reward term ''"),
        (GOALS, "tool_position", {}, "did you mean 'tool_position_in_workspace'?"),
        (REWARDS, "tool_near", {}, "here.params.std: missing; reward 'tool_near' needs it"),
        (REWARDS, "tool_near", {"sdt": 1.0}, "here.params.sdt: reward 'tool_near' has no such parameter; did you mean"),
        (TERMINATIONS, "self_collision", {"x": 1.0}, "'self_collision' has no such parameter; no key is allowed here"),
        (OBSERVATIONS, "goal_direction", {"view": 1.0}, "here.params.view: observation 'goal_direction' has no such"),
    ],
)
def test_an_unknown_term_or_parameter_is_refused(
    registry: Registry[Any], name: str, params: dict[str, float], message: str
) -> None:
    with pytest.raises(SpecError) as caught:
        registry.bind(name, params, "here")
    assert message in str(caught.value)


def test_a_name_is_registered_once() -> None:
    registry: Registry[Any] = Registry("reward")

    @registry.register()
    def term(view: View) -> Array:
        return view.goal_distance

    with pytest.raises(ValueError, match="'term' is registered twice"):
        registry.register()(term)


def test_every_term_of_the_reaching_task_resolves() -> None:
    task = load_task("reach")
    assert len(Observer(task.observations, 1).terms) == len(task.observations)
    assert RewardSum(task.rewards, task.control_period).names == tuple(task.rewards)
    TerminationAny(task.terminations)
    GOALS.bind(task.goal.term, task.goal.params, "goal")
