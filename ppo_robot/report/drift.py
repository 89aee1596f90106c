"""How far what the policy saw and did lies from what its bundle was judged on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ppo_robot.policy.statistics import Components
from ppo_robot.report.recorded import Recorded

Array = NDArray[np.float64]

MINOR, MAJOR = 0.1, 0.25
"""PSI that is commonly called a shift, and a large one."""

LEAST_TICKS = 100
"""Fewer ticks than these say nothing about a distribution."""

_EMPTY = 1e-4
"""Share that an empty bin counts as, or the logarithm would be infinite."""


@dataclass(frozen=True)
class Drift:
    """One component: its population stability index, and the share of ticks outside what was ever seen before."""

    part: str
    name: str
    psi: float
    outside: float
    mean: float
    trained_mean: float


def drift(recorded: Recorded) -> list[Drift] | None:
    """Return every component, the worst first; None without statistics or with too few ticks."""
    bundle = recorded.bundle
    if bundle is None or bundle.statistics is None or recorded.ticks < LEAST_TICKS:
        return None
    rows = _components("observation", recorded.policy["observation"], bundle.statistics.observation)
    rows += _components("action", recorded.policy["action"], bundle.statistics.action)
    return sorted(rows, key=lambda row: -row.psi)


def stability_index(value: Array, edges: Array) -> float:
    """Return the population stability index of values (n,) against bins that held the same share each.

    sum((p - q) ln(p / q)) with p the share of the values in a bin and q that of the reference (Siddiqi 2006).
    """
    shares = np.bincount(np.searchsorted(edges, value, side="right"), minlength=len(edges) + 1) / len(value)
    found, expected = np.maximum(shares, _EMPTY), 1.0 / (len(edges) + 1)
    return float(((found - expected) * np.log(found / expected)).sum())


def _components(part: str, value: Array, trained: Components) -> list[Drift]:
    low, high = np.array(trained.minimum), np.array(trained.maximum)
    outside = ((value < low) | (value > high)).mean(axis=0)
    return [
        Drift(
            part,
            name,
            stability_index(value[:, place], np.array(trained.deciles[place])),
            float(outside[place]),
            float(value[:, place].mean()),
            trained.mean[place],
        )
        for place, name in enumerate(trained.names)
    ]
