"""What randomization costs: rollouts of a task with all that it draws, beside the same task with nothing drawn."""

from __future__ import annotations

import contextlib
import dataclasses
import statistics
from collections.abc import Callable
from typing import Any

from ppo_robot.errors import BadInputError
from ppo_robot.spec.experiment import Experiment
from ppo_robot.spec.kinds import build_task
from ppo_robot.spec.strict import plain
from ppo_robot.training.bench_rollout import RolloutSubject
from ppo_robot.training.provenance import provenance

WARM_UP = 1.0
"""s: the first calls load code and warm caches."""


def bench_randomization(
    experiment: Experiment,
    randomized: bool,
    rounds: int,
    seconds: float,
    on_round: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Measure rollouts without randomization and, if asked, those with it in turn with them.

    Args:
        experiment: robot, task and training that are measured.
        randomized: whether the task's randomization is measured too; without it nothing is drawn.
        rounds: how often each is measured.
        seconds: about how long each measurement takes.
        on_round: called with the number of rounds done.

    Returns:
        Medians over the rounds, in control periods of one robot for each second of wall time and of the workers'
        processor time, which a busy machine distorts less; `randomized_over_nominal` is the median of the ratios of the
        latter within a round.

    Raises:
        BadInputError: if the task draws nothing that could be measured.
    """
    if randomized and not experiment.task.simulation.randomization:
        raise BadInputError(
            f"--randomization on: task {experiment.task.name} has no simulation.randomization; give --task"
            " reach_randomized, or a task of your own that draws something"
        )
    subjects = {"nominal": without_randomization(experiment)} | ({"randomized": experiment} if randomized else {})
    with contextlib.ExitStack() as stack:
        running = {name: stack.enter_context(RolloutSubject(each)) for name, each in subjects.items()}
        for subject in running.values():
            subject.measure(min(WARM_UP, seconds))
        table = []
        for done in range(rounds):
            table.append({name: subject.measure_cpu(seconds) for name, subject in running.items()})
            if on_round is not None:
                on_round(done + 1)
    figures: dict[str, Any] = {}
    for name in subjects:
        figures[f"{name}_steps_per_s"] = statistics.median(row[name][0] for row in table)
        figures[f"{name}_steps_per_cpu_s"] = statistics.median(row[name][1] for row in table)
    if randomized:
        ratios = [row["randomized"][1] / row["nominal"][1] for row in table]
        figures["randomized_over_nominal"] = statistics.median(ratios)
    return figures | {
        "rounds": [{name: list(rates) for name, rates in row.items()} for row in table],
        "robot": experiment.robot.name,
        "task": experiment.task.name,
        "num_envs": experiment.training.num_envs,
        "processes": experiment.training.num_workers,
        "provenance": provenance(),
    }


def without_randomization(experiment: Experiment) -> Experiment:
    """Return the same experiment with nothing drawn."""
    data = plain(experiment.task)
    data["simulation"]["randomization"], data["curriculum"] = {}, None
    return dataclasses.replace(experiment, task=build_task(data, "task"))
