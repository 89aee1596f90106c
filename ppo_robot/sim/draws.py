"""The entries of a task's randomization bound to a robot: what each draws from raw random numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ppo_robot.errors import SpecError
from ppo_robot.spec.floating import FloatingSpec
from ppo_robot.spec.kinds import AnyRobot
from ppo_robot.spec.randomization import PARAMETERS, Parameter, RandomizationSpec
from ppo_robot.spec.strict import nearest

Array = NDArray[np.float64]

AXES = ("x", "y", "z")


@dataclass(frozen=True)
class Entry:
    """One entry of `simulation.randomization`, bound.

    Attributes:
        name: its key.
        spec: how it draws.
        parameter: the name of what it draws.
        facts: what that is.
        columns: (w,) places among the values of its parameter.
        labels: (w,) its names in `BatchEnv.drawn`.
        nominal: what holds without it.
    """

    name: str
    spec: RandomizationSpec
    parameter: str
    facts: Parameter
    columns: NDArray[np.intp]
    labels: tuple[str, ...]
    nominal: float

    @property
    def numbers(self) -> int:
        """How many raw numbers one draw takes."""
        return 1 if self.spec.shared else len(self.columns)

    @property
    def is_normal(self) -> bool:
        """Whether its raw numbers are standard normal ones; otherwise they are uniform in [0, 1)."""
        return self.spec.distribution == "normal"

    @property
    def has_ends(self) -> bool:
        """Whether it draws from a range, whose ends a curriculum may move and an evaluation may pin."""
        return self.spec.range is not None

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and the largest value that it can give, what holds without it included."""
        limits = self.spec.limits or (-math.inf, math.inf)
        low, high = (min(max(end, limits[0]), limits[1]) for end in self.spec.support)
        low, high = max(low, self.facts.low), min(high, self.facts.high)
        return min(low, self.nominal), max(high, self.nominal)

    def values(self, raw: Array, share: Array) -> Array:
        """Turn raw numbers (k, numbers) into values (k, w).

        `share` (k, 2) says how much of the way from what holds without the entry to the low and the high end of what
        it draws is in force: 1 is all of it, 0 nothing.
        """
        if self.spec.distribution == "choice":
            table = np.array(self.spec.values)
            value = table[np.minimum((raw * len(table)).astype(np.intp), len(table) - 1)]
            value = self.nominal + np.where(value < self.nominal, share[:, :1], share[:, 1:]) * (value - self.nominal)
        else:
            offset, scale = self.affine(share)
            value = offset + scale * raw
            if self.spec.distribution == "log_uniform":
                value = np.exp(value)
        low, high = self.clip
        return np.broadcast_to(np.minimum(np.maximum(value, low), high), (len(raw), len(self.columns)))

    def affine(self, share: Array) -> tuple[Array, Array]:
        """Return offset and scale, (k, 1) each, that make a value of a raw number, or its logarithm for log_uniform."""
        spec, low_share, high_share = self.spec, share[:, :1], share[:, 1:]
        if spec.distribution == "normal":
            mean, both = self.nominal if spec.mean is None else spec.mean, 0.5 * (low_share + high_share)
            return self.nominal + both * (mean - self.nominal), both * (spec.std or 0.0)
        low, high = spec.support
        centre = min(max(self.nominal, low), high)
        if spec.distribution == "log_uniform":
            low, high, centre = math.log(low), math.log(high), math.log(centre)
        begin = centre + (low - centre) * low_share
        return begin, centre + (high - centre) * high_share - begin

    @property
    def clip(self) -> tuple[float, float]:
        """The bounds onto which a draw beyond them is moved."""
        limits = self.spec.limits or (-math.inf, math.inf)
        return max(limits[0], self.facts.low), min(limits[1], self.facts.high)


def bind(
    entries: Mapping[str, RandomizationSpec], robot: AnyRobot, nominal: Mapping[str, float]
) -> tuple[Entry, ...]:
    """Bind entries to a robot whose plant has the `nominal` values of the absolute parameters.

    Raises:
        SpecError: if an entry names a joint or link that the robot lacks.
    """
    bound = []
    for name, spec in entries.items():
        parameter = spec.parameter or name
        facts = PARAMETERS[parameter]
        labels = parameter_labels(facts, robot)
        for wanted in spec.only:
            known = {label.partition("/")[0] for label in labels}
            if wanted not in known:
                kind = facts.per if facts.per in ("joint", "rotor") else "link with a mass"
                raise SpecError(
                    f"simulation.randomization.{name}.only: robot {robot.name} has no {kind} '{wanted}'"
                    f"{nearest(wanted, known)}"
                )
        chosen = [
            column for column, label in enumerate(labels) if not spec.only or label.partition("/")[0] in spec.only
        ]
        entry = Entry(
            name=name,
            spec=spec,
            parameter=parameter,
            facts=facts,
            columns=np.array(chosen, dtype=np.intp),
            labels=tuple(f"{name}/{labels[column]}".rstrip("/") for column in chosen),
            nominal={"factor": 1.0, "offset": 0.0}.get(facts.meets, nominal.get(parameter, 0.0)),
        )
        bound.append(entry)
    return tuple(bound)


def parameter_labels(facts: Parameter, robot: AnyRobot) -> tuple[str, ...]:
    """Return the names of a parameter's values: joints, links, rotors, or axes."""
    if isinstance(robot, FloatingSpec):
        return {"rotor": robot.rotor_names, "axis": AXES}.get(facts.per, ("",))
    if facts.per == "joint":
        return robot.joint_names
    if facts.per == "link":
        return robot.massive_links
    if facts.per == "link_axis":
        return tuple(f"{link}/{axis}" for link in robot.massive_links for axis in AXES)
    return AXES if facts.per == "tool_axis" else ("",)
