"""A run directory: what `ppo-robot train` makes, continues, and leaves a bundle in.

    config.yaml robot.urdf   what the run is           metrics.jsonl tensorboard/   what it showed
    provenance.json          where it comes from       checkpoints/                 what it continues from
    bundle/                  the policy                result.json                  how the bundle was judged
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import signal
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch

from ppo_robot.errors import BadInputError, CheckpointError
from ppo_robot.files import write_json
from ppo_robot.ppo.actor_critic import ActorCritic
from ppo_robot.sim.environments import make_env
from ppo_robot.spec.experiment import CONFIG_FILE, Experiment, restore_experiment, save_experiment
from ppo_robot.training.checkpoint import CheckpointStore
from ppo_robot.training.provenance import provenance
from ppo_robot.training.sinks import METRICS_FILE, Sink, read_records
from ppo_robot.training.trainer import CHECKPOINTS, Outcome, Trainer

PROVENANCE_FILE = "provenance.json"
RESULT_FILE = "result.json"
BUNDLE = "bundle"


def default_directory(experiment: Experiment) -> Path:
    """Return a fresh name under `runs/`: task, robot, seed, time."""
    now = datetime.now().strftime("%Y%m%d-%H%M%S")
    return Path("runs") / f"{experiment.task.name}-{experiment.robot.name}-seed{experiment.seed}-{now}"


def create(experiment: Experiment, directory: Path, command: str) -> None:
    """Make the run directory with its configuration and provenance; `command` is what makes the same run again.

    Raises:
        BadInputError: if there is something at `directory` already, or the task does not work on the robot; nothing
            is touched then.
        RunFailedError: if no episode can begin; nothing is touched then either.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        hint = " or continue it with --resume" if (directory / CONFIG_FILE).is_file() else ""
        raise BadInputError(f"--out {directory}: exists and is not empty; give a new directory{hint}")
    _begin_episode(experiment)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        save_experiment(experiment, directory)
        write_json(directory / PROVENANCE_FILE, provenance() | {"command": command})
    except OSError as error:
        raise BadInputError(f"--out {directory}: cannot be written ({error.strerror}); give another place") from None


def _begin_episode(experiment: Experiment) -> None:
    """Begin one episode: what only terms and plant can refuse is refused before anything is written."""
    with np.errstate(all="ignore"):  # what is not finite is named by the environment
        env = make_env(experiment.robot, experiment.task, range(1), experiment.seed)
        try:
            env.reset()
        finally:
            env.close()


@contextlib.contextmanager
def exclusive(directory: Path) -> Iterator[None]:
    """Hold the run directory for this process.

    Raises:
        BadInputError: if another process trains in it, or it cannot be written.
    """
    try:
        lock = (directory / ".lock").open("w")
    except OSError as error:
        raise BadInputError(f"{directory}: cannot be written ({error.strerror}); a run needs to write there") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadInputError(f"{directory}: another process is training in this directory") from None
        yield


def train(directory: Path, sinks: Sequence[Sink], resume: bool) -> Outcome:
    """Train in a run directory, from its start or from its newest intact checkpoint.

    SIGINT and SIGTERM end the running iteration, save, and return INTERRUPTED; a second SIGINT stops at once.

    Raises:
        CheckpointError: if `resume` is given and no checkpoint is intact.
        RunFailedError: if the run fails; its checkpoints are intact.
    """
    experiment = restore_experiment(directory)
    checkpoint = None
    if resume:
        checkpoint = CheckpointStore(directory / CHECKPOINTS).newest()
    with exclusive(directory):
        trainer = Trainer(experiment, directory, sinks)
        try:
            with _stop_on_signals(trainer):
                if checkpoint is not None:
                    trainer.resume(checkpoint)
                return trainer.run()
        finally:
            trainer.close()


def load_policy(directory: Path) -> tuple[ActorCritic, Experiment, dict[str, Any]]:
    """Load the best policy of a run, with what it was trained as and where it comes from.

    Raises:
        SpecError: if the directory is no run directory.
        CheckpointError: if it has no intact checkpoint.
    """
    experiment = restore_experiment(directory)
    checkpoint = CheckpointStore(directory / CHECKPOINTS).best()
    prefix = "learner.actor_critic."
    state = {
        name.removeprefix(prefix): torch.from_numpy(array)
        for name, array in checkpoint.arrays.items()
        if name.startswith(prefix)
    }
    observation_size = len(state["observation_normaliser.mean"])
    actor_critic = ActorCritic(
        observation_size,
        len(state["critic_observation_normaliser.mean"]),
        len(state["log_std"]),
        experiment.training.network,
    )
    try:
        actor_critic.load_state_dict(state)
    except RuntimeError:
        raise CheckpointError(
            f"checkpoint {checkpoint.path}: does not fit the network in {directory / CONFIG_FILE}; was one altered?"
        ) from None
    try:
        origin = dict(json.loads((directory / PROVENANCE_FILE).read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError):
        raise BadInputError(f"{directory}: {PROVENANCE_FILE} is missing or torn; the run cannot be traced") from None
    origin |= {
        "seed": experiment.seed,
        "steps": checkpoint.counters["steps"],
        "iteration": checkpoint.counters["iteration"],
        "cpu_seconds": checkpoint.counters["cpu_seconds"],
        "wall_seconds": checkpoint.counters["wall_seconds"],
    }
    return actor_critic, experiment, origin


def first_passed(directory: Path, success_rate: float) -> int | None:
    """Return the steps at which an evaluation during training first reached a success rate; None if none did."""
    for record in read_records(directory / METRICS_FILE):
        evaluation = record.get("evaluation")
        if evaluation and evaluation["success_rate"] >= success_rate:
            return int(record["steps"])
    return None


@contextlib.contextmanager
def _stop_on_signals(trainer: Trainer) -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and trainer.stop_requested:
            raise KeyboardInterrupt
        trainer.stop_requested = True

    previous: dict[int, Callable[..., Any] | int | None] = {
        number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
