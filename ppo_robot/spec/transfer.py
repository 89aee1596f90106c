"""What a transfer matrix is: ways to train (rows) and robots to try them on (columns), of one task."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ppo_robot.errors import SpecError
from ppo_robot.spec.experiment import apply_override
from ppo_robot.spec.kinds import AnyTask
from ppo_robot.spec.robot import find_config
from ppo_robot.spec.strict import build, nearest, plain, read_yaml, setting


@dataclass(frozen=True)
class RowSpec:
    """A way to train: the matrix's task with its ranges scaled about what holds without them, and overrides.

    `set` holds overrides as `ppo-robot train --set` takes them: a key such as `task.curriculum` or
    `training.ppo.epochs`, and its value.
    """

    title: str = ""
    ranges: float = setting(1.0, low=0.0, high=10.0, doc="times those of the task; 0: no randomization")
    set: dict[str, Any] = setting({}, doc="overrides of task and training")


@dataclass(frozen=True)
class SearchSpec:
    """The budget of a search for the worst robot within the ranges, by the cross-entropy method."""

    iterations: int = setting(5, low=1, high=1000)
    candidates: int = setting(12, low=2, high=10000, doc="robots tried in one iteration")
    elites: int = setting(3, low=1, high=10000, doc="of them that the next iteration follows")
    episodes: int = setting(16, low=1, doc="for each candidate")
    smoothing: float = setting(0.7, above=0.0, high=1.0, doc="weight of the new elites over what was before")

    def __post_init__(self) -> None:
        if self.elites >= self.candidates:
            raise ValueError(f"elites: given {self.elites}; expected fewer than candidates ({self.candidates})")


@dataclass(frozen=True)
class ColumnSpec:
    """A robot to try policies on: a plant, the matrix's ranges scaled, and overrides of the task.

    With `search`, each policy is tried on the worst robot within the ranges that can be found for it.
    """

    title: str = ""
    plant: Literal["pybullet", "mujoco"] = "pybullet"
    ranges: float = setting(1.0, low=0.0, high=10.0, doc="times those of the task; 0: no randomization")
    without: tuple[str, ...] = setting((), doc="entries of the randomization that are left out")
    set: dict[str, Any] = setting({}, doc="overrides of the task")
    search: SearchSpec | None = None

    def __post_init__(self) -> None:
        if self.search is not None and self.ranges == 0.0:
            raise ValueError("search: given with ranges: 0; there is nothing to search in")


@dataclass(frozen=True)
class TransferSpec:
    """A transfer matrix. Every row is judged in `task`, with no more of its own than what it sees and how it acts."""

    name: str
    task: str
    rows: dict[str, RowSpec]
    columns: dict[str, ColumnSpec]
    bar: float = setting(above=0.0, high=1.0, doc="success rate that the best row must reach in every column")
    robot: str = "arm6"
    training: str = "default"
    set: dict[str, Any] = setting({}, doc="overrides of the training of every row, before the row's own")

    def __post_init__(self) -> None:
        for name, items in (("rows", self.rows), ("columns", self.columns)):
            if not items:
                raise ValueError(f"{name}: given none; expected at least one")
            for key in items:
                if not key.replace("_", "").isalnum() or not key.isascii():
                    raise ValueError(f"{name}.{key}: expected a name of letters, digits and _; it names directories")
        settings: list[tuple[str, Mapping[str, Any], tuple[str, ...]]] = [("", self.set, ("training",))]
        settings += [(f"rows.{key}.", row.set, ("task", "training")) for key, row in self.rows.items()]
        settings += [(f"columns.{key}.", column.set, ("task",)) for key, column in self.columns.items()]
        for where, overrides, rooms in settings:
            for path in overrides:
                if path.partition(".")[0] not in rooms or not path.partition(".")[2]:
                    raise ValueError(
                        f"{where}set.{path}: expected a key that begins with"
                        f" {' or '.join(f'{room}.' for room in rooms)}"
                    )


def load_transfer(name_or_path: str) -> tuple[TransferSpec, Path]:
    """Load a matrix by the name of a file in `config/transfer`, or by the path of a YAML file; return its path too.

    Raises:
        SpecError: one line that names the file, the key, what was given and what is allowed.
    """
    path = find_config("transfer", name_or_path)
    return build(TransferSpec, read_yaml(path), str(path)), path


def overrides_of(settings: Mapping[str, Any]) -> list[str]:
    """Return overrides in the form of `--set`, values as JSON, which is YAML too."""
    return [f"{key}={json.dumps(value)}" for key, value in settings.items()]


def column_task(task: AnyTask, column: ColumnSpec, source: str) -> AnyTask:
    """Return the task with the overrides of a column, its left-out entries left out, and nothing scaled yet.

    Raises:
        SpecError: if an override or an entry does not fit the task; `source` names the column.
    """
    data = {"task": plain(task)}
    entries = data["task"]["simulation"]["randomization"]
    for name in column.without:
        if name not in entries:
            raise SpecError(f"{source}.without: no such entry of randomization '{name}'{nearest(name, entries)}")
        del entries[name]
    for override in overrides_of(column.set):
        try:
            apply_override(data, override)
        except SpecError as error:
            raise SpecError(f"{source}: {error}") from None
    return build(type(task), data["task"], source)
