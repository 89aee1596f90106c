"""What a training run is: network, PPO, rollout sizes, evaluation and checkpoints."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ppo_robot.spec.strict import setting


@dataclass(frozen=True)
class NetworkSpec:
    """Actor and critic: two separate multilayer perceptrons and a state-independent log-std."""

    hidden_sizes: tuple[int, ...] = setting((64, 64), low=1, high=4096)
    activation: Literal["tanh", "elu", "relu"] = "tanh"
    initial_std: float = setting(0.5, above=0.0, high=10.0, doc="in units of the normalised action")
    minimum_std: float = setting(0.01, above=0.0, high=10.0)
    maximum_std: float = setting(2.0, above=0.0, high=10.0)
    last_layer_gain: float = setting(0.01, above=0.0, doc="orthogonal gain of the actor's last layer")
    observation_clip: float = setting(10.0, above=0.0, doc="clip of the normalised observation")

    def __post_init__(self) -> None:
        if not self.hidden_sizes:
            raise ValueError("hidden_sizes: given an empty list; expected one or more layer widths")
        if not self.minimum_std <= self.initial_std <= self.maximum_std:
            raise ValueError(
                f"initial_std: given {self.initial_std}; expected minimum_std <= initial_std <= maximum_std"
                f" ({self.minimum_std} to {self.maximum_std})"
            )


@dataclass(frozen=True)
class PpoSpec:
    """Hyper-parameters of the PPO update (Schulman et al. 2017, arXiv:1707.06347)."""

    learning_rate: float = setting(3e-4, above=0.0, high=1.0)
    schedule: Literal["constant", "linear", "adaptive"] = "constant"
    desired_kl: float = setting(0.01, above=0.0, doc="what the adaptive schedule steers the policy's KL to")
    minimum_learning_rate: float = setting(1e-5, above=0.0)
    maximum_learning_rate: float = setting(1e-2, above=0.0)
    epochs: int = setting(8, low=1, high=1000)
    minibatch_size: int = setting(1024, low=1)
    gamma: float = setting(0.99, low=0.0, high=1.0)
    gae_lambda: float = setting(0.95, low=0.0, high=1.0)
    clip_range: float = setting(0.2, above=0.0, below=1.0)
    value_clip_range: float | None = setting(0.2, above=0.0, doc="in units of the normalised return; null: no clip")
    value_coefficient: float = setting(0.5, low=0.0)
    entropy_coefficient: float = setting(0.0, low=0.0)
    maximum_gradient_norm: float = setting(0.5, above=0.0)
    stop_kl: float | None = setting(0.05, above=0.0, doc="ends all epochs of an update; null: never")
    normalise_advantage: bool = True
    normalise_observation: bool = True
    normalise_return: bool = True

    def __post_init__(self) -> None:
        if not self.minimum_learning_rate <= self.learning_rate <= self.maximum_learning_rate:
            raise ValueError(
                f"learning_rate: given {self.learning_rate}; expected between minimum_learning_rate and"
                f" maximum_learning_rate ({self.minimum_learning_rate} to {self.maximum_learning_rate})"
            )


@dataclass(frozen=True)
class EvaluationSpec:
    """How a run is judged while it trains and when it ends."""

    interval_iterations: int = setting(10, low=1)
    episodes: int = setting(128, low=1)
    final_episodes: int = setting(1000, low=1)
    stop_success_rate: float | None = setting(
        None, above=0.0, high=1.0, doc="ends the run once a final-size evaluation reaches it; null: train to the end"
    )


@dataclass(frozen=True)
class CheckpointSpec:
    """When checkpoints are written and how many are kept."""

    interval_iterations: int = setting(10, low=1)
    keep: int = setting(3, low=1)


@dataclass(frozen=True)
class TrainingSpec:
    """A training run, whatever the robot and the task."""

    total_steps: int = setting(1_500_000, low=1)
    num_envs: int = setting(64, low=1, high=65536)
    num_workers: int = setting(2, low=1, high=1024)
    rollout_steps: int = setting(64, low=1, doc="steps of each environment in one iteration")
    learner_threads: int = setting(2, low=1, high=1024, doc="torch threads; part of what a bit-exact run is")
    network: NetworkSpec = field(default_factory=NetworkSpec)
    ppo: PpoSpec = field(default_factory=PpoSpec)
    evaluation: EvaluationSpec = field(default_factory=EvaluationSpec)
    checkpoint: CheckpointSpec = field(default_factory=CheckpointSpec)

    def __post_init__(self) -> None:
        if self.num_workers > self.num_envs:
            raise ValueError(
                f"num_workers: given {self.num_workers}; expected at most num_envs ({self.num_envs})"
            )
        batch = self.num_envs * self.rollout_steps
        if self.ppo.minibatch_size > batch:
            raise ValueError(
                f"ppo.minibatch_size: given {self.ppo.minibatch_size}; expected at most"
                f" num_envs * rollout_steps ({batch})"
            )
