"""The trainer: collect, learn, evaluate, checkpoint, until the steps are used up or the bar is passed."""

from __future__ import annotations

import logging
import resource
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ppo_robot.errors import CheckpointError, RunFailedError
from ppo_robot.ppo.actor_critic import ActorCritic
from ppo_robot.ppo.learner import Learner, NonFiniteError, UpdateMetrics
from ppo_robot.sim.curriculum import BOUNDARY, make_curriculum, ranges_in_force, share_figures
from ppo_robot.sim.vector_env import WorkerVectorEnv
from ppo_robot.spec.experiment import Experiment
from ppo_robot.training.checkpoint import Checkpoint, CheckpointStore
from ppo_robot.training.collector import Collector, RolloutFigures
from ppo_robot.training.evaluation import evaluate
from ppo_robot.training.sinks import Record, Sink

_LOG = logging.getLogger(__name__)

CHECKPOINTS = "checkpoints"

EVALUATION_ENVIRONMENTS = 32
"""Environments that judge a run while it trains: enough to keep the workers busy, each costs some 30 MB."""


class Outcome(Enum):
    """How a run ended."""

    STEPS_USED_UP = "steps used up"
    BAR_PASSED = "evaluation bar passed"
    INTERRUPTED = "interrupted"


@dataclass
class Counters:
    """The numbers of a run that its checkpoints carry."""

    iteration: int = 0
    steps: int = 0
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    best_success_rate: float = -1.0
    best_final_error: float = 0.0
    bar_passed: bool = False


