"""A small bundle: the real robot and task, an untrained network with weights and normalisers that matter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ppo_robot.policy.contract import describe
from ppo_robot.policy.export import export_bundle
from ppo_robot.policy.gates import success_gate
from ppo_robot.ppo.actor_critic import ActorCritic
from ppo_robot.spec.experiment import Experiment, load_experiment
from ppo_robot.spec.task import ObservationTermSpec
from ppo_robot.spec.training import NetworkSpec

MakeActor = Callable[..., ActorCritic]


@pytest.fixture(scope="session")
def experiment() -> Experiment:
    """`reach` on arm6, with a term that stacks history and a small network."""
    loaded = load_experiment("reach", "arm6", "default", seed=3)
    terms = {
        **loaded.task.observations,
        "velocity_history": ObservationTermSpec(term="joint_velocity", scale=0.1, offset=0.05, clip=0.2, history=3),
    }
    return replace(
        loaded,
        task=replace(loaded.task, observations=terms),
        training=replace(loaded.training, network=NetworkSpec(hidden_sizes=(24, 16), last_layer_gain=1.0)),
    )


@pytest.fixture(scope="session")
def make_actor(experiment: Experiment) -> MakeActor:
    """Build an actor for the experiment; the same arguments give the same weights."""

    def make(network: NetworkSpec | None = None, normalise: bool = True, seed: int = 0) -> ActorCritic:
        size = describe(experiment.robot, experiment.task)["observation_size"]
        generator = torch.Generator().manual_seed(seed)
        network = network or experiment.training.network
        actor = ActorCritic(size, size, len(experiment.robot.joints), network, generator)
        with torch.no_grad():
            for layer in actor.actor:
                if isinstance(layer, torch.nn.Linear):
                    layer.bias.normal_(0.0, 0.1, generator=generator)
            actor.log_std.uniform_(-2.0, -0.5, generator=generator)
        if normalise:
            batch = torch.randn(500, size, generator=generator) * torch.logspace(-2, 0.5, size)
            actor.observation_normaliser.update(batch + 0.3 * torch.randn(size, generator=generator))
        return actor

    return make


@pytest.fixture(scope="session")
def evaluation() -> dict[str, object]:
    summary = {"success_rate": 0.995, "success_ci95": [0.988, 0.998], "episodes": 1000}
    return {**summary, "gates": [success_gate(summary, 0.99, [3])]}


@pytest.fixture(scope="session")
def bundle_path(
    tmp_path_factory: pytest.TempPathFactory,
    experiment: Experiment,
    make_actor: MakeActor,
    evaluation: dict[str, object],
) -> Path:
    """A bundle that nobody may write to; copy it first."""
    path = tmp_path_factory.mktemp("policy") / "reach"
    provenance = {"git_commit": "0" * 40, "git_dirty": False, "steps": 0, "libraries": {"numpy": np.__version__}}
    export_bundle(path, make_actor(), experiment, provenance, evaluation, "ppo-robot train reach --seed 3")
    return path
