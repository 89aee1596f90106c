"""The simulated robot without ROS: what it publishes, where it starts, how commands move it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sim_robots import ARM6, FORWARD, NAMES, TASK, TRAJECTORY, Make, controller, cores, run, truths

from ppo_robot.errors import BadInputError
from ppo_robot.nodes.sim_controllers import CommandRefusal, TrajectoryPoint
from ppo_robot.sim.batch_env import BatchEnv
from ppo_robot.spec.robot import load_robot


@pytest.fixture
def make() -> Iterator[Make]:
    yield from cores()


def test_joints_are_published_alphabetically_with_the_locked_ones_held(make: Make) -> None:
    core = make(load_robot("franka_panda"))
    sample = core.step()
    assert core.names == ("panda_finger_joint1", "panda_finger_joint2", *(f"panda_joint{i}" for i in range(1, 8)))
    assert sample is not None
    assert sample.position[:2].tolist() == [0.02, 0.02]
    assert np.allclose(sample.position[2:], core.joint_position, atol=1e-12)
    assert len(sample.velocity) == len(sample.effort) == 9


def test_the_robots_order_is_not_the_alphabetical_one(make: Make) -> None:
    core = make()
    core.reset()
    sample = core.step()
    assert sample is not None
    assert core.names != NAMES
    assert dict(zip(core.names, sample.position, strict=True)) == dict(zip(NAMES, core.joint_position, strict=True))


@pytest.mark.parametrize("rate", [200.0, 100.0, 50.0, 40.0, 20.0])
def test_a_state_period_of_whole_physics_steps_is_kept_exactly(make: Make, rate: float) -> None:
    core = make(state_rate=rate)
    stamps = [sample.stamp for sample in run(core, 20) if sample is not None]
    assert np.allclose(stamps, np.arange(1, 21) / rate, atol=1e-12)


@pytest.mark.parametrize("rate", [60.0, 125.0, 300.0, 1000.0])
def test_any_other_state_rate_is_refused_with_rates_that_fit(make: Make, rate: float) -> None:
    with pytest.raises(BadInputError, match=r"state_rate: given .* whole physics steps of 0.005 s, such as 200, 100"):
        make(state_rate=rate)


def test_reset_draws_the_start_pose_of_the_tasks_episodes(make: Make) -> None:
    env = BatchEnv(ARM6, TASK, [0], seed=5)
    env.reset()
    pose = make(seed=5).reset()
    assert pose.tolist() == env.plant.truth.joint_position[0].tolist()
    env.close()


def test_resets_repeat_with_the_seed_and_differ_from_one_another(make: Make) -> None:
    one, other, third = make(seed=3), make(seed=3), make(seed=4)
    run(one, 7)  # time that passes draws nothing
    first, second = one.reset(), one.reset()
    assert first.tolist() == other.reset().tolist()
    assert second.tolist() == other.reset().tolist()
    assert first.tolist() != second.tolist()
    assert first.tolist() != third.reset().tolist()


@pytest.mark.parametrize("plant", ["pybullet", "mujoco"])
def test_a_reset_holds_its_pose_and_forgets_what_was_commanded(make: Make, plant: Any) -> None:
    core = make(plant=plant)
    core.forward(FORWARD, [0.3] * 6)
    run(core, 20)
    core.forward(FORWARD, [0.0] * 5)
    core.forward(FORWARD, [0.2] * 6)
    before = core.time
    pose = core.reset()
    assert core.time == before
    run(core, 50)
    assert np.abs(core.joint_position - pose).max() < 1e-3
    assert core.forward(FORWARD, pose.tolist()) is None


@pytest.mark.parametrize("plant", ["pybullet", "mujoco"])
def test_the_last_command_is_held_for_ever(make: Make, plant: Any) -> None:
    core = make(plant=plant)
    target = core.joint_position + 0.2
    assert core.forward(FORWARD, target.tolist()) is None
    run(core, 200)
    reached = core.joint_position.copy()
    assert np.abs(reached - target).max() < 2e-3
    run(core, 1000)
    assert np.abs(core.joint_position - reached).max() < 1e-3


def test_the_same_targets_move_it_bit_for_bit_as_they_move_the_training_environment(make: Make) -> None:
    held = replace(TASK, simulation=replace(TASK.simulation, command="hold"))
    env = BatchEnv(ARM6, held, [0], seed=2)
    env.reset()
    core = make(seed=2, state_rate=1.0 / TASK.control_period)
    core.reset()
    rng = np.random.default_rng(0)
    for _ in range(60):
        env.step(rng.uniform(-1.0, 1.0, (1, 6)).astype(np.float32), autoreset=False)
        core.forward(FORWARD, env.actions.joint_target[0].tolist())
        core.step()
        assert core.joint_position.tolist() == env.plant.truth.joint_position[0].tolist()
    env.close()


def test_the_state_rate_does_not_change_the_motion(make: Make) -> None:
    slow, fast = make(state_rate=50.0), make(state_rate=200.0)
    for core in (slow, fast):
        core.forward(FORWARD, [0.3] * 6)
    assert np.array_equal(truths(slow, 20), truths(fast, 80)[3::4])


def test_forward_values_are_in_the_configured_order(make: Make) -> None:
    order = tuple(reversed(NAMES))
    core = make(controllers=[controller("forward_command_controller", "position", order)])
    target = dict(zip(NAMES, [0.1, -0.1, 0.2, 0.9, -0.2, 0.3], strict=True))
    core.forward("c", [target[name] for name in order])
    run(core, 200)
    assert np.allclose(core.joint_position, [target[name] for name in NAMES], atol=1e-3)


@pytest.mark.parametrize("joints", [NAMES[:5], (*NAMES, "extra"), (*NAMES[:5], "other")])
def test_controller_joints_must_be_the_robots(make: Make, joints: tuple[str, ...]) -> None:
    with pytest.raises(BadInputError, match="controller c: joints: given .* expected shoulder_pan_joint"):
        make(controllers=[controller("forward_command_controller", "position", joints)])


@pytest.mark.parametrize("size", [0, 5, 7])
def test_a_wrong_size_deactivates_the_forward_controller_until_it_is_activated(make: Make, size: int) -> None:
    core = make()
    core.forward(FORWARD, [0.1] * 6)
    assert core.forward(FORWARD, [0.0] * size) is CommandRefusal.WRONG_SIZE
    assert core.forward(FORWARD, [0.0] * 6) is CommandRefusal.INACTIVE
    run(core, 200)
    assert np.allclose(core.joint_position, 0.1, atol=1e-3)  # still the last good one
    core.activate_controllers()
    assert core.forward(FORWARD, [0.0] * 6) is None
    run(core, 200)
    assert np.allclose(core.joint_position, 0.0, atol=1e-3)
    assert core.counters["refused/wrong_size"] == core.counters["refused/inactive"] == 1
    assert core.counters["commands"] == 2


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_counted_and_the_command_before_held(make: Make, value: float) -> None:
    core = make()
    core.forward(FORWARD, [0.1] * 6)
    assert core.forward(FORWARD, [0.0, 0.0, value, 0.0, 0.0, 0.0]) is CommandRefusal.NOT_FINITE
    point = TrajectoryPoint([0.0, 0.0, value, 0.0, 0.0, 0.0])
    assert core.trajectory(TRAJECTORY, NAMES, [point]) is CommandRefusal.NOT_FINITE
    run(core, 200)
    assert np.allclose(core.joint_position, 0.1, atol=1e-3)
    assert core.counters["refused/not_finite"] == 2
    assert core.forward(FORWARD, [0.0] * 6) is None


def test_a_command_takes_effect_with_the_next_physics_step_after_its_arrival(make: Make) -> None:
    first, second, same = make(), make(), make()
    first.forward(FORWARD, [0.3] * 6, time=0.0)
    second.forward(FORWARD, [0.3] * 6, time=0.001)
    same.forward(FORWARD, [0.3] * 6, time=0.005)
    moved, later, latest = truths(first, 20), truths(second, 20), truths(same, 20)
    assert np.array_equal(later, latest)  # both with the step that begins at 5 ms, in the middle of a state period
    assert not np.array_equal(moved, later)
    assert moved[4, 0] > later[4, 0] > 0.0


def test_the_newest_command_counts_whichever_controller_it_came_through(make: Make) -> None:
    core = make()
    core.forward(FORWARD, [0.1] * 6)
    core.trajectory(TRAJECTORY, NAMES, [TrajectoryPoint([0.2] * 6)])
    run(core, 200)
    assert np.allclose(core.joint_position, 0.2, atol=1e-3)
    core.forward(FORWARD, [0.1] * 6)
    run(core, 200)
    assert np.allclose(core.joint_position, 0.1, atol=1e-3)
