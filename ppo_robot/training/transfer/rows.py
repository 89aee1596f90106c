"""The rows of a transfer matrix: runs that are trained, continued, or taken as they are."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ppo_robot.errors import BadInputError, SpecError
from ppo_robot.policy.bundle import Bundle, load_bundle
from ppo_robot.spec.experiment import CONFIG_FILE, Experiment, load_experiment, restore_experiment
from ppo_robot.spec.ranges import scaled_entries
from ppo_robot.spec.strict import plain
from ppo_robot.spec.transfer import TransferSpec, overrides_of
from ppo_robot.training import finish
from ppo_robot.training import run as runs
from ppo_robot.training.sinks import Sink
from ppo_robot.training.trainer import CHECKPOINTS, Outcome
from ppo_robot.training.trial import nominal_values


@dataclass(frozen=True)
class PlannedRun:
    """One training of a matrix.

    Attributes:
        row: its name.
        seed: of the training.
        directory: where it lies, or will.
        experiment: what it is.
        command: the command line that makes the same run.
    """

    row: str
    seed: int
    directory: Path
    experiment: Experiment
    command: str

    @property
    def is_finished(self) -> bool:
        """Whether it was trained to its end and its bundle was judged."""
        return (self.directory / runs.RESULT_FILE).is_file()


def plan_runs(spec: TransferSpec, seeds: int, root: Path, source: str) -> list[PlannedRun]:
    """Return the runs of a matrix, seed by seed, in directories below `root`; `source` names the matrix in errors.

    Raises:
        SpecError: if a row does not fit the task.
        BadInputError: if there is another run where one of them should be.
    """
    base = load_experiment(spec.task, spec.robot, spec.training)
    nominal = nominal_values(base.robot, base.task, "pybullet")
    made = [_plan(spec, row, seed, root, source, nominal) for seed in range(seeds) for row in spec.rows]
    for run in made:
        _check_directory(run)
    return made


def _plan(
    spec: TransferSpec, row: str, seed: int, root: Path, source: str, nominal: Mapping[str, float]
) -> PlannedRun:
    chosen, overrides = spec.rows[row], []
    if chosen.ranges != 1.0:
        entries = load_experiment(spec.task, spec.robot, spec.training).task.simulation.randomization
        narrowed = plain(scaled_entries(entries, nominal, chosen.ranges))
        overrides.append(f"task.simulation.randomization={json.dumps(narrowed)}")
    overrides += overrides_of(spec.set | chosen.set)
    try:
        experiment = load_experiment(spec.task, spec.robot, spec.training, seed, overrides)
    except SpecError as error:
        raise SpecError(f"{source}: rows.{row}: {error}") from None
    words = ["ppo-robot", "train", spec.task, "--robot", spec.robot, "--training", spec.training, "--seed", str(seed)]
    for override in overrides:
        words += ["--set", override]
    return PlannedRun(row, seed, root / f"{row}-seed{seed}", experiment, shlex.join(words))


def _check_directory(run: PlannedRun) -> None:
    """Refuse a directory that holds another run: its figures would stand in the wrong row."""
    if not (run.directory / CONFIG_FILE).is_file():
        return
    wrong = _first_difference(plain(restore_experiment(run.directory)), plain(run.experiment))
    if wrong:
        raise BadInputError(
            f"{run.directory}: was trained as something else: its {wrong} is not that of row {run.row}; move it away,"
            " or choose another place with --out"
        )


def _first_difference(one: Any, other: Any, path: str = "") -> str:
    """Return the key path where two trees of plain values first differ, or an empty string."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        keys = [*one, *(key for key in other if key not in one)]
        paths = (_first_difference(one.get(key), other.get(key), f"{path}.{key}".strip(".")) for key in keys)
        return next(filter(None, paths), "")
    return "" if one == other else path


def complete(run: PlannedRun, sinks: Sequence[Sink], episodes: int) -> bool:
    """Train a run from where it is to its judged bundle; return False where it was interrupted, and saved.

    Raises:
        BadInputError: if its directory holds something else, or another process trains there.
        RunFailedError: if the run fails; its checkpoints are intact.
    """
    if not (run.directory / CONFIG_FILE).is_file():
        runs.create(run.experiment, run.directory, run.command)
    begun = any((run.directory / CHECKPOINTS).glob("iteration_*.json"))
    if runs.train(run.directory, sinks, resume=begun) is Outcome.INTERRUPTED:
        return False
    finish.export_and_judge(run.directory, episodes)
    return True


def bundle_of(run: PlannedRun) -> Bundle:
    """Load the bundle of a finished run.

    Raises:
        BundleError: if it is torn or was altered.
    """
    return load_bundle(run.directory / runs.BUNDLE)
