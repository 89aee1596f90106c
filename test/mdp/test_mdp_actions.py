"""Tests for ppo_robot.mdp.actions: no jump, never outside the limits, and the filter's closed form."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from ppo_robot.errors import SpecError
from ppo_robot.kinematics import RobotModel
from ppo_robot.mdp.actions import ActionPath
from ppo_robot.spec.robot import load_robot
from ppo_robot.spec.task import ActionSpec

Array = NDArray[np.float64]
MODEL = RobotModel(load_robot("arm6"))
PERIOD = 0.02
ROWS = np.arange(1)


def begin(spec: ActionSpec, position: Array, batch: int = 1) -> ActionPath:
    path = ActionPath(spec, MODEL, PERIOD, batch)
    path.reset(np.broadcast_to(position, (batch, 6)), np.arange(batch))
    return path


SPECS = st.builds(
    ActionSpec,
    type=st.sampled_from(["joint_position_increment", "joint_position"]),
    scale=st.floats(0.01, 1.0),
    filter_time_constant=st.just(0.0) | st.floats(1e-3, 1.0),
    joint_margin=st.floats(0.0, 0.5),
)
ACTIONS = hnp.arrays(np.float64, (12, 1, 6), elements=st.floats(-1e6, 1e6))


@pytest.mark.parametrize("kind", ["joint_position_increment", "joint_position"])
def test_the_first_target_is_the_measured_pose(kind: str) -> None:
    position = MODEL.default_position + [0.3, -0.2, 0.1, 0.4, -0.5, 0.6]
    path = begin(dataclasses.replace(ActionSpec(), type=kind, filter_time_constant=0.1), position)  # type: ignore[arg-type]
    assert np.array_equal(path.joint_target[0], position)
    # An action that asks for nothing new keeps it there: no motion, or the pose itself.
    still = np.zeros((1, 6)) if kind == "joint_position_increment" else (position - path.offset)[None] / path.scale
    for _ in range(5):
        assert path.apply(still)[0] == pytest.approx(position, abs=1e-12)


def test_a_pose_beyond_the_margin_starts_at_the_margin() -> None:
    path = begin(ActionSpec(joint_margin=0.1), MODEL.upper)
    assert np.array_equal(path.joint_target[0], MODEL.upper - 0.1)


@given(spec=SPECS, actions=ACTIONS, share=st.floats(-0.5, 1.5))
def test_targets_never_leave_the_limits(spec: ActionSpec, actions: Array, share: float) -> None:
    path = begin(spec, MODEL.lower + share * (MODEL.upper - MODEL.lower))
    for action in actions:
        target = path.apply(action)
        assert (target >= MODEL.lower + spec.joint_margin).all()
        assert (target <= MODEL.upper - spec.joint_margin).all()


@given(spec=SPECS, actions=ACTIONS)
def test_an_increment_is_never_more_than_its_share_of_the_velocity_limit(spec: ActionSpec, actions: Array) -> None:
    path = begin(dataclasses.replace(spec, type="joint_position_increment"), MODEL.default_position)
    before = path.joint_target.copy()
    for action in actions:
        after = path.apply(action).copy()
        assert (np.abs(after - before) <= spec.scale * MODEL.velocity_limit * PERIOD * (1 + 1e-9) + 1e-12).all()
        before = after


def test_increments_add_up_and_are_clipped_to_one() -> None:
    path = begin(ActionSpec(scale=0.5), MODEL.default_position)
    path.apply(np.full((1, 6), 0.25))
    step = 0.5 * MODEL.velocity_limit * PERIOD
    assert path.apply(np.full((1, 6), -7.0))[0] == pytest.approx(MODEL.default_position + step * (0.25 - 1.0))
    assert path.action.tolist() == [[-1.0] * 6]
    assert path.previous_action.tolist() == [[0.25] * 6]


def test_at_a_limit_the_way_back_is_free() -> None:
    path = begin(ActionSpec(scale=1.0, joint_margin=0.0), MODEL.upper)
    for _ in range(10):
        path.apply(np.ones((1, 6)))
    assert path.apply(-np.ones((1, 6)))[0] == pytest.approx(MODEL.upper - MODEL.velocity_limit * PERIOD)


def test_absolute_positions_are_shares_of_half_the_range_about_the_default() -> None:
    path = begin(ActionSpec("joint_position", scale=0.5, joint_margin=0.0), MODEL.default_position)
    action = np.array([[0.1, -0.2, 0.3, -0.4, 0.5, -0.6]])
    expected = MODEL.default_position + 0.25 * (MODEL.upper - MODEL.lower) * action[0]
    assert path.apply(action)[0] == pytest.approx(expected)


def test_the_filter_is_a_first_order_lag() -> None:
    constant, start = 0.1, MODEL.default_position + 0.2
    path = begin(ActionSpec("joint_position", 0.3, constant, joint_margin=0.0), start)
    goal = path.offset + path.scale * 0.2
    for step in range(1, 30):
        expected = goal + (start - goal) * math.exp(-step * PERIOD / constant)
        assert path.apply(np.full((1, 6), 0.2))[0] == pytest.approx(expected, abs=1e-12)


def test_the_filter_of_increments_starts_at_rest() -> None:
    path = begin(ActionSpec(scale=1.0, filter_time_constant=0.04), MODEL.default_position)
    first = path.apply(np.ones((1, 6)))[0] - MODEL.default_position
    assert first == pytest.approx((1.0 - math.exp(-0.5)) * MODEL.velocity_limit * PERIOD)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_an_action_that_is_not_finite_changes_nothing(bad: float) -> None:
    path, twin = (begin(ActionSpec(filter_time_constant=0.04), MODEL.default_position, batch=2) for _ in range(2))
    good, wrong = np.full((2, 6), 0.3), np.full((2, 6), 0.9)
    wrong[1, 4] = bad
    path.apply(good)
    twin.apply(good)
    with pytest.raises(ValueError, match="action: not finite"):
        path.apply(wrong)
    for name in ("action", "previous_action", "joint_target"):
        assert np.array_equal(getattr(path, name), getattr(twin, name))
    assert np.array_equal(path.apply(good), twin.apply(good))


def test_a_reset_touches_only_its_rows_and_leaves_no_trace() -> None:
    path = begin(ActionSpec(filter_time_constant=0.1), MODEL.default_position, batch=2)
    for _ in range(3):
        path.apply(np.ones((2, 6)))
    other = path.joint_target[0].copy()
    path.reset(MODEL.default_position[None], np.array([1]))
    assert np.array_equal(path.joint_target[0], other)
    assert path.action.tolist() == [[1.0] * 6, [0.0] * 6]
    fresh = begin(ActionSpec(filter_time_constant=0.1), MODEL.default_position)
    action = np.full((2, 6), 0.4)
    assert np.array_equal(path.apply(action)[1], fresh.apply(action[:1])[0])


def test_a_margin_that_leaves_no_range_is_refused() -> None:
    widest = float((MODEL.upper - MODEL.lower).max())
    with pytest.raises(SpecError, match=r"action\.joint_margin: given .*; it leaves joint '.*' no range"):
        ActionPath(ActionSpec(joint_margin=widest), MODEL, PERIOD, 1)
