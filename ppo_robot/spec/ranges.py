"""Ranges of randomization made wider, narrower, or one value: what a robot is tried with beside what it learnt."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from ppo_robot.spec.randomization import PARAMETERS, Parameter, RandomizationSpec

Entries = Mapping[str, RandomizationSpec]


def scaled_entries(entries: Entries, nominal: Mapping[str, float], scale: float) -> dict[str, RandomizationSpec]:
    """Return entries whose draws are `scale` times as far from what holds without them; none at all for 0.

    Args:
        entries: of a task's randomization.
        nominal: what holds without each entry, by its name.
        scale: 1 leaves them as they are, 1.25 is a quarter beyond.
    """
    if scale == 0.0:
        return {}
    if scale == 1.0:
        return dict(entries)
    return {name: scaled(entry, parameter_of(name, entry), nominal[name], scale) for name, entry in entries.items()}


def scaled(entry: RandomizationSpec, parameter: Parameter, nominal: float, scale: float) -> RandomizationSpec:
    """Return the entry with its range, deviation or values `scale` times as far from `nominal`.

    From the nearer end where `nominal` lies outside the range; as logarithms where it draws those. `limits` stay what
    they are, but those of a normal distribution are its range, and go with it. Nothing leaves what has a meaning.
    """

    def moved(value: float, centre: float) -> float:
        return _bounded(centre + scale * (value - centre), parameter)

    if entry.distribution == "normal":
        mean = None if entry.mean is None else moved(entry.mean, nominal)
        limits = None
        if entry.limits is not None:
            limits = (moved(entry.limits[0], nominal), moved(entry.limits[1], nominal))
        return dataclasses.replace(entry, std=(entry.std or 0.0) * scale, mean=mean, limits=limits)
    if entry.distribution == "choice":
        return dataclasses.replace(entry, values=tuple(moved(value, nominal) for value in entry.values))
    low, high = entry.support
    centre = min(max(nominal, low), high)
    if entry.distribution == "log_uniform":
        ends = (centre * (end / centre) ** scale for end in (low, high))
        low, high = (_bounded(end, parameter) for end in ends)
    else:
        low, high = moved(low, centre), moved(high, centre)
    return dataclasses.replace(entry, range=(low, high))


def value_at(entry: RandomizationSpec, parameter: Parameter, position: float) -> float:
    """Return the value at a position of an entry's range: 0 its low end, 1 its high end, beyond them the same again.

    In equal ratios where the entry draws logarithms. Nothing leaves the entry's limits, or what has a meaning.

    Raises:
        ValueError: if the entry draws from no range.
    """
    if entry.range is None:
        raise ValueError(f"value_at: the entry draws from no range but {entry.distribution}")
    low, high = entry.range
    value = low * (high / low) ** position if entry.distribution == "log_uniform" else low + position * (high - low)
    limits = entry.limits or (-math.inf, math.inf)
    return _bounded(min(max(value, limits[0]), limits[1]), parameter)


def fixed(entry: RandomizationSpec, value: float) -> RandomizationSpec:
    """Return the entry with one value for all that it draws, whenever it draws."""
    return dataclasses.replace(
        entry, distribution="uniform", range=(value, value), mean=None, std=None, values=(), shared=True
    )


def parameter_of(name: str, entry: RandomizationSpec) -> Parameter:
    """Return what the entry of this name draws."""
    return PARAMETERS[entry.parameter or name]


def _bounded(value: float, parameter: Parameter) -> float:
    return min(max(value, parameter.low), parameter.high)
