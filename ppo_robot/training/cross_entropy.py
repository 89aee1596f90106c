"""The cross-entropy method: the least of a noisy function over the unit box, with a small budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LEAST_SPREAD = 0.05
"""Of the candidates in each direction: a search of few iterations must not settle on the luck of its first."""


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        point: (n,) the point of least cost of all that were tried.
        cost: what the function gave there, which flatters it where the function is noisy: measure it again.
        history: least and mean cost of each iteration.
    """

    point: Array
    cost: float
    history: tuple[tuple[float, float], ...]


def minimise(
    cost: Callable[[Array], float],
    size: int,
    iterations: int,
    candidates: int,
    elites: int,
    smoothing: float,
    generator: np.random.Generator,
) -> Found:
    """Search the box [0, 1]^n for the least cost (Rubinstein and Kroese 2004, The Cross-Entropy Method, chapter 5).

    Candidates are normal around a mean, with one spread for each direction, and moved onto the box. Mean and spread
    follow those of the best candidates. They begin in the middle, with a spread that reaches both ends.

    Args:
        cost: of a point (n,).
        size: n.
        iterations: how many.
        candidates: points tried in each.
        elites: how many of them are followed, fewer than all.
        smoothing: weight of the elites over what was before, above 0 to 1.
        generator: of the candidates; the cost's own noise is not its business.

    Raises:
        ValueError: if the box has no direction.
    """
    if size < 1:
        raise ValueError(f"size: given {size}; expected at least one direction")
    mean, spread = np.full(size, 0.5), np.full(size, 0.5)
    best, least, history = mean, np.inf, []
    for _ in range(iterations):
        points = np.clip(mean + spread * generator.standard_normal((candidates, size)), 0.0, 1.0)
        costs = np.array([cost(point) for point in points])
        order = np.argsort(costs, kind="stable")
        if costs[order[0]] < least:
            best, least = points[order[0]], float(costs[order[0]])
        elite = points[order[:elites]]
        mean = smoothing * elite.mean(axis=0) + (1.0 - smoothing) * mean
        spread = np.maximum(smoothing * elite.std(axis=0) + (1.0 - smoothing) * spread, LEAST_SPREAD)
        history.append((float(costs.min()), float(costs.mean())))
    return Found(best, least, tuple(history))
