"""Tests for ppo_robot.training.cross_entropy: it finds the least of a function, in the box and within its budget."""

from __future__ import annotations

import numpy as np
import pytest

from ppo_robot.training.cross_entropy import Found, minimise

BUDGET = {"iterations": 12, "candidates": 40, "elites": 8, "smoothing": 0.7}


def search(cost, size: int = 4, seed: int = 0, **budget) -> Found:
    return minimise(cost, size, **(BUDGET | budget), generator=np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(3))
def test_it_finds_a_least_inside_the_box_and_one_in_a_corner(seed: int) -> None:
    inside = np.array([0.2, 0.8, 0.5, 0.35])
    found = search(lambda point: float(np.square(point - inside).sum()), seed=seed)
    assert found.point == pytest.approx(inside, abs=0.1)
    assert found.cost == np.square(found.point - inside).sum()
    corner = search(lambda point: float(point @ [1.0, -1.0, 1.0, -1.0]), seed=seed)
    assert corner.point == pytest.approx([0.0, 1.0, 0.0, 1.0], abs=0.02)


def test_noise_does_not_lead_it_away() -> None:
    noise = np.random.default_rng(1)
    found = search(lambda point: float(np.abs(point - 0.9).sum() + 0.1 * noise.standard_normal()))
    assert found.point == pytest.approx(np.full(4, 0.9), abs=0.2)


def test_it_tries_as_many_points_as_it_may_all_of_them_in_the_box() -> None:
    tried: list[np.ndarray] = []

    def cost(point: np.ndarray) -> float:
        tried.append(point.copy())
        return float(point[0])

    found = search(cost, size=2, iterations=3, candidates=5, elites=2)
    points = np.array(tried)
    assert points.shape == (15, 2)
    assert points.min() >= 0.0 and points.max() <= 1.0
    assert found.cost == points[:, 0].min()
    assert [least for least, _ in found.history] == points[:, 0].reshape(3, 5).min(axis=1).tolist()
    assert [mean for _, mean in found.history] == pytest.approx(points[:, 0].reshape(3, 5).mean(axis=1))


def test_the_seed_alone_decides() -> None:
    one, other, third = (search(lambda point: float(point.sum()), seed=seed) for seed in (5, 5, 6))
    assert np.array_equal(one.point, other.point) and one.history == other.history
    assert one.history != third.history


def test_no_direction_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one direction"):
        search(lambda point: 0.0, size=0)
