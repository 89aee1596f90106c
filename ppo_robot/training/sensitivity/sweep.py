"""Sweeps: each entry of a randomization alone, moved across its range and beyond it while all else is nominal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ppo_robot.errors import BadInputError
from ppo_robot.paths import share_directory
from ppo_robot.spec.kinds import AnyTask
from ppo_robot.spec.randomization import RandomizationSpec
from ppo_robot.spec.ranges import fixed, parameter_of, scaled, value_at
from ppo_robot.spec.robot import find_config
from ppo_robot.spec.strict import build, read_yaml

POSITIONS = (-0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
"""Where in a range a value is tried: 0 the low end, 1 the high end, beyond them half of the range more."""

SCALES = (0.5, 1.0, 1.5, 2.0)
"""Times what an entry draws, where it draws anew all the while or from no range."""

_NEAR = 1e-9


@dataclass(frozen=True)
class Point:
    """One entry as one point of a sweep has it.

    Attributes:
        x: the value, in the entry's unit, or the scale.
        inside: whether it lies in the range that the entry gives.
        entry: what draws it; None where nothing does, because x is nominal.
    """

    x: float
    inside: bool
    entry: RandomizationSpec | None


@dataclass(frozen=True)
class Sweep:
    """The points of one entry.

    Attributes:
        name: its key.
        parameter: what it draws.
        kind: `value`: the same value for all joints, links and axes and all of an episode; `scale`: drawn as ever, so
            many times as far from nominal.
        unit: of x; 1 for factors, shares and scales.
        nominal: x where the entry has no effect.
        range: of x inside the entry's range.
        points: in the order of x.
    """

    name: str
    parameter: str
    kind: Literal["value", "scale"]
    unit: str
    nominal: float
    range: tuple[float, float]
    points: tuple[Point, ...]


def plan_sweep(name: str, entry: RandomizationSpec, nominal: float) -> Sweep:
    """Return the points of an entry whose plant has the `nominal` value without it.

    What is drawn once for an episode from a range is moved as a value. What is drawn in every control period or now
    and then is no value but a disturbance, and what draws from no range has no ends: both are scaled.
    """
    parameter = parameter_of(name, entry)
    if entry.range is None or entry.when in ("step", "interval"):
        points = [Point(scale, scale <= 1.0, scaled(entry, parameter, nominal, scale)) for scale in SCALES]
        return Sweep(name, entry.parameter or name, "scale", "1", 0.0, (0.0, 1.0), (Point(0.0, True, None), *points))
    low, high = entry.range
    values = {value_at(entry, parameter, position) for position in POSITIONS}
    if low <= nominal <= high:
        values.add(nominal)
    kept: list[float] = []
    for value in sorted(values):
        if not kept or value - kept[-1] > _NEAR * max(1.0, high - low):
            kept.append(value)
    return Sweep(
        *(name, entry.parameter or name, "value", parameter.unit, nominal, (low, high)),
        tuple(
            Point(value, low - _NEAR <= value <= high + _NEAR, None if value == nominal else fixed(entry, value))
            for value in kept
        ),
    )


def plan_sweeps(task: AnyTask, nominal: Mapping[str, float]) -> list[Sweep]:
    """Return the sweeps of all entries of a task."""
    return [plan_sweep(name, entry, nominal[name]) for name, entry in task.simulation.randomization.items()]


def task_of_ranges(own: AnyTask, given: str | None) -> AnyTask:
    """Return the task whose ranges are swept: the one given; or the bundle's own; or its `<name>_randomized`.

    Raises:
        BadInputError: if the task has no ranges, or none is given and there is none to be found.
    """
    if given is not None:
        task = _load_alike(own, given)
        if not task.simulation.randomization:
            raise BadInputError(f"--ranges {given}: has no simulation.randomization; give a task that has")
        return task
    if own.simulation.randomization:
        return own
    name = f"{own.name}_randomized"
    if not Path(share_directory() / "config" / "tasks" / f"{name}.yaml").is_file():
        raise BadInputError(
            f"the bundle's task {own.name} has no simulation.randomization, and there is no config/tasks/{name}.yaml;"
            " give a task that has ranges with --ranges"
        )
    return _load_alike(own, name)


def _load_alike(own: AnyTask, name: str) -> AnyTask:
    """Load a task of the same kind as another."""
    path = find_config("tasks", name)
    return build(type(own), read_yaml(path), str(path))
