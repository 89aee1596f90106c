"""The cells of one row and column put together over the seeds of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ppo_robot.training.evaluation import wilson_interval


@dataclass(frozen=True)
class Pooled:
    """What the policies of a row did in a column.

    Attributes:
        success_rate: over the episodes of all seeds.
        interval: Wilson interval of it, 95 %; it counts episodes, so the seeds' own spread comes on top.
        by_seed: success rate of each training.
        episodes: of all seeds.
        action_rate: how fast the action changes, root mean square, 1/s.
        effort: root mean square of effort over its limit, or None where none is measured.
        final_error: mean, m.
    """

    success_rate: float
    interval: tuple[float, float]
    by_seed: tuple[float, ...]
    episodes: int
    action_rate: float | None
    effort: float | None
    final_error: float

    def tree(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "success_rate": self.success_rate,
            "success_ci95": list(self.interval),
            "success_rate_by_seed": list(self.by_seed),
            "episodes": self.episodes,
            "action_rate": self.action_rate,
            "effort": self.effort,
            "final_error_m": self.final_error,
        }


def pool(cells: Sequence[Mapping[str, Any]]) -> Pooled:
    """Put the figures of at least one cell together.

    Raises:
        ValueError: if there is none.
    """
    if not cells:
        raise ValueError("pool: given no cells")
    counts = np.array([cell["episodes"] for cell in cells])
    successes = sum(round(cell["success_rate"] * cell["episodes"]) for cell in cells)

    def mean(name: str) -> float | None:
        values = [cell.get(name) for cell in cells]
        return None if None in values else float(np.average(np.array(values, dtype=float), weights=counts))

    total = int(counts.sum())
    return Pooled(
        success_rate=successes / total,
        interval=wilson_interval(successes, total),
        by_seed=tuple(cell["success_rate"] for cell in cells),
        episodes=total,
        action_rate=mean("action_rate"),
        effort=mean("effort"),
        final_error=float(np.average([cell["final_error_m"]["mean"] for cell in cells], weights=counts)),
    )


Table = Mapping[str, Mapping[str, Pooled]]
"""Row to column to what was measured; what is not measured yet is missing."""


def best_row(table: Table, columns: Sequence[str]) -> tuple[str, float] | None:
    """Return the row whose least success rate over all columns is highest, and that rate; None where none is whole."""
    least = {
        row: min(cells[column].success_rate for column in columns)
        for row, cells in table.items()
        if all(column in cells for column in columns)
    }
    return max(least.items(), key=lambda item: item[1]) if least else None
