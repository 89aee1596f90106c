"""Tests for ppo_robot.state: shapes, and copies that share no memory."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from ppo_robot.state import RobotState

SHAPES = {
    "joint_position": (4, 6),
    "joint_velocity": (4, 6),
    "joint_effort": (4, 6),
    "base_position": (4, 3),
    "base_orientation": (4, 4),
    "base_linear_velocity": (4, 3),
    "base_angular_velocity": (4, 3),
    "stamp": (4,),
    "age": (4,),
}


def test_zeros_is_at_rest_and_upright() -> None:
    state = RobotState.zeros(4, 6)
    assert {field.name: getattr(state, field.name).shape for field in fields(state)} == SHAPES
    assert state.batch == 4
    assert state.base_orientation.tolist() == [[0.0, 0.0, 0.0, 1.0]] * 4
    assert all(not getattr(state, name).any() for name in SHAPES if name != "base_orientation")


def test_rows_are_copies_in_the_order_asked_for() -> None:
    state = RobotState.zeros(4, 6)
    for number, name in enumerate(SHAPES):
        array = getattr(state, name)
        array[:] = 100 * number + np.arange(4).reshape(4, *([1] * (array.ndim - 1)))
    picked = state.rows(np.array([3, 1]))
    for number, name in enumerate(SHAPES):
        assert getattr(picked, name).reshape(2, -1)[:, 0].tolist() == [100 * number + 3, 100 * number + 1]
        getattr(picked, name)[:] = -1.0
        assert (getattr(state, name) >= 0.0).all()


def test_a_copy_shares_no_memory() -> None:
    state = RobotState.zeros(4, 6)
    copy = state.copy()
    for name in SHAPES:
        assert not np.shares_memory(getattr(state, name), getattr(copy, name))
        getattr(state, name)[:] = 7.0
        assert not (getattr(copy, name) == 7.0).any()
