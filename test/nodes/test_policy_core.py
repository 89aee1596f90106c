"""The policy node's core: the observation of training, smooth goals, gaps, and the cap of the noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ppo_robot.errors import BadInputError
from ppo_robot.joint_input import JointMessage
from ppo_robot.nodes.policy_core import PolicyCore
from ppo_robot.paths import share_directory
from ppo_robot.policy.bundle import Bundle, load_bundle
from ppo_robot.sim.batch_env import BatchEnv
from ppo_robot.spec.deployment import PolicyNodeSpec

GOAL = np.array([0.5, 0.1, 0.4])


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(share_directory() / "config" / "policies" / "reach")


class Time:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


def make(bundle: Bundle, **changes: object) -> tuple[PolicyCore, Time]:
    time = Time()
    spec = replace(PolicyNodeSpec(), **changes)  # type: ignore[arg-type]
    return PolicyCore(bundle, spec, time), time


def feed(core: PolicyCore, time: Time, position: np.ndarray, velocity: np.ndarray | None = None) -> None:
    """Give the core a state, joints in reverse order and with one too many."""
    names = (*reversed(core.joint_names), "finger")
    velocity = np.zeros(len(position)) if velocity is None else velocity
    message = JointMessage(names, (*position[::-1], 0.0), (*velocity[::-1], 0.0), (), time.now)
    assert core.accept(message, time.now, time.now) is None


def test_the_node_builds_the_observation_of_training_bit_for_bit(bundle: Bundle) -> None:
    env = BatchEnv(bundle.robot, bundle.task, range(1), seed=11)
    observation = env.reset()
    core, time = make(bundle)
    compared = 0
    began = True
    while compared < 1000:
        measured = env.sensors.measured
        if began:
            core.set_goal(env.goal_position[0])
            core.input.forget()
        time.now += bundle.task.control_period
        feed(core, time, measured.joint_position[0], measured.joint_velocity[0])
        if began:
            core.activate(seed=0)
        action = core.tick()
        assert action is not None
        np.testing.assert_array_equal(action.observation, observation[0])
        np.testing.assert_array_equal(action.normalised_observation, bundle.runtime.normalised(observation)[0])
        result = env.step(action.action[None])
        observation, began = result.observation, bool(result.truncated[0] or result.terminated[0])
        if not began:
            np.testing.assert_array_equal(action.joint_target, env.actions.joint_target[0])
        compared += 1
    env.close()


def test_nothing_is_sent_without_a_goal_or_a_fresh_state(bundle: Bundle) -> None:
    core, time = make(bundle, state_timeout=0.1)
    with pytest.raises(BadInputError, match="no joint state younger than"):
        core.activate(seed=0)
    feed(core, time, bundle.runner().path.model.default_position)
    core.activate(seed=0)
    assert core.tick() is None
    assert core.counters["no_goal"] == 1
    core.set_goal(GOAL)
    assert core.tick() is not None
    time.now += 0.2
    assert core.tick() is None
    assert core.counters["state_stale"] == 1


def test_the_first_target_is_near_the_measured_pose_and_so_is_the_first_after_a_gap(bundle: Bundle) -> None:
    core, time = make(bundle)
    model = core.runner.path.model
    largest = core.runner.path.actions.scale
    pose = model.default_position
    feed(core, time, pose)
    core.activate(seed=0)
    core.set_goal(GOAL)
    action = core.tick()
    assert action is not None
    assert (np.abs(action.joint_target - pose) <= largest + 1e-12).all()
    # The robot was moved by hand while its states were missing.
    time.now += 1.0
    assert core.tick() is None
    moved = pose + 0.3
    time.now += 0.01
    feed(core, time, moved)
    action = core.tick()
    assert action is not None
    assert (np.abs(action.joint_target - moved) <= largest + 1e-12).all()


def test_a_new_goal_in_full_motion_does_not_make_the_target_jump(bundle: Bundle) -> None:
    core, time = make(bundle)
    model, path = core.runner.path.model, core.runner.path.actions
    position = model.default_position.copy()
    feed(core, time, position)
    core.activate(seed=0)
    core.set_goal(GOAL)
    targets = []
    for tick in range(60):
        if tick == 12:
            core.set_goal(np.array([0.45, -0.25, 0.5]))
        action = core.tick()
        assert action is not None
        targets.append(action.joint_target)
        velocity = (action.joint_target - position) / bundle.task.control_period
        position = action.joint_target
        time.now += bundle.task.control_period
        feed(core, time, position, velocity)
    steps = np.diff(np.array(targets), axis=0)
    assert (np.abs(steps) <= path.scale + 1e-12).all()
    # The filter bounds how fast the motion itself may change: an action's whole range, times its gain.
    assert (np.abs(np.diff(steps, axis=0)) <= 2.0 * path.filter_gain * path.scale + 1e-12).all()


def test_a_goal_outside_the_workspace_leaves_the_one_before(bundle: Bundle) -> None:
    core, _ = make(bundle)
    core.set_goal(GOAL)
    with pytest.raises(BadInputError, match="outside the workspace"):
        core.set_goal(np.array([3.0, 0.0, 0.4]))
    with pytest.raises(BadInputError, match="outside the workspace"):
        core.set_goal(np.array([np.nan, 0.0, 0.4]))
    assert core.goal is not None
    np.testing.assert_array_equal(core.goal, GOAL)


def test_stochastic_runs_repeat_with_their_seed_and_their_std_is_capped(bundle: Bundle) -> None:
    runs = []
    for seed in (7, 7, 8):
        core, time = make(bundle, action="stochastic", maximum_std=0.03)
        feed(core, time, core.runner.path.model.default_position)
        core.activate(seed)
        core.set_goal(GOAL)
        actions = [core.tick() for _ in range(5)]
        assert all(action is not None for action in actions)
        runs.append(actions)
    first, again, other = runs
    for one, two, three in zip(first, again, other, strict=True):
        assert one is not None and two is not None and three is not None
        np.testing.assert_array_equal(one.action, two.action)
        assert not np.array_equal(one.action, three.action)
        assert one.std.max() <= np.float32(0.03)
        # log N(action; mean, std), from what is published alone: this is what a replay recomputes.
        deviation = (one.action.astype(float) - one.mean) / one.std
        expected = (-0.5 * deviation**2 - np.log(one.std) - 0.5 * np.log(2 * np.pi)).sum()
        assert one.log_probability == pytest.approx(expected, rel=1e-3)


def test_a_state_that_makes_no_finite_observation_sends_nothing(bundle: Bundle) -> None:
    core, time = make(bundle)
    feed(core, time, core.runner.path.model.default_position, np.full(6, 1e300))
    core.activate(seed=0)
    core.set_goal(GOAL)
    with np.errstate(over="ignore"):
        assert core.tick() is None
    assert core.counters["not_finite"] == 1