@dataclass
class Trainer:
    """One training run in one run directory.

    `stop_requested` may be set from a signal handler: the iteration ends, a checkpoint is written, `run` returns.
    """

    experiment: Experiment
    directory: Path
    sinks: Sequence[Sink] = ()
    stop_requested: bool = False
    counters: Counters = field(default_factory=Counters)

    def __post_init__(self) -> None:
        """Start the workers and build the networks; the seed alone decides what they are."""
        experiment, spec = self.experiment, self.experiment.training
        torch.set_num_threads(spec.learner_threads)
        seeds = np.random.SeedSequence(experiment.seed).generate_state(4)
        *self._act_generators, self._shuffle_generator, initial = (
            torch.Generator().manual_seed(int(seed)) for seed in seeds
        )
        self._evaluation_env: WorkerVectorEnv | None = None
        self._begun = False
        self._saved: int | None = None  # the iteration of the newest checkpoint
        self.store = CheckpointStore(self.directory / CHECKPOINTS, spec.checkpoint.keep)
        self.env = WorkerVectorEnv(
            experiment.robot, experiment.task, spec.num_envs, spec.num_workers, experiment.seed
        )
        size = self.env.observation_size
        self.curriculum = make_curriculum(experiment.task.curriculum, self.env.entries)
        critic_size = self.env.critic_observation.shape[1]
        self.actor_critic = ActorCritic(size, critic_size, self.env.action_size, spec.network, initial)
        self.learner = Learner(self.actor_critic, spec.ppo)
        self.collector = Collector(self.env, self.actor_critic, spec, self._act_generators)

    def run(self) -> Outcome:
        """Train to the end and return how it ended.

        Raises:
            RunFailedError: a worker died or a number stopped being finite; earlier checkpoints are intact.
        """
        counters, spec = self.counters, self.experiment.training
        if not self._begun:
            self.start()
            self._save()  # from here on every moment can be resumed
        for sink in self.sinks:
            sink.on_start(counters.iteration, counters.steps, spec.total_steps)
        try:
            while True:
                if counters.bar_passed:
                    return Outcome.BAR_PASSED
                if counters.steps >= spec.total_steps:
                    return Outcome.STEPS_USED_UP
                if self.stop_requested:
                    if self._saved != counters.iteration:  # the signal came after the iteration's own save
                        self._save()
                    return Outcome.INTERRUPTED
                self.iterate()
        finally:
            for sink in self.sinks:
                sink.on_end()

    def start(self) -> None:
        """Begin the first episodes of a new run."""
        self._put_in_force()
        self.collector.start(self.experiment.seed)
        first, critic_first = self.collector.observation, self.collector.critic_observation
        self.learner.warm_start(torch.from_numpy(first), torch.from_numpy(critic_first))
        self._begun = True

    def close(self) -> None:
        """End the worker processes."""
        self.env.close()
        if self._evaluation_env is not None:
            self._evaluation_env.close()

    def resume(self, checkpoint: Checkpoint) -> None:
        """Continue from a checkpoint, bit for bit.

        Raises:
            CheckpointError: if it was made under another configuration.
            RunFailedError: if the environments do not come back as they were.
        """
        arrays = checkpoint.arrays
        try:
            self.learner.load_state_dict(
                {name: torch.from_numpy(array) for name, array in _below("learner.", arrays).items()}
            )
            for lane, generator in enumerate(self._act_generators):
                generator.set_state(torch.from_numpy(arrays[f"random.act{lane}"]))
            self._shuffle_generator.set_state(torch.from_numpy(arrays["random.shuffle"]))
            if self.curriculum is not None:
                self.curriculum.load(_below("curriculum.", arrays))
            self._put_in_force()
            self.env.restore(_below("env.", arrays))
            self.collector.take_over()
            self.counters = Counters(**checkpoint.counters)
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise CheckpointError(
                f"checkpoint {checkpoint.path}: does not fit the run's configuration ({reason}); resume with the"
                " config.yaml that the run was started with"
            ) from None
        self._begun, self._saved = True, self.counters.iteration

    def iterate(self) -> None:
        """One rollout, one update, and what is due after them."""
        counters, spec = self.counters, self.experiment.training
        record = self.learn()
        last = counters.steps >= spec.total_steps
        if last or counters.iteration % spec.evaluation.interval_iterations == 0:
            record["evaluation"] = self._evaluate()
        for sink in self.sinks:
            sink.on_iteration(record)
        due = counters.iteration % spec.checkpoint.interval_iterations == 0
        if due or last or counters.bar_passed or self.stop_requested:
            self._save()

    def learn(self) -> Record:
        """One rollout and one update; return what they showed.

        Raises:
            RunFailedError: if a number is not finite; the failing step was not taken.
        """
        counters, spec = self.counters, self.experiment.training
        began, cpu_began = time.perf_counter(), self._cpu_seconds()
        try:
            figures = self.collector.collect()
            learning_began = time.perf_counter()
            progress = min(1.0, counters.steps / spec.total_steps)
            update = self.learner.update(self.collector.buffer.flat(), progress, self._shuffle_generator)
        except NonFiniteError as error:
            raise RunFailedError(
                f"iteration {counters.iteration + 1}: {error}; the checkpoints before it are intact."
                " A lower training.ppo.learning_rate or training.ppo.maximum_gradient_norm usually mends it"
            ) from None
        ended = time.perf_counter()
        steps = spec.num_envs * spec.rollout_steps
        counters.iteration += 1
        counters.steps += steps
        counters.wall_seconds += ended - began
        counters.cpu_seconds += self._cpu_seconds() - cpu_began
        self._advance_curriculum(figures)
        record = self._record(figures, update, steps, ended - began, ended - learning_began)
        if self.curriculum is not None:
            record["ranges"] = ranges_in_force(self.env.entries, self.curriculum.share)
            record["range_share"] = share_figures(self.env.entries, self.curriculum.share)
        return record

    def _advance_curriculum(self, figures: RolloutFigures) -> None:
        """Widen or narrow ranges by the episodes that ended, for those that begin from now on."""
        if self.curriculum is None:
            return
        names, progress = self.env.metric_names, self.counters.steps / self.experiment.training.total_steps
        boundary, success = (figures.episodes[:, names.index(name)] for name in (BOUNDARY, "success"))
        before = self.curriculum.share.copy()
        self.curriculum.advance(min(1.0, progress), boundary, success)
        if not np.array_equal(before, self.curriculum.share):
            self._put_in_force()

    def _put_in_force(self) -> None:
        if self.curriculum is not None:
            self.env.set_curriculum(self.curriculum.share, self.curriculum.pinned, self.curriculum.corners)

    def _evaluate(self) -> dict[str, Any]:
        """Judge the deterministic policy; keep it if it is the best; decide whether the bar is passed."""
        counters, spec = self.counters, self.experiment.training.evaluation
        summary = self._evaluate_episodes(spec.episodes)
        bar = spec.stop_success_rate
        # A small evaluation that looks good is confirmed by a large one, on other episodes.
        if bar is not None and summary["success_rate"] >= bar and spec.final_episodes > spec.episodes:
            summary = self._evaluate_episodes(spec.final_episodes)
        error = summary["final_error_m"]["mean"]
        # An equal success rate is common near 1: the smaller error then decides.
        if (summary["success_rate"], -error) > (counters.best_success_rate, -counters.best_final_error):
            counters.best_success_rate, counters.best_final_error = summary["success_rate"], error
            self.store.save(self._arrays(), asdict(counters), best=True)
        counters.bar_passed = bar is not None and summary["success_rate"] >= bar
        return summary

    def _evaluate_episodes(self, episodes: int) -> dict[str, Any]:
        """Run episodes in environments of their own, so that those of training go on as if nothing had happened."""
        experiment, spec = self.experiment, self.experiment.training
        if self._evaluation_env is None:
            robots = min(spec.num_envs, EVALUATION_ENVIRONMENTS)
            self._evaluation_env = WorkerVectorEnv(
                experiment.robot, experiment.task, robots, min(spec.num_workers, robots), experiment.seed
            )
        seed = experiment.seed + episodes
        return evaluate(self._evaluation_env, self._act, episodes, seed).summary()

    def _act(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        action: NDArray[np.float32] = self.actor_critic.action_mean(torch.from_numpy(observation)).numpy()
        return action

    def _save(self) -> None:
        self.store.save(self._arrays(), asdict(self.counters))
        self._saved = self.counters.iteration

    def _arrays(self) -> dict[str, NDArray]:
        """Everything that decides what comes next."""
        arrays = {f"learner.{name}": tensor.numpy() for name, tensor in self.learner.state_dict().items()}
        arrays |= {f"env.{name}": array for name, array in self.env.snapshot().items()}
        for lane, generator in enumerate(self._act_generators):
            arrays[f"random.act{lane}"] = generator.get_state().numpy()
        if self.curriculum is not None:
            arrays |= {f"curriculum.{name}": array for name, array in self.curriculum.arrays().items()}
        arrays["random.shuffle"] = self._shuffle_generator.get_state().numpy()
        return arrays

    def _cpu_seconds(self) -> float:
        """Processor time of the learner and of the training workers, s."""
        return time.process_time() + self.env.cpu_seconds

    def _record(
        self, figures: RolloutFigures, update: UpdateMetrics, steps: int, seconds: float, learning: float
    ) -> Record:
        names = self.env.metric_names
        means: dict[str, float | None] = dict.fromkeys(names)
        if len(figures.episodes):
            means = dict(zip(names, figures.episodes.mean(axis=0).tolist(), strict=True))
        usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
        return {
            "iteration": self.counters.iteration,
            "steps": self.counters.steps,
            "wall_s": self.counters.wall_seconds,
            "episodes": len(figures.episodes),
            "episode_return_mean": means["return"],
            "episode_length_mean": means["length"],
            "success_rate": means["success"],
            "final_error_mean_m": means["final_error"],
            "reward_variance": figures.reward_variance,
            "reward_terms": {n.removeprefix("reward/"): v for n, v in means.items() if n.startswith("reward/")},
            "policy_kl": update.kl,
            "policy_loss": update.policy_loss,
            "value_loss": update.value_loss,
            "clip_fraction": update.clip_fraction,
            "entropy": update.entropy,
            "explained_variance": update.explained_variance,
            "gradient_norm": update.gradient_norm,
            "learning_rate": update.learning_rate,
            "epochs_run": update.epochs_run,
            "action_std": float(self.actor_critic.bounded_log_std().exp().mean().item()),
            "action_histogram": figures.action_histogram,
            "steps_per_s": {
                "total": steps / seconds,
                "simulation": steps / figures.simulation_seconds,
                "inference": steps / figures.inference_seconds,
                "learning": steps / learning,
            },
            "memory_mb": usage,
        }


def _below(prefix: str, arrays: dict[str, NDArray]) -> dict[str, NDArray]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
