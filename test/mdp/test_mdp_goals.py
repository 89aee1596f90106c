"""Tests for ppo_robot.mdp.goals: who may be sent where, and when the tool has arrived."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from ppo_robot.errors import BadInputError
from ppo_robot.mdp.goals import HoldTracker, bounding_box, check_goal, inside_workspace, tool_position_in_workspace
from ppo_robot.sim.randomness import EnvironmentStreams
from ppo_robot.spec.robot import WorkspaceSpec, load_robot
from ppo_robot.spec.task import SuccessSpec

Array = NDArray[np.float64]
SHELL = WorkspaceSpec((0.0, 0.0, 0.2), (0.3, 0.7), (-1.0, 1.0), (0.1, 0.8))


@pytest.mark.parametrize(
    ("position", "inside"),
    [
        ((0.5, 0.0, 0.2), True),
        ((0.31, 0.0, 0.2), True),
        ((0.29, 0.0, 0.2), False),
        ((0.69, 0.0, 0.2), True),
        ((0.71, 0.0, 0.2), False),
        ((0.5 * math.cos(0.99), 0.5 * math.sin(0.99), 0.2), True),
        ((0.5 * math.cos(1.01), 0.5 * math.sin(1.01), 0.2), False),
        ((0.5 * math.cos(1.01), -0.5 * math.sin(1.01), 0.2), False),
        ((-0.5, 0.0, 0.2), False),
        ((0.5, 0.0, 0.11), True),
        ((0.5, 0.0, 0.09), False),
        ((0.3, 0.0, 0.79), True),
        ((0.3, 0.0, 0.81), False),
    ],
)
def test_the_workspace_ends_where_its_file_says(position: tuple[float, float, float], inside: bool) -> None:
    assert bool(inside_workspace(np.array([position]), SHELL)[0]) is inside
    if inside:
        check_goal(np.array(position), SHELL)
    else:
        with pytest.raises(BadInputError, match="outside the workspace; expected 0.3 to 0.7 m from"):
            check_goal(np.array(position), SHELL)


def test_a_margin_keeps_from_the_skin() -> None:
    points = np.array([[0.34, 0.0, 0.2], [0.36, 0.0, 0.2], [0.5, 0.0, 0.14], [0.66, 0.0, 0.2], [0.3, 0.0, 0.76]])
    assert inside_workspace(points, SHELL).all()
    assert inside_workspace(points, SHELL, margin=0.05).tolist() == [False, True, False, False, False]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_goal_that_is_not_finite_is_refused(bad: float) -> None:
    with pytest.raises(BadInputError, match="outside the workspace"):
        check_goal(np.array([0.5, bad, 0.2]), SHELL)


def draw(workspace: WorkspaceSpec, count: int, seed: int = 0) -> Array:
    return tool_position_in_workspace(workspace, np.arange(count), EnvironmentStreams(seed, range(count)).uniform)


@pytest.mark.parametrize("robot", ["arm6", "franka_panda", "kuka_iiwa"])
def test_goals_lie_in_the_workspace(robot: str) -> None:
    workspace = load_robot(robot).workspace
    goals = draw(workspace, 500)
    assert inside_workspace(goals, workspace).all()
    lower, upper = bounding_box(workspace)
    assert ((goals >= lower) & (goals <= upper)).all()


def test_goals_are_uniform_in_volume() -> None:
    half = WorkspaceSpec((0.0, 0.0, 0.0), (0.0001, 1.0), (-math.pi / 2, math.pi / 2), (-1.0, 1.0))
    goals = draw(half, 4000)
    radius = np.linalg.norm(goals, axis=1)
    # Half the volume lies beyond 0.5^(1/3) of the radius; three standard deviations of 4000 draws are 0.024.
    assert np.mean(radius > 0.5 ** (1 / 3)) == pytest.approx(0.5, abs=0.024)
    assert np.mean(goals[:, 1] > 0) == pytest.approx(0.5, abs=0.024)
    assert np.mean(goals[:, 2] > 0) == pytest.approx(0.5, abs=0.024)


def test_a_goal_comes_from_its_rows_own_stream() -> None:
    together = draw(SHELL, 8, seed=3)
    streams = EnvironmentStreams(3, [5])
    assert np.array_equal(tool_position_in_workspace(SHELL, np.array([0]), streams.uniform)[0], together[5])


def test_an_empty_workspace_is_an_error_and_no_endless_search() -> None:
    with pytest.raises(BadInputError, match="no position inside it was found"):
        draw(dataclasses.replace(SHELL, height=(5.0, 6.0)), 1)


class TestHold:
    """Tolerance 1 cm, to be held for 0.06 s, which is three control periods of 0.02 s."""

    def track(self, *errors: float) -> HoldTracker:
        tracker = HoldTracker(SuccessSpec(0.01, 0.06), 0.02, 1)
        for error in errors:
            tracker.update(np.array([error]))
        return tracker

    @pytest.mark.parametrize(
        ("errors", "success", "settled"),
        [
            ((), False, math.inf),
            ((0.0,), False, 0.0),
            ((0.0, 0.0), False, 0.0),
            ((0.0, 0.0, 0.0), True, 0.0),
            ((1.0, 0.01, 0.01, 0.01), True, 0.02),  # on the tolerance is within it
            ((1.0, 0.01, 0.0101, 0.01), False, 0.06),
            ((0.0, 0.0, 0.0, 1.0), False, math.inf),  # was there, and left
            ((0.0, 0.0, 1.0, 0.0, 0.0), False, 0.06),
            ((0.0, 0.0, 0.0, math.nan), False, math.inf),
        ],
    )
    def test_cases(self, errors: tuple[float, ...], success: bool, settled: float) -> None:
        tracker = self.track(*errors)
        assert tracker.success.tolist() == [success]
        assert tracker.settle_time[0] == pytest.approx(settled)

    def test_a_reset_touches_only_its_rows(self) -> None:
        tracker = HoldTracker(SuccessSpec(0.01, 0.06), 0.02, 2)
        for _ in range(3):
            tracker.update(np.zeros(2))
        tracker.reset(np.array([1]))
        assert tracker.success.tolist() == [True, False]
        tracker.update(np.array([0.0, 1.0]))
        tracker.update(np.zeros(2))
        assert tracker.settle_time == pytest.approx([0.0, 0.02])

    def test_no_hold_still_asks_for_the_last_moment(self) -> None:
        tracker = HoldTracker(SuccessSpec(0.01, 0.0), 0.02, 2)
        tracker.update(np.array([0.0, 1.0]))
        assert tracker.success.tolist() == [True, False]
