"""Tests for ppo_robot.mdp.observer: order, scaling, clipping, and the filling and order of histories."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ppo_robot.errors import SpecError
from ppo_robot.kinematics import RobotModel
from ppo_robot.mdp.observer import Observer
from ppo_robot.mdp.view import View
from ppo_robot.spec.robot import load_robot
from ppo_robot.spec.task import ObservationTermSpec
from ppo_robot.state import RobotState

MODEL = RobotModel(load_robot("arm6"))


def view(*velocities: float) -> View:
    """Robots whose joints all turn at the given speed."""
    batch = len(velocities)
    state = RobotState.zeros(batch, 6)
    state.joint_velocity[:] = np.array(velocities)[:, None]
    zeros = np.zeros((batch, 6))
    targets = (zeros, zeros, zeros)
    return View(MODEL, state, np.zeros((batch, 3)), *targets, zeros + 0.5, zeros, np.zeros(batch, dtype=bool))


def rows(*index: int) -> NDArray[np.intp]:
    return np.array(index, dtype=np.intp)


def test_terms_follow_each_other_scaled_then_clipped() -> None:
    terms = {
        "fast": ObservationTermSpec("joint_velocity", scale=2.0, offset=0.5, clip=3.0),
        "previous_action": ObservationTermSpec(),
    }
    observer = Observer(terms, 2)
    observation = observer.reset(view(1.0, 9.0), rows(0, 1))
    assert observation.dtype == np.float32
    assert observation.flags.c_contiguous
    assert observation.tolist() == [[1.0] * 6 + [0.5] * 6, [3.0] * 6 + [0.5] * 6]
    assert observer.sizes(view(0.0)) == {"fast": 6, "previous_action": 6}
    assert [(term.name, term.unit, term.frame) for term in observer.terms] == [
        ("fast", "rad/s", "joint"),
        ("previous_action", "1", "joint"),
    ]


def test_a_history_begins_filled_and_then_lies_oldest_first() -> None:
    observer = Observer({"joint_velocity": ObservationTermSpec(history=3)}, 2)
    assert observer.reset(view(1.0, 5.0), rows(0, 1))[:, ::6].tolist() == [[1.0, 1.0, 1.0], [5.0, 5.0, 5.0]]
    assert observer.observe(view(2.0, 6.0), rows(0, 1))[:, ::6].tolist() == [[1.0, 1.0, 2.0], [5.0, 5.0, 6.0]]
    assert observer.observe(view(3.0, 7.0), rows(0, 1))[:, ::6].tolist() == [[1.0, 2.0, 3.0], [5.0, 6.0, 7.0]]
    assert observer.observe(view(4.0, 8.0), rows(0, 1))[:, ::6].tolist() == [[2.0, 3.0, 4.0], [6.0, 7.0, 8.0]]
    assert observer.sizes(view(0.0)) == {"joint_velocity": 18}


def test_a_reset_of_one_row_leaves_the_others_history() -> None:
    observer = Observer({"joint_velocity": ObservationTermSpec(history=2)}, 3)
    observer.reset(view(1.0, 2.0, 3.0), rows(0, 1, 2))
    assert observer.reset(view(9.0), rows(1))[:, ::6].tolist() == [[9.0, 9.0]]
    after = observer.observe(view(4.0, 5.0, 6.0), rows(0, 1, 2))
    assert after[:, ::6].tolist() == [[1.0, 4.0], [9.0, 5.0], [3.0, 6.0]]


def test_an_observation_is_not_changed_by_the_next() -> None:
    observer = Observer({"joint_velocity": ObservationTermSpec(history=2)}, 1)
    first = observer.reset(view(1.0), rows(0))
    kept = first.copy()
    observer.observe(view(2.0), rows(0))
    assert np.array_equal(first, kept)


def test_two_entries_may_use_one_term_with_histories_of_their_own() -> None:
    terms = {
        "a": ObservationTermSpec("joint_velocity", history=2),
        "b": ObservationTermSpec("joint_velocity", history=3, scale=-1.0),
    }
    observer = Observer(terms, 1)
    observer.reset(view(1.0), rows(0))
    assert observer.observe(view(2.0), rows(0))[0, ::6].tolist() == [1.0, 2.0, -1.0, -1.0, -2.0]


def test_an_unknown_term_names_its_entry() -> None:
    with pytest.raises(SpecError, match=r"observations\.speed: no observation term 'joint_speed'"):
        Observer({"speed": ObservationTermSpec("joint_speed")}, 1)
