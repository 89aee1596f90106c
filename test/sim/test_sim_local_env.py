"""Tests for ppo_robot.sim.local_env: the episodes of worker processes, bit for bit, in the calling process."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ppo_robot.errors import BadInputError
from ppo_robot.sim.local_env import LocalVectorEnv
from ppo_robot.sim.vector_env import WorkerVectorEnv
from ppo_robot.spec.experiment import load_experiment


@pytest.mark.parametrize(("task", "robot", "plant"), [
    ("reach_randomized", "arm6", "pybullet"),
    ("drone_waypoint_randomized", "quad", "mujoco"),
])  # fmt: skip
def test_the_same_episodes_as_in_workers(task, robot, plant) -> None:
    made = load_experiment(task, robot, "default")
    success = dataclasses.replace(made.task.success, **({"hold": 0.04} if task.startswith("reach") else {}))
    short = dataclasses.replace(made.task, episode_length=0.2, success=success)
    local = LocalVectorEnv(made.robot, short, 5, 3, plant)
    workers = WorkerVectorEnv(made.robot, short, 5, 2, 3, plant)
    try:
        assert local.metric_names == workers.metric_names
        assert np.array_equal(local.reset(seed=7)[0], workers.reset(seed=7)[0])
        actions = np.random.default_rng(0).uniform(-1, 1, (25, 5, workers.action_size)).astype(np.float32)
        ended = 0
        for action in actions:
            ours, theirs = local.step(action), workers.step(action)
            for one, other in zip(ours[:4], theirs[:4], strict=True):
                assert one.tobytes() == other.tobytes()
            assert ours[4].keys() == theirs[4].keys()
            ended += int(bool(ours[4]))
            for name in ours[4]:
                assert ours[4][name].tobytes() == theirs[4][name].tobytes()
        assert ended >= 2
    finally:
        local.close()
        workers.close()


def test_a_goal_that_must_not_be_is_refused() -> None:
    made = load_experiment("reach", "arm6", "default")
    env = LocalVectorEnv(made.robot, made.task, 2)
    try:
        with pytest.raises(BadInputError):
            env.fix_goal((9.0, 0.0, 0.0))
        env.fix_goal((0.4, 0.0, 0.4))
        env.reset(seed=0)
        env.fix_goal(None)
    finally:
        env.close()
