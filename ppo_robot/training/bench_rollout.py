"""How fast rollouts and training are, beside a bare loop of the same PyBullet calls on as many processes."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ppo_robot.errors import RunFailedError
from ppo_robot.sim.vector_env import WorkerVectorEnv
from ppo_robot.spec.experiment import Experiment
from ppo_robot.spec.strict import plain
from ppo_robot.training.provenance import provenance
from ppo_robot.training.trainer import Trainer


def bench_rollout(
    experiment: Experiment, rounds: int, seconds: float, on_round: Callable[[int], None] | None = None
) -> dict[str, Any]:
    """Measure all three in turn, round after round, so that a busy moment of the machine falls on each alike.

    Args:
        experiment: robot, task and training that are measured.
        rounds: how often each is measured.
        seconds: about how long each measurement takes.
        on_round: called with the number of rounds done.

    Returns:
        Medians over the rounds in control periods of one robot a second, medians of the ratios within a round, and
        every round's own figures.
    """
    with _Bare(experiment) as bare, RolloutSubject(experiment) as rollout, _Training(experiment) as training:
        for subject in (bare, rollout, training):
            subject.measure(min(1.0, seconds))  # the first calls load code and warm caches
        table = []
        for done in range(rounds):
            table.append([subject.measure(seconds) for subject in (bare, rollout, training)])
            if on_round is not None:
                on_round(done + 1)
    raw, rolled, trained = (statistics.median(column) for column in zip(*table, strict=True))
    return {
        "raw_steps_per_s": raw,
        "rollout_steps_per_s": rolled,
        "train_steps_per_s": trained,
        "rollout_over_raw": statistics.median(row[1] / row[0] for row in table),
        "train_over_raw": statistics.median(row[2] / row[0] for row in table),
        "rounds": [dict(zip(("raw", "rollout", "train"), row, strict=True)) for row in table],
        "robot": experiment.robot.name,
        "task": experiment.task.name,
        "num_envs": experiment.training.num_envs,
        "processes": experiment.training.num_workers,
        "provenance": provenance(),
    }


class _Bare:
    """As many bare loops as training has workers, with as many robots in all."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.processes: list[subprocess.Popen[str]] = []

    def __enter__(self) -> _Bare:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self) -> None:
        spec, robot, task = self.experiment.training, self.experiment.arm, self.experiment.arm_task
        shares = np.array_split(np.arange(spec.num_envs), spec.num_workers)
        environment = dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
        for share in shares:
            process = subprocess.Popen(
                [sys.executable, "-m", "ppo_robot.sim.bare_loop"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=environment,
            )
            self.processes.append(process)
            data = {"robot": plain(robot), "task": plain(task), "robots": len(share)}
            self._tell(process, json.dumps(data))
        for process in self.processes:
            self._answer(process)

    def measure(self, seconds: float) -> float:
        """Return control periods a second, all processes at once."""
        for process in self.processes:
            self._tell(process, str(seconds))
        answers = [json.loads(self._answer(process)) for process in self.processes]
        return float(sum(steps / taken for steps, taken in answers))

    def __exit__(self, *exception: object) -> None:
        for process in self.processes:
            with contextlib.suppress(BrokenPipeError):
                process.communicate()

    def _tell(self, process: subprocess.Popen[str], line: str) -> None:
        if process.stdin is None:
            raise RunFailedError("bench: the bare loop has no input")
        try:
            process.stdin.write(line + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            self._answer(process)  # says how it died

    def _answer(self, process: subprocess.Popen[str]) -> str:
        line = process.stdout.readline() if process.stdout is not None else ""
        if not line:
            raise RunFailedError(f"bench: bare loop {process.pid} died with exit code {process.wait()}")
        return line


class RolloutSubject:
    """The vector environment under random actions, without a policy."""

    def __init__(self, experiment: Experiment) -> None:
        """Start the workers."""
        spec = experiment.training
        self.env = WorkerVectorEnv(experiment.robot, experiment.task, spec.num_envs, spec.num_workers, experiment.seed)
        draw = np.random.default_rng(0)
        self.actions = draw.uniform(-1.0, 1.0, (64, spec.num_envs, self.env.action_size)).astype(np.float32)

    def __enter__(self) -> RolloutSubject:
        """Begin an episode everywhere."""
        self.env.reset()
        return self

    def measure(self, seconds: float) -> float:
        """Return control periods a second."""
        steps, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds:
            for action in self.actions:
                self.env.step(action)
            steps += len(self.actions) * self.env.num_envs
        return steps / (time.perf_counter() - began)

    def measure_cpu(self, seconds: float) -> tuple[float, float]:
        """Return control periods a second, and a second of the workers' processor time."""
        began = self.env.cpu_seconds
        wall = time.perf_counter()
        rate = self.measure(seconds)
        steps = rate * (time.perf_counter() - wall)
        return rate, steps / (self.env.cpu_seconds - began)

    def __exit__(self, *exception: object) -> None:
        """End the workers."""
        self.env.close()


class _Training:
    """The trainer's own iterations: rollout, inference, update and figures; evaluations and checkpoints apart."""

    def __init__(self, experiment: Experiment) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.trainer = Trainer(experiment, Path(self.folder.name))

    def __enter__(self) -> _Training:
        self.trainer.start()
        return self

    def measure(self, seconds: float) -> float:
        """Return environment steps a second."""
        first, began = self.trainer.counters.steps, time.perf_counter()
        while time.perf_counter() - began < seconds:
            self.trainer.learn()
        return (self.trainer.counters.steps - first) / (time.perf_counter() - began)

    def __exit__(self, *exception: object) -> None:
        self.trainer.close()
        self.folder.cleanup()
