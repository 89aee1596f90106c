"""Tests for ppo_robot.safety.curve: the beat of the curve, and targets that come early, late or not at all."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppo_robot.safety.curve import TargetCurve

PERIOD = 0.25


def rising(arrivals: list[float]) -> TargetCurve:
    """Return a curve whose n-th target is n and came at arrivals[n]."""
    curve = TargetCurve(PERIOD)
    for place, arrival in enumerate(arrivals):
        curve.add([float(place)], arrival)
    return curve


def at(curve: TargetCurve, now: float) -> float:
    reference = curve.at(now)
    assert reference is not None
    return reference.position[0]


def jump(curve: TargetCurve, now: float, target: float) -> float:
    """Return by how much the curve jumps when a target comes."""
    before = at(curve, now)
    curve.add([target], now)
    return at(curve, now) - before


ON_TIME = [0.0, 0.25, 0.5, 0.75, 1.0]


def test_on_the_beat_it_is_two_periods_behind() -> None:
    curve = rising(ON_TIME)
    for along in (0.0, 0.25, 0.5, 1.0):
        assert at(curve, 1.0 + along * PERIOD) == pytest.approx(2.0 + along)
    assert jump(curve, 1.25, 5.0) == 0.0


@pytest.mark.parametrize("late", [0.04, 0.1])
def test_a_late_target_takes_its_place_and_the_beat_follows_a_little(late: float) -> None:
    curve = rising(ON_TIME)
    share = late / PERIOD
    # Until it came, 4 counted twice: u^3 / 6 short of 5. Then the beat is later by a tenth of what it was late.
    moved = jump(curve, 1.25 + late, 5.0)
    assert moved == pytest.approx(share**3 / 6.0 - 0.1 * share, abs=1e-12)
    assert at(curve, 1.25 + late) == pytest.approx(3.0 + 0.9 * share)


@pytest.mark.parametrize("early", [0.04, 0.1])
def test_an_early_target_waits_for_its_turn(early: float) -> None:
    curve = rising(ON_TIME)
    moved = jump(curve, 1.25 - early, 5.0)
    assert moved == pytest.approx(0.1 * early / PERIOD, abs=1e-12)
    assert at(curve, 1.25) == pytest.approx(3.0 + 0.1 * early / PERIOD)


def test_a_target_that_comes_far_too_early_comes_half_a_period_before_its_turn() -> None:
    curve = rising(ON_TIME)
    moved = jump(curve, 1.0, 5.0)
    # Its turn is 0.9 of half a period away now, instead of a whole one: the curve went on by what is missing.
    assert moved == pytest.approx(0.55, abs=1e-12)
    assert at(curve, 1.0 + 0.45 * PERIOD) == pytest.approx(3.0)


def test_where_a_target_did_not_come_the_one_before_is_repeated() -> None:
    curve = rising(ON_TIME)
    assert jump(curve, 1.5, 5.0) == pytest.approx(0.0, abs=1e-12)
    assert curve.targets == [[2.0], [3.0], [4.0], [4.0], [5.0]]
    # At u = 0 of the piece 3, 4, 4, 5.
    assert at(curve, 1.5) == pytest.approx((3.0 + 4 * 4.0 + 4.0) / 6.0)


def test_after_a_long_silence_it_rests_and_begins_again_from_there() -> None:
    curve = rising(ON_TIME)
    assert at(curve, 9.0) == pytest.approx(4.0)
    assert jump(curve, 9.1, 5.0) == pytest.approx(0.0, abs=1e-2)
    assert curve.targets == [[4.0]] * 4 + [[5.0]]


def test_half_a_period_late_is_late_and_more_is_missed() -> None:
    for late, repeated in ((0.49, 0), (0.51, 1), (1.49, 1), (1.51, 2)):
        curve = rising(ON_TIME)
        curve.add([5.0], 1.25 + late * PERIOD)
        assert curve.targets.count([4.0]) == 1 + repeated


def test_the_first_target_after_a_lead_sets_the_beat() -> None:
    curve = rising(ON_TIME)
    curve.lead_from([7.0])
    assert at(curve, 1.3) == pytest.approx(7.0)
    curve.add([8.0], 1.37)
    assert at(curve, 1.37) == pytest.approx(7.0)
    assert at(curve, 1.37 + PERIOD) == pytest.approx(7.0 + 1.0 / 6.0)


def test_cleared_it_knows_nothing() -> None:
    curve = rising(ON_TIME)
    curve.clear()
    assert curve.at(1.0) is None
    curve.add([3.0], 5.0)
    assert at(curve, 5.1) == pytest.approx(3.0)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.floats(-0.4, 0.4), min_size=20, max_size=60))
def test_jitter_never_shakes_the_curve(jitter: list[float]) -> None:
    """Begun at each arrival it would jump by up to the whole jitter; in its own beat by a tenth of it, and u^3 / 6."""
    curve = TargetCurve(PERIOD)
    for place, off in enumerate([0.0] * 8 + jitter):
        now = (place + off) * PERIOD
        if place < 5:
            curve.add([float(place)], now)
            continue
        # The beat itself has strayed by less than the jitter, so a target is off by less than twice that.
        assert abs(jump(curve, now, float(place))) <= 0.1 * 0.8 + 0.8**3 / 6.0


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.floats(0.96, 1.04))
def test_the_beat_follows_a_policy_whose_clock_is_off(rate: float) -> None:
    curve = TargetCurve(PERIOD)
    for place in range(200):
        now = place * PERIOD * rate
        curve.add([float(place)], now)
    # In the steady state a tenth of the deviation makes up for what the period is off: ten times that, behind or ahead.
    assert at(curve, now) == pytest.approx(197.0 + 10.0 * (rate - 1.0) * 0.9, abs=0.08)
    assert math.isclose(curve.at(now).velocity[0], 1.0 / PERIOD, rel_tol=0.1)
