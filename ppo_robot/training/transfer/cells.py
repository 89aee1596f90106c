"""The cells of a transfer matrix: one policy on one robot, and the search for the worst robot within the ranges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppo_robot.policy.bundle import Bundle
from ppo_robot.spec.experiment import load_experiment
from ppo_robot.spec.kinds import AnyTask
from ppo_robot.spec.randomization import RandomizationSpec
from ppo_robot.spec.ranges import Entries, fixed, parameter_of, scaled_entries, value_at
from ppo_robot.spec.strict import plain
from ppo_robot.spec.transfer import ColumnSpec, SearchSpec, TransferSpec, column_task
from ppo_robot.training.cross_entropy import minimise
from ppo_robot.training.evaluation import Evaluation
from ppo_robot.training.kept import Kept
from ppo_robot.training.trial import identity, nominal_values, seen_by, try_in, with_entries

HELD_OUT_SEED, SEARCH_SEED = 20_000, 40_000
"""Seeds of the episodes that judge, and of those that search, the training's own seed added: no training has them."""

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Column:
    """A column, bound: the robot that it is, before any policy says how it sees and acts.

    Attributes:
        name: its key.
        spec: what was asked for.
        task: with the ranges in force.
    """

    name: str
    spec: ColumnSpec
    task: AnyTask

    @property
    def searched(self) -> tuple[str, ...]:
        """The entries in whose ranges the worst robot is looked for; the others are drawn as ever."""
        entries = self.task.simulation.randomization
        return tuple(name for name, entry in entries.items() if entry.range and entry.range[0] < entry.range[1])


def bind_columns(spec: TransferSpec, bundle: Bundle, source: str) -> list[Column]:
    """Return the columns of a matrix for the robot of a bundle; `source` names the matrix in errors.

    Raises:
        SpecError: if a column does not fit the task.
        BadInputError: if a plant's library is not installed.
    """
    base, columns = load_experiment(spec.task, spec.robot, spec.training).task, []
    for name, column in spec.columns.items():
        task = column_task(base, column, f"{source}: columns.{name}")
        entries = task.simulation.randomization
        if column.ranges not in (0.0, 1.0):
            entries = scaled_entries(entries, nominal_values(bundle.any_robot, task, column.plant), column.ranges)
        columns.append(Column(name, column, with_entries(task, entries if column.ranges else {})))
    return columns


def measure(
    bundle: Bundle, column: Column, seed: int, episodes: int, workers: int, kept: Kept, on_progress: Progress
) -> dict[str, Any]:
    """Return the figures of a policy, trained with `seed`, in a column: those that are kept, or new ones.

    `on_progress` is called with the episodes done of `episodes_of`.
    """
    task, plant, judging = seen_by(bundle.any_task, column.task), column.spec.plant, HELD_OUT_SEED + seed
    what = identity(bundle, task, plant, episodes, judging) | {"search": plain(column.spec.search)}
    if (known := kept.get(what)) is not None:
        return known
    worst: dict[str, Any] = {}
    spent = 0
    if column.spec.search is not None:
        search = _Search(bundle, column, task, SEARCH_SEED + seed, on_progress)
        entries, worst = search.run(column.spec.search)
        task, spent = with_entries(task, entries), search.done
    evaluation = try_in(bundle, task, plant, episodes, judging, workers, lambda done: on_progress(spent + done))
    return kept.put(what, evaluation.summary() | {"seed": seed, "bundle_id": bundle.id} | worst)


def episodes_of(column: Column, episodes: int) -> int:
    """Return how many episodes a cell of a column takes, those of its search included."""
    search = column.spec.search
    return episodes + (0 if search is None else search.iterations * search.candidates * search.episodes)


class _Search:
    """Looks for the robot within the ranges that one policy can bear least: one value for all that an entry draws."""

    def __init__(self, bundle: Bundle, column: Column, task: AnyTask, seed: int, on_progress: Progress) -> None:
        self._bundle, self._column, self._task, self._seed = bundle, column, task, seed
        self._on_progress = on_progress
        self._tried = 0
        self.done = 0

    def run(self, spec: SearchSpec) -> tuple[dict[str, RandomizationSpec], dict[str, Any]]:
        """Return the entries of the worst robot, and what there is to say of the search."""
        self._spec = spec
        names, entries = self._column.searched, self._task.simulation.randomization
        generator = np.random.default_rng(self._seed)
        budget = spec.iterations, spec.candidates, spec.elites, spec.smoothing
        found = minimise(self._cost, len(names), *budget, generator)
        worst = {name: fixed_value(entries, name, place) for name, place in zip(names, found.point, strict=True)}
        said = {"worst": worst, "search_cost": found.cost, "search_history": [list(pair) for pair in found.history]}
        return pin(entries, worst), said

    def _cost(self, point: NDArray[np.float64]) -> float:
        entries, spec = self._task.simulation.randomization, self._spec
        names = self._column.searched
        values = {name: fixed_value(entries, name, place) for name, place in zip(names, point, strict=True)}
        # The candidates of an iteration see the same episodes, those of the next one others.
        seed = self._seed + 1000 * (self._tried // spec.candidates)
        self._tried += 1
        task = with_entries(self._task, pin(entries, values))
        # Without processes: to start them would take longer than these few episodes.
        evaluation = try_in(self._bundle, task, self._column.spec.plant, spec.episodes, seed, workers=0)
        self.done += spec.episodes
        self._on_progress(self.done)
        return badness(evaluation, self._task.success.tolerance)


def badness(evaluation: Evaluation, tolerance: float) -> float:
    """Return a cost from -1, all fails by far, to 1: success rate less the mean of error / (error + tolerance).

    Where all candidates succeed, or all fail, the final error still tells them apart.
    """
    error = evaluation.column("final_error")
    return evaluation.success_rate - float(np.mean(error / (error + tolerance)))


def fixed_value(entries: Entries, name: str, position: float) -> float:
    """Return the value at a position of an entry's range, 0 to 1."""
    return value_at(entries[name], parameter_of(name, entries[name]), float(position))


def pin(entries: Entries, values: Mapping[str, float]) -> dict[str, RandomizationSpec]:
    """Return the entries, those that `values` name with one value for all that they draw."""
    return {name: fixed(entry, values[name]) if name in values else entry for name, entry in entries.items()}
