"""How far what the policy saw and did lies from what its bundle was judged on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ppo_robot.policy.statistics import Components
from ppo_robot.report.recorded import Recorded
from ppo_robot.telemetry.drift import expected_shares, stability_index

Array = NDArray[np.float64]

MINOR, MAJOR = 0.1, 0.25
"""PSI that is commonly called a shift, and a large one."""

LEAST_TICKS = 100
"""Fewer ticks than these say nothing about a distribution."""

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


def _components(part: str, value: Array, trained: Components) -> list[Drift]:
    low, high, deciles = np.array(trained.minimum), np.array(trained.maximum), np.array(trained.deciles)
    outside = (~((value >= low) & (value <= high))).mean(axis=0)
    reached = (value[:, :, None] >= deciles).sum(axis=2)
    shares = np.stack([(reached == place).mean(axis=0) for place in range(deciles.shape[1] + 1)], axis=1)
    psi = stability_index(shares, expected_shares(deciles, low))
    return [
        Drift(
            part,
            name,
            float(psi[place]),
            float(outside[place]),
            float(value[:, place].mean()),
            trained.mean[place],
        )
        for place, name in enumerate(trained.names)
    ]
