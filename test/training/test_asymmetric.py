"""A critic that sees more than the policy: through training, a resume, and out of the bundle that the robot gets."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from ppo_robot.policy.bundle import load_bundle
from ppo_robot.policy.export import export_bundle
from ppo_robot.spec.experiment import load_experiment, restore_experiment, save_experiment
from ppo_robot.spec.task import ObservationTermSpec
from ppo_robot.training.run import load_policy
from ppo_robot.training.trainer import Trainer


@pytest.fixture(scope="module")
def experiment(tiny):
    full = load_experiment("reach_randomized", "arm6", "default")
    terms = {name: ObservationTermSpec() for name in ("joint_position", "joint_velocity", "tool_to_goal", "drawn")}
    history = {**full.task.observations, "joint_velocity": ObservationTermSpec(scale=0.3, history=3)}
    task = dataclasses.replace(full.task, critic_observations=terms, observations=history, episode_length=0.6)
    return dataclasses.replace(tiny, task=task)


def test_a_resumed_asymmetric_run_is_the_straight_one_and_its_bundle_knows_no_critic(
    experiment, tmp_path, same_checkpoint
) -> None:
    trainers = [Trainer(experiment, tmp_path / name) for name in ("straight", "resumed")]
    straight, resumed = trainers
    try:
        straight.start()
        straight.learn()
        straight._save()
        sizes = straight.actor_critic.observation_size, straight.actor_critic.critic_observation_size
        assert sizes == (straight.env.observation_size, 15 + len(drawn_names(experiment)))
        resumed.resume(straight.store.newest())
        for trainer in trainers:
            trainer.learn()
            trainer._save()
        same_checkpoint(straight.store, resumed.store)
        assert straight.learner.updates == resumed.learner.updates == 2
    finally:
        for trainer in trainers:
            trainer.close()
    save_experiment(experiment, tmp_path / "straight")
    assert restore_experiment(tmp_path / "straight").task == experiment.task
    (tmp_path / "straight" / "provenance.json").write_text("{}")
    actor_critic, _, origin = load_policy(tmp_path / "straight")
    export_bundle(tmp_path / "bundle", actor_critic, experiment, origin, None, "a test")
    bundle = load_bundle(tmp_path / "bundle")
    assert bundle.runtime.observation_size == sizes[0]
    assert bundle.task == experiment.task
    names = [term["name"] for term in json.loads((tmp_path / "bundle" / "spec.json").read_text())["observations"]]
    assert "drawn" not in names
    assert np.isfinite(actor_critic.critic_observation_normaliser.mean.numpy()).all()


def drawn_names(experiment) -> tuple[str, ...]:
    from ppo_robot.sim.batch_env import BatchEnv

    env = BatchEnv(experiment.robot, experiment.task, [0])
    env.close()
    return env.drawn_names
