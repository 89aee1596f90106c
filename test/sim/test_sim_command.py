"""What lies between the policy's targets and the servo: the same curve in training, in judging and on the robot."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ppo_robot.kinematics import RobotModel
from ppo_robot.mdp.actions import ActionPath
from ppo_robot.safety.actions import Action, ActionInput
from ppo_robot.sim.batch_env import BatchEnv
from ppo_robot.sim.command import HeldTargets, SplineTargets, make_command_path
from ppo_robot.sim.enveloped import EnvelopedTargets
from ppo_robot.spec.robot import RobotSpec, load_robot
from ppo_robot.spec.task import ActionSpec, TaskSpec, load_task
from ppo_robot.state import RobotState

PERIOD, SUBSTEPS = 0.02, 4


@pytest.fixture(scope="module")
def robot() -> RobotSpec:
    return load_robot("arm6")


def commanded(task: TaskSpec, command: str) -> TaskSpec:
    return dataclasses.replace(task, simulation=dataclasses.replace(task.simulation, command=command))


def test_the_curve_of_training_is_the_curve_of_the_envelope() -> None:
    draw = np.random.default_rng(0)
    targets, start = draw.uniform(-1.0, 1.0, (30, 2)), np.array([0.3, -0.2])
    spline, envelope = SplineTargets(1, 2, SUBSTEPS), ActionInput(("a", "b"), PERIOD, 1.0, 1.0)
    truth = RobotState.zeros(1, 2)
    truth.joint_position[:] = start
    spline.reset(truth, np.arange(1))
    envelope.lead_from(start.tolist())
    for tick, target in enumerate(targets):
        now = tick * PERIOD
        assert envelope.accept(Action(("a", "b"), target.tolist(), 100.0 + now), 100.0 + now, now) is None
        curve = spline.advance(target[None], truth)
        for step in range(SUBSTEPS):
            reference = envelope.reference(now + (step + 1) * PERIOD / SUBSTEPS)
            assert reference is not None
            np.testing.assert_allclose(curve[step, 0], reference.position, atol=1e-12)


def test_the_curve_is_what_its_derivatives_say_and_ends_at_the_last_target() -> None:
    envelope = ActionInput(("a",), PERIOD, 1.0, 1.0)
    envelope.lead_from([0.0])
    for tick, target in enumerate([0.1, 0.3, 0.2, 0.5]):
        envelope.accept(Action(("a",), [target], 100.0 + tick * PERIOD), 100.0 + tick * PERIOD, tick * PERIOD)
    times = 3 * PERIOD + np.linspace(2e-5, 3.9 * PERIOD, 400)
    step = 1e-5
    for now in times:
        before, at, after = (envelope.reference(now + shift) for shift in (-step, 0.0, step))
        slope = (after.position[0] - before.position[0]) / (2 * step)
        assert at.velocity[0] == pytest.approx(slope, abs=2e-3)
        assert at.acceleration[0] == pytest.approx((after.velocity[0] - before.velocity[0]) / (2 * step), abs=3.0)
    end = envelope.reference(3 * PERIOD + 3 * PERIOD)
    assert (end.position[0], end.velocity[0], end.acceleration[0]) == pytest.approx((0.5, 0.0, 0.0), abs=1e-9)


def test_held_targets_are_sent_at_once(robot: RobotSpec) -> None:
    task = commanded(load_task("reach"), "hold")
    path = make_command_path(robot, task, 2)
    assert isinstance(path, HeldTargets)
    target = np.ones((2, 6))
    assert path.advance(target, RobotState.zeros(2, 6)) is target


def test_the_envelope_changes_nothing_for_a_policy_that_keeps_to_its_limits(robot: RobotSpec) -> None:
    task = load_task("reach")
    draws = np.random.default_rng(2).uniform(-0.6, 0.6, (3, 3, 6))
    actions = np.concatenate([np.repeat([draw, -draw], 10, axis=0) for draw in draws])  # swings there and back
    seen = {}
    for command in ("spline", "envelope"):
        env = BatchEnv(robot, commanded(task, command), range(3), 5)
        env.reset()
        for action in actions:
            env.step(action, autoreset=False)
        seen[command] = env.plant.truth.joint_position.copy()
        if command == "envelope":
            assert isinstance(env.command, EnvelopedTargets)
            assert env.command.intervention.max() < 0.05
            assert env.metric_names[11] == "intervention"
        else:
            assert "intervention" not in env.metric_names
        env.close()
    np.testing.assert_allclose(seen["spline"], seen["envelope"], atol=5e-3)


def test_the_envelope_limits_a_policy_that_does_not(robot: RobotSpec) -> None:
    task = commanded(load_task("reach"), "envelope")
    free = dataclasses.replace(task.action, acceleration_share=None, filter_time_constant=0.0)
    env = BatchEnv(robot, dataclasses.replace(task, action=free), range(2), 5)
    env.reset()
    for step in range(40):
        env.step(np.full((2, 6), 1.0 if step // 5 % 2 else -1.0), autoreset=False)
    assert env.command.intervention.min() > 0.3
    env.reset()
    assert env.command.intervention.max() == 0.0
    env.close()


def test_increments_keep_to_their_shares_of_the_limits(robot: RobotSpec) -> None:
    model = RobotModel(robot)
    spec = ActionSpec(acceleration_share=0.8, jerk_share=0.6)
    path = ActionPath(spec, model, PERIOD, 4)
    path.reset(np.tile(model.default_position, (4, 1)), np.arange(4))
    draw = np.random.default_rng(3)
    targets = [path.joint_target.copy()] * 3
    for _ in range(25):
        wanted = draw.uniform(-1.0, 1.0, (4, 6))
        for _ in range(draw.integers(1, 12)):
            targets.append(path.apply(wanted).copy())
    velocity, acceleration, jerk = (np.diff(targets, n=n, axis=0) / PERIOD**n for n in (1, 2, 3))
    inside = np.abs(np.array(targets) - path.upper).min(axis=(0, 1)) > 0.0
    assert (np.abs(velocity) <= 0.9 * model.velocity_limit * (1 + 1e-9)).all()
    free = inside & (np.abs(np.array(targets) - path.lower).min(axis=(0, 1)) > 0.0)
    assert free.any()
    assert (np.abs(acceleration) <= 0.8 * model.acceleration_limit * (1 + 1e-9))[..., free].all()
    assert (np.abs(jerk) <= 0.6 * model.jerk_limit * (1 + 1e-6))[..., free].all()
    assert np.abs(jerk[..., free]).max() > 0.59 * model.jerk_limit.min()  # the limits were reached
