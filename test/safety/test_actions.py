"""Tests for ppo_robot.safety.actions: which actions are used, and the curve through them at points by hand."""

from __future__ import annotations

import math

import pytest

from ppo_robot.safety.actions import Action, ActionInput
from ppo_robot.safety.reasons import Refusal

NAMES = ("shoulder", "elbow")
EPOCH = 1024.0
"""s; small enough that binary floating point holds every sum below exactly."""
PERIOD, TIMEOUT, FUTURE = 0.25, 0.25, 0.125


def make() -> ActionInput:
    return ActionInput(NAMES, PERIOD, TIMEOUT, FUTURE)


def give(
    actions: ActionInput,
    shoulder: float,
    elbow: float = 0.0,
    now: float = 100.0,
    age: float = 0.0,
    names: tuple[str, ...] = NAMES,
) -> Refusal | None:
    ros_now = EPOCH + now
    return actions.accept(Action(names, (shoulder, elbow), ros_now - age), ros_now, now)


def test_before_the_first_action_there_is_nothing_to_follow() -> None:
    actions = make()
    assert actions.reference(100.0) is None
    assert not actions.fresh(0.0)
    assert actions.received == -math.inf


def test_names_may_come_in_any_order() -> None:
    actions = make()
    assert give(actions, 3.0, 4.0, names=NAMES[::-1]) is None
    assert actions.newest == [4.0, 3.0]
    assert actions.counters == {"accepted": 1}


@pytest.mark.parametrize(
    ("names", "position", "refusal"),
    [
        (NAMES, (0.0,), Refusal.WRONG_LENGTH),
        (NAMES, (0.0, 0.0, 0.0), Refusal.WRONG_LENGTH),
        (("shoulder", "shoulder"), (0.0, 0.0), Refusal.JOINT_DUPLICATED),
        (("shoulder", "elbow", "elbow"), (0.0, 0.0, 0.0), Refusal.JOINT_DUPLICATED),
        (("shoulder", "wrist"), (0.0, 0.0), Refusal.JOINT_UNKNOWN),
        (("shoulder", "elbow", "wrist"), (0.0, 0.0, 0.0), Refusal.JOINT_UNKNOWN),
        (("elbow",), (0.0,), Refusal.JOINT_MISSING),
        ((), (), Refusal.JOINT_MISSING),
        (NAMES, (0.0, -math.inf), Refusal.NOT_FINITE),
        (NAMES, (math.nan, 0.0), Refusal.NOT_FINITE),
    ],
)
def test_what_cannot_be_used_is_refused_and_counted(
    names: tuple[str, ...], position: tuple[float, ...], refusal: Refusal
) -> None:
    actions = make()
    give(actions, 1.0, 2.0)
    given = Action(names, position, EPOCH + 100.0625)
    assert actions.accept(given, EPOCH + 100.0625, 100.0625) is refusal
    assert actions.counters == {"accepted": 1, refusal.name.lower(): 1}
    assert (actions.newest, actions.received) == ([1.0, 2.0], 100.0)
    assert actions.accept(given, EPOCH + 100.0625, 100.125) is refusal
    assert actions.counters[refusal.name.lower()] == 2


@pytest.mark.parametrize(
    ("age", "refusal"),
    [
        (-FUTURE, None),
        (-FUTURE - 1e-6, Refusal.STAMP_FUTURE),
        (TIMEOUT, None),
        (TIMEOUT + 1e-6, Refusal.STALE),
        (EPOCH + 100.0, Refusal.STAMP_ZERO),
        (EPOCH + 101.0, Refusal.STAMP_ZERO),
        (math.nan, Refusal.STAMP_ZERO),
        (math.inf, Refusal.STAMP_ZERO),
        (-math.inf, Refusal.STAMP_ZERO),
    ],
)
def test_a_stamp_may_be_so_old_and_so_far_ahead(age: float, refusal: Refusal | None) -> None:
    assert give(make(), 1.0, age=age) is refusal


def test_in_simulated_time_the_first_second_counts() -> None:
    actions = make()
    assert actions.accept(Action(NAMES, (1.0, 2.0), 0.5), 0.5, 100.0) is None


def test_stamps_must_go_forward_until_everything_is_forgotten() -> None:
    actions = make()
    assert give(actions, 1.0) is None
    assert give(actions, 2.0) is Refusal.STAMP_REPEATED
    assert give(actions, 2.0, age=0.0625) is Refusal.STAMP_BACKWARD
    actions.forget()
    assert actions.accept(Action(NAMES, (1.0, 2.0), 0.5), 0.5, 100.0) is None
    actions.forget()
    assert actions.reference(100.0) is None
    assert actions.received == -math.inf
    assert give(actions, 2.0, age=0.0625) is None


