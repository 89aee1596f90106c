"""Tests of waypoints: how they are drawn, and how they are reached in turn."""

from __future__ import annotations

import numpy as np
import pytest
from flights import quad

from ppo_robot.errors import BadInputError
from ppo_robot.mdp.airframe import Airframe
from ppo_robot.mdp.waypoints import WaypointTracker, check_waypoint, waypoints_in_cage
from ppo_robot.spec.flight import WaypointSpec

AIRFRAME = Airframe(quad())
ROWS = np.arange(2)


def test_they_are_drawn_in_the_cage_and_off_its_walls() -> None:
    rng = np.random.default_rng(0)
    drawn = waypoints_in_cage(AIRFRAME, 3, np.arange(500), lambda rows, n: rng.random((len(rows), n)), margin=0.5)
    low, high = drawn.min(axis=(0, 1)), drawn.max(axis=(0, 1))
    assert low == pytest.approx([-1.5, -1.5, 0.8], abs=0.02) and high == pytest.approx([1.5, 1.5, 2.3], abs=0.02)
    assert (low >= [-1.5, -1.5, 0.8]).all() and (high <= [1.5, 1.5, 2.3]).all()
    with pytest.raises(BadInputError, match="margin: given 1.3 m; it leaves no room"):
        waypoints_in_cage(AIRFRAME, 3, ROWS, lambda rows, n: rng.random((len(rows), n)), margin=1.3)


def test_they_are_reached_in_turn_and_the_last_one_stays() -> None:
    tracker = WaypointTracker(WaypointSpec(tolerance=0.1, waypoints=2), 0.5, 2)
    ways = np.array([[[0, 0, 1], [1, 0, 1]], [[0, 0, 1], [0, 0, 2]]], dtype=float)
    tracker.reset(ways, ROWS)
    assert np.array_equal(tracker.current, ways[:, 0]) and np.array_equal(tracker.following, ways[:, 1])
    tracker.update(np.array([[1.0, 0.0, 1.0], [0.0, 0.0, 1.05]]))  # the second one first does not count
    assert tracker.index.tolist() == [0, 1] and tracker.reached.tolist() == [False, True]
    tracker.update(np.array([[0.0, 0.0, 0.9], [0.0, 0.0, 1.0]]))
    assert tracker.index.tolist() == [1, 1] and tracker.reached.tolist() == [True, False]
    tracker.update(np.array([[1.0, 0.0, 1.0], [0.0, 0.0, 1.89]]))
    assert tracker.success.tolist() == [True, False] and tracker.finish_time.tolist() == [1.5, np.inf]
    tracker.update(np.array([[1.0, 0.0, 1.0], [0.0, 0.0, 1.89]]))
    assert tracker.reached.tolist() == [False, False] and tracker.finish_time.tolist() == [1.5, np.inf]
    assert np.array_equal(tracker.current, ways[:, 1]) and np.array_equal(tracker.following, ways[:, 1])
    tracker.reset(ways[:1], np.array([0]))
    assert tracker.index.tolist() == [0, 1] and tracker.finish_time[0] == np.inf


@pytest.mark.parametrize("position", [[0.0, 0.0, 0.2], [2.1, 0.0, 1.0], [np.nan, 0.0, 1.0], [np.inf, 0.0, 1.0]])
def test_a_waypoint_outside_the_cage_is_one_line(position: list[float]) -> None:
    with pytest.raises(BadInputError, match=r"outside the cage; expected \[-2.0, -2.0, 0.3\] to \[2.0, 2.0, 2.8\]"):
        check_waypoint(np.array(position), AIRFRAME)
    check_waypoint(np.array([0.0, 0.0, 1.0]), AIRFRAME)