def test_an_action_is_fresh_up_to_the_timeout() -> None:
    actions = make()
    give(actions, 1.0)
    assert actions.fresh(100.0)
    assert actions.fresh(100.0 + TIMEOUT)
    assert not actions.fresh(100.0 + TIMEOUT + 1e-9)
    assert not actions.fresh(100.0 - 1e-9)


def test_the_first_action_alone_is_where_the_curve_rests() -> None:
    actions = make()
    give(actions, 3.0, -6.0)
    for now in (100.0, 100.125, 100.5, 107.0):
        reference = actions.reference(now)
        assert reference.position == pytest.approx([3.0, -6.0])
        assert reference.velocity == pytest.approx([0.0, 0.0], abs=1e-12)
        assert reference.acceleration == pytest.approx([0.0, 0.0], abs=1e-12)


def curve() -> ActionInput:
    """Return one whose shoulder has the control points 0, 48, -96, 240, and whose elbow rests."""
    actions = make()
    actions.lead_from((0.0, 1.0))
    for place, target in enumerate((48.0, -96.0, 240.0)):
        assert give(actions, target, 1.0, 100.0 + place * PERIOD) is None
    return actions


@pytest.mark.parametrize(
    ("along", "position", "velocity", "acceleration"),
    [
        # u in control periods; (1 - u)^3 / 6 of the first point and so on (de Boor 1978), at 0, 1/2 and 1.
        (0.0, (0.0 + 4 * 48.0 - 96.0) / 6, (-96.0 - 0.0) / 2, 0.0 - 2 * 48.0 - 96.0),
        (0.5, (0.0 + 23 * 48.0 - 23 * 96.0 + 240.0) / 48, (-48.0 - 96.0 + 48.0) * 5 / 8, (-48.0 + 96.0 + 240.0) / 2),
        (1.0, (48.0 - 4 * 96.0 + 240.0) / 6, (240.0 - 48.0) / 2, 48.0 + 2 * 96.0 + 240.0),
        # A period later the newest point counts twice, 48, -96, 240, 240, and so on until it alone counts.
        (
            1.5,
            (48.0 - 23 * 96.0 + 23 * 240.0 + 240.0) / 48,
            (-48.0 + 5 * 96.0 + 5 * 240.0 + 240.0) / 8,
            (48.0 + 96.0) / 2,
        ),
        (2.0, (-96.0 + 5 * 240.0) / 6, (240.0 + 96.0) / 2, -96.0 - 240.0),
        (3.0, (240.0 + 5 * 240.0) / 6, 0.0, 0.0),
        (4.0, 240.0, 0.0, 0.0),
        (40.0, 240.0, 0.0, 0.0),
        (-0.5, (23 * 48.0 - 96.0) / 48, (5 * 48.0 - 96.0) / 8, (-48.0 - 96.0) / 2),  # the piece before: 0, 0, 48, -96
        (-1.5, 48.0 / 6, 48.0 / 2, 48.0),  # and nothing before its beginning
    ],
)
def test_the_curve_by_hand(along: float, position: float, velocity: float, acceleration: float) -> None:
    reference = curve().reference(100.0 + (2.0 + along) * PERIOD)
    assert reference.position == pytest.approx([position, 1.0])
    assert reference.velocity == pytest.approx([velocity / PERIOD, 0.0])
    assert reference.acceleration == pytest.approx([acceleration / PERIOD**2, 0.0])


def test_a_new_lead_replaces_what_came_before() -> None:
    actions = curve()
    actions.lead_from((5.0, 6.0))
    assert actions.newest == [5.0, 6.0]
    assert actions.reference(101.25).position == pytest.approx([5.0, 6.0])
    give(actions, 11.0, 6.0, 101.25)
    assert actions.reference(101.25).position == pytest.approx([5.0, 6.0])
    assert actions.reference(101.25 + PERIOD).position == pytest.approx([6.0, 6.0])
    # Without another target that one counts more and more, (4 + 1) / 6 of it at the end of the next period, then alone.
    assert actions.reference(101.25 + 2 * PERIOD).position == pytest.approx([10.0, 6.0])
    assert actions.reference(101.25 + 3 * PERIOD).position == pytest.approx([11.0, 6.0])
